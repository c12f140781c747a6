//! The five fields of a crontab line, read into the numbers that they stand for.

use std::collections::BTreeSet;

/// A crontab line, read.
pub(super) struct Fields {
    minutes: BTreeSet<u8>,
    hours: BTreeSet<u8>,
    days: BTreeSet<u8>,
    months: BTreeSet<u8>,
    /// 0 is Sunday.
    weekdays: BTreeSet<u8>,
    /// Whether neither day field begins with `*`; then one match is enough.
    either_day: bool,
    /// Whether the hour field begins with `*`.
    pub(super) every_hour: bool,
}

/// What a field may hold.
struct Rule {
    name: &'static str,
    min: u8,
    max: u8,
    /// Names for numbers, from `first_word` on.
    words: &'static [&'static str],
    first_word: u8,
}

const fn numbers(name: &'static str, min: u8, max: u8) -> Rule {
    Rule { name, min, max, words: &[], first_word: 0 }
}

const MINUTE: Rule = numbers("minute", 0, 59);
const HOUR: Rule = numbers("hour", 0, 23);
const DAY: Rule = numbers("day of month", 1, 31);
const MONTH: Rule = Rule {
    name: "month",
    min: 1,
    max: 12,
    words: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    first_word: 1,
};
const WEEKDAY: Rule = Rule {
    name: "day of week",
    min: 0,
    max: 7,
    words: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    first_word: 0,
};

/// The names of crontab(5) that are times.
const NAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Fields {
    /// Reads a line of five fields, or a name.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = if line.starts_with('@') { named(line)? } else { line };
        let parts: Vec<&str> = line.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = parts.as_slice() else {
            let hint = if parts.len() > 5 { "; seconds and years are not supported" } else { "" };
            return Err(format!(
                "expected five fields (minute, hour, day of month, month, day of week), found {}{hint}",
                parts.len()
            ));
        };
        Ok(Self {
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days: DAY.read(day)?,
            months: MONTH.read(month)?,
            weekdays: WEEKDAY.read(weekday)?.into_iter().map(|day| day % 7).collect(),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
            every_hour: hour.starts_with('*'),
        })
    }

    /// The same for the `cron` crate, seconds first; a slot is a match of any of them.
    pub(super) fn expressions(&self) -> Vec<String> {
        let minutes = list(&self.minutes, 60);
        let hours = list(&self.hours, 24);
        let days = list(&self.days, 31);
        let months = list(&self.months, 12);
        // By name: the crate's numbers start with 1 for Sunday.
        let names: Vec<&str> = self
            .weekdays
            .iter()
            .filter_map(|day| WEEKDAY.words.get(usize::from(*day)).copied())
            .collect();
        let weekdays = if names.len() == 7 { "*".to_owned() } else { names.join(",") };
        let expression =
            |days: &str, weekdays: &str| format!("0 {minutes} {hours} {days} {months} {weekdays}");
        if self.either_day {
            vec![expression(&days, "*"), expression("*", &weekdays)]
        } else {
            vec![expression(&days, &weekdays)]
        }
    }
}

fn named(line: &str) -> Result<&'static str, String> {
    let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(line.trim()));
    found.map(|(_, fields)| *fields).ok_or_else(|| {
        if line.starts_with("@every") {
            return "write the span alone, like `15m`".into();
        }
        let names = NAMES.map(|(name, _)| format!("`{name}`")).join(", ");
        format!("`{line}` is not one of {names}")
    })
}

fn list(numbers: &BTreeSet<u8>, all: usize) -> String {
    if numbers.len() == all {
        return "*".into();
    }
    numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

impl Rule {
    fn read(&self, text: &str) -> Result<BTreeSet<u8>, String> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let why = |why: String| format!("{} `{part}`: {why}", self.name);
            numbers.extend(self.part(part).map_err(why)?);
        }
        Ok(numbers)
    }

    /// One element of a list: `*`, a number, a range, the first and last of these with a step.
    fn part(&self, part: &str) -> Result<Vec<u8>, String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max_distinct()),
            Some((low, high)) => (self.number(low)?, self.range_end(high)?),
            None if step.is_some() => {
                let example = format!("`{range}-{}/{}`", self.max, step.unwrap_or("1"));
                self.number(range)?;
                return Err(format!("a step needs `*` or a range, like {example}"));
            }
            None => (self.number(range)?, self.number(range)?),
        };
        if low > high {
            return Err("the range runs backwards".into());
        }
        let longest = self.max_distinct();
        let step = match step.map(str::parse::<u8>) {
            None => 1,
            Some(Ok(step)) if (1..=longest).contains(&step) => step,
            Some(_) => return Err(format!("the step must be 1 to {longest}")),
        };
        Ok((low..=high).step_by(usize::from(step)).collect())
    }

    /// The largest number that does not stand for the same as another: Sunday is 0 and 7.
    fn max_distinct(&self) -> u8 {
        if self.max == 7 { 6 } else { self.max }
    }

    fn number(&self, text: &str) -> Result<u8, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = text.parse::<u8>()
            && (self.min..=self.max).contains(&number)
        {
            return Ok(number);
        }
        let word = self.words.iter().zip(self.first_word..);
        for (word, number) in word {
            if word.eq_ignore_ascii_case(text) {
                return Ok(number);
            }
        }
        if text.contains(['L', 'W', '#', '?']) {
            return Err("`L`, `W`, `#` and `?` are not crontab and not supported".into());
        }
        let (min, max) = (self.min, self.max);
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => {
                Err(format!("expected {min} to {max} or `{first}` to `{last}`"))
            }
            _ => Err(format!("expected {min} to {max}")),
        }
    }

    /// As [`Self::number`]; Sunday by name ends a week where a range ends with it.
    fn range_end(&self, text: &str) -> Result<u8, String> {
        let number = self.number(text)?;
        let is_word = !text.starts_with(|c: char| c.is_ascii_digit());
        Ok(if self.max == 7 && number == 0 && is_word { 7 } else { number })
    }
}
