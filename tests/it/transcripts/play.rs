//! Plays a `.trycmd` file: what follows `$ ` is run, what follows that must be printed.
//!
//! As in trycmd, `[..]` stands for anything within a line and a line `...` for any lines, and `? 1` is the exit code. The
//! crate itself is not used because TABs have to be compared as the documents show them, expanded (rule I114), and because
//! between two commands somebody pushes an image.

use super::stage::Stage;

/// One command with what it is to print.
struct Case {
    line: usize,
    command: String,
    expected: Vec<String>,
    code: i32,
}

/// Plays the commands of one part of a file: what follows the heading `## part`.
pub(crate) fn play(stage: &mut Stage, file: &str, text: &str, part: &str) {
    let mut cases = 0;
    for case in parts(text, part) {
        let place = format!("{file}:{} `$ {}`", case.line, case.command);
        let told = run(stage, &case, &place);
        let expected: Vec<String> = case.expected.iter().map(|line| fill(line, stage)).collect();
        if let Err(at) = compare(&expected, &told) {
            panic!(
                "{place}: from line {at} on\n--- expected\n{}\n--- printed\n{}\n",
                expected.join("\n"),
                told.join("\n")
            );
        }
        cases += 1;
    }
    assert!(cases > 0, "{file} has no part {part}");
}

fn parts(text: &str, part: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut here, mut code_block) = (false, false);
    for (at, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            here = heading == part;
        } else if here && line.starts_with("```") {
            code_block = !code_block;
        } else if here && code_block {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), cases.last_mut()) {
                (Some(command), _, _) => cases.push(Case {
                    line: at + 1,
                    command: command.to_owned(),
                    expected: Vec::new(),
                    code: 0,
                }),
                (None, Some(more), Some(case)) if case.expected.is_empty() => {
                    let command = case.command.trim_end_matches('\\').trim_end();
                    case.command = format!("{command} {}", more.trim_start());
                }
                (None, _, Some(case)) => match line.strip_prefix("? ") {
                    Some(code) => case.code = code.parse().unwrap(),
                    None => case.expected.push(line.to_owned()),
                },
                (None, _, None) => panic!("line {} stands before the first command", at + 1),
            }
        }
    }
    cases
}

fn fill(line: &str, stage: &Stage) -> String {
    stage
        .words
        .iter()
        .fold(line.to_owned(), |line, (name, value)| line.replace(&format!("{{{name}}}"), value))
}

/// Runs a command, or does what stands for something that happens elsewhere.
fn run(stage: &Stage, case: &Case, place: &str) -> Vec<String> {
    let command = fill(&case.command, stage);
    let (command, filter) = match command.split_once(" | grep ") {
        Some((command, word)) => (command.to_owned(), Some(word.trim().to_owned())),
        None => (command, None),
    };
    let words = shlex::split(&command).unwrap_or_else(|| panic!("{place}: quotes"));
    let (program, arguments) = words.split_first().unwrap();
    assert_eq!(program, "oc", "{place}");
    let output = stage.oc(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(case.code), "{place}: {said}");
    let mut text = String::from_utf8(output.stdout).unwrap();
    if case.code != 0 {
        text += &said;
    } else {
        stage.settle();
    }
    let lines = text
        .lines()
        .map(expanded)
        .filter(|line| filter.as_ref().is_none_or(|word| line.contains(word.as_str())));
    lines.collect()
}

/// TABs to the next multiple of eight, and no blanks at the end.
fn expanded(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if c == '\t' {
            let width = out.chars().count();
            out.extend(std::iter::repeat_n(' ', 8 - width % 8));
        } else {
            out.push(c);
        }
    }
    out.trim_end().to_owned()
}

/// Whether what was printed is what was expected; else the line from which on it is not.
fn compare(expected: &[String], printed: &[String]) -> Result<(), usize> {
    let trim = |lines: &[String]| {
        let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
        lines[..end].to_vec()
    };
    let (expected, printed) = (trim(expected), trim(printed));
    walk(&expected, &printed, 1)
}

fn walk(expected: &[String], printed: &[String], at: usize) -> Result<(), usize> {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => Ok(()),
        (Some((dots, rest)), _) if dots == "..." => {
            let found = (0..=printed.len()).find(|skip| walk(rest, &printed[*skip..], at).is_ok());
            found.map(|_| ()).ok_or(at)
        }
        (Some((line, rest)), Some((own, own_rest))) if fits(line.trim_end(), own) => {
            walk(rest, own_rest, at + 1)
        }
        _ => Err(at),
    }
}

/// Whether a line is as expected, with `[..]` for anything.
fn fits(expected: &str, line: &str) -> bool {
    let parts: Vec<&str> = expected.split("[..]").collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return *first == line;
    }
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn what_is_left_out_is_anything_and_the_rest_is_compared() {
    assert!(fits("a [..] c", "a b c") && fits("[..]", "") && !fits("a [..] c", "a b d"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(compare(&lines("a\n...\nd"), &lines("a\nb\nc\nd\n\n")), Ok(()));
    assert_eq!(compare(&lines("a\nb"), &lines("a\nc")), Err(2));
    assert_eq!(compare(&lines("a"), &lines("a\nb")), Err(2));
    assert_eq!(expanded("Name:\tx\t"), "Name:   x");
}
