//! From layers to settings: every key is read once, checked, and noted with what it came to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::keys::KeyPath;
use super::layer::{Layers, Origin, Value};
use super::{Problem, Setting};
use crate::time::Span;

/// Reads values out of the layers, and keeps what was wrong and what is in force.
pub(super) struct Reader {
    layers: Layers,
    /// What relative paths of the file are relative to.
    file_folder: PathBuf,
    /// What those of flags and variables are relative to.
    work_folder: PathBuf,
    pub(super) settings: Vec<Setting>,
}

/// How a value is shown by `tidegate config`.
#[derive(Clone, Copy)]
pub(super) enum Show {
    Plain,
    /// It is a secret: never.
    Masked,
}

impl Reader {
    pub(super) fn new(layers: Layers, file_folder: PathBuf, work_folder: PathBuf) -> Self {
        Self { layers, file_folder, work_folder, settings: Vec::new() }
    }

    /// Ends reading.
    pub(super) fn finish(self) -> (Vec<Setting>, Vec<Problem>, Vec<String>) {
        let mut problems = self.layers.problems;
        problems.sort_by_key(|problem| match &problem.origin {
            Origin::File { line, .. } => (0, *line),
            Origin::Environment(_) => (1, 0),
            Origin::Flag(_) => (2, 0),
            Origin::Default => (3, 0),
        });
        (self.settings, problems, self.layers.warnings)
    }

    pub(super) fn problem(&mut self, path: &KeyPath, why: impl Into<String>) {
        let origin = self.origin(path);
        self.layers.problems.push(Problem::new(path, origin, why));
    }

    /// Tells of what is odd and stops nobody.
    pub(super) fn warn(&mut self, path: &KeyPath, why: impl std::fmt::Display) {
        let origin = self.origin(path);
        self.layers.warnings.push(format!("{origin}: `{path}`: {why}"));
    }

    /// Where a key, or else its section, was set.
    pub(super) fn origin(&self, path: &KeyPath) -> Origin {
        if let Some(entry) = self.layers.entries.get(path) {
            return entry.origin.clone();
        }
        self.layers.tables.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// Whether somebody set this very key.
    pub(super) fn is_set(&self, path: &KeyPath) -> bool {
        self.layers.entries.contains_key(path)
    }

    /// The names that the user chose below a section.
    pub(super) fn names(&self, section: &KeyPath) -> BTreeSet<String> {
        let depth = section.0.len();
        let paths = self.layers.entries.keys().chain(self.layers.tables.keys());
        paths
            .filter(|path| path.0.starts_with(&section.0))
            .filter(|path| path.doc().is_none_or(|doc| doc.pattern.contains('*')))
            .filter_map(|path| path.0.get(depth).cloned())
            .collect()
    }

    /// Reads one key with `parse`; notes it as `show` says.
    pub(super) fn read<T>(
        &mut self,
        path: &KeyPath,
        show: Show,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let entry = self.layers.entries.get(path)?.clone();
        match parse(&entry.value) {
            Ok(value) => {
                let shown = match show {
                    Show::Plain => entry.value.to_json(),
                    Show::Masked => serde_json::Value::from("***"),
                };
                self.note(path, shown, entry.origin);
                Some(value)
            }
            Err(why) => {
                self.problem(path, why);
                None
            }
        }
    }

    /// Notes what a key came to.
    pub(super) fn note(&mut self, path: &KeyPath, value: serde_json::Value, origin: Origin) {
        self.settings.push(Setting { key: path.to_string(), value, origin });
    }

    fn or<T>(
        &mut self,
        key: &str,
        default: T,
        shown: impl FnOnce(&T) -> serde_json::Value,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        let path = KeyPath::of(key);
        match self.read(&path, Show::Plain, parse) {
            Some(value) => value,
            None => {
                if !self.layers.entries.contains_key(&path) {
                    self.note(&path, shown(&default), Origin::Default);
                }
                default
            }
        }
    }

    pub(super) fn parsed<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr<Err: std::fmt::Display> + std::fmt::Display,
    {
        self.or(key, default, |value| value.to_string().into(), parse_text)
    }

    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        self.parsed(key, default.to_owned())
    }

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.or(key, default, |value| (*value).into(), Value::boolean)
    }

    pub(super) fn count(&mut self, key: &str, default: usize, least: usize) -> usize {
        self.or(key, default, |value| (*value).into(), |value| value.count(least))
    }

    /// A number of a type of its own.
    pub(super) fn number<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr<Err: std::fmt::Display> + std::fmt::Display,
    {
        let shown = |value: &T| {
            let text = value.to_string();
            text.parse::<i64>().map_or_else(|_| text.into(), serde_json::Value::from)
        };
        self.or(key, default, shown, |value| match value {
            Value::Integer(text) | Value::Untyped(text) => {
                text.parse().map_err(|error: T::Err| error.to_string())
            }
            Value::Text(_) | Value::Boolean(_) | Value::List(_) => {
                Err(format!("expected a number, {}", value.found()))
            }
        })
    }

    pub(super) fn span(&mut self, key: &str, default: Duration, least: Duration) -> Duration {
        let shown = |value: &Duration| Span(*value).to_string().into();
        self.or(key, default, shown, |value| value.span(least))
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        self.or(key, Vec::new(), |value| value.clone().into(), Value::list)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
        default: usize,
    ) -> Option<T> {
        let default = words.get(default).map(|(word, value)| ((*word).to_owned(), *value))?;
        let choose = |value: &Value| {
            let text = value.text()?;
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text));
            found.map(|(word, value)| ((*word).to_owned(), *value)).ok_or_else(|| {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
                format!("`{text}` is not one of {}", words.join(", "))
            })
        };
        Some(self.or(key, default, |(word, _)| word.clone().into(), choose).1)
    }

    /// A map below a section, with keys and values that know their own grammar.
    pub(super) fn map<K, V>(&mut self, section: &str, show: Show) -> BTreeMap<K, V>
    where
        K: FromStr<Err: std::fmt::Display> + Ord,
        V: FromStr<Err: std::fmt::Display>,
    {
        let section = KeyPath::of(section);
        self.map_at(&section, |_| show)
    }

    pub(super) fn map_at<K, V>(
        &mut self,
        section: &KeyPath,
        show: impl Fn(&str) -> Show,
    ) -> BTreeMap<K, V>
    where
        K: FromStr<Err: std::fmt::Display> + Ord,
        V: FromStr<Err: std::fmt::Display>,
    {
        let mut map = BTreeMap::new();
        for name in self.names(section) {
            let path = section.child(&name);
            let value = self.read(&path, show(&name), parse_text);
            match (name.parse::<K>(), value) {
                (Ok(key), Some(value)) => {
                    map.insert(key, value);
                }
                (Err(error), _) => self.problem(&path, error.to_string()),
                (Ok(_), None) => {}
            }
        }
        map
    }

    /// A path made absolute: relative to the file for values of the file, else to where the command was called.
    pub(super) fn absolute(&self, path: &KeyPath, value: &str) -> PathBuf {
        let folder = match self.origin(path) {
            Origin::File { .. } => &self.file_folder,
            Origin::Default | Origin::Environment(_) | Origin::Flag(_) => &self.work_folder,
        };
        clean(&folder.join(value))
    }

    /// Reads a path.
    pub(super) fn path(&mut self, path: &KeyPath) -> Option<PathBuf> {
        let text = self.read(path, Show::Plain, |value| match value.text()? {
            text if text.is_empty() => Err("the path is empty".to_owned()),
            text => Ok(text),
        })?;
        let absolute = self.absolute(path, &text);
        self.replace_note(absolute.display().to_string());
        Some(absolute)
    }

    /// Shows the value that was read last in another form.
    pub(super) fn replace_note(&mut self, value: impl Into<serde_json::Value>) {
        if let Some(setting) = self.settings.last_mut() {
            setting.value = value.into();
        }
    }
}

/// Takes out `.` and empty components; `..` stays, because a link may stand before it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

fn parse_text<T: FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<T, String> {
    value.text()?.parse().map_err(|error: T::Err| error.to_string())
}

impl Value {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Untyped(text) | Self::Text(text) => text.clone().into(),
            Self::Integer(number) => {
                number.parse::<i64>().map_or_else(|_| number.clone().into(), Into::into)
            }
            Self::Boolean(value) => (*value).into(),
            Self::List(list) => list.clone().into(),
        }
    }

    fn found(&self) -> String {
        match self {
            Self::Untyped(text) => format!("found `{text}`"),
            Self::Text(text) => format!("found the text \"{text}\""),
            Self::Integer(number) => format!("found the number {number}"),
            Self::Boolean(value) => format!("found {value}"),
            Self::List(_) => "found a list".into(),
        }
    }

    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Untyped(text) | Self::Text(text) => Ok(text.clone()),
            Self::Integer(_) | Self::Boolean(_) => {
                Err(format!("expected text in quotes, {}", self.found()))
            }
            Self::List(_) => Err(format!("expected text, {}", self.found())),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self {
            Self::Boolean(value) => Ok(*value),
            Self::Untyped(text) if text == "true" => Ok(true),
            Self::Untyped(text) if text == "false" => Ok(false),
            Self::Untyped(_) | Self::Text(_) | Self::Integer(_) | Self::List(_) => {
                Err(format!("expected true or false, {}", self.found()))
            }
        }
    }

    pub(super) fn count(&self, least: usize) -> Result<usize, String> {
        let (Self::Integer(text) | Self::Untyped(text)) = self else {
            return Err(format!("expected a number, {}", self.found()));
        };
        let number = text.parse::<usize>().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("expected a number of at least {least}, {}", self.found()))
    }

    pub(super) fn span(&self, least: Duration) -> Result<Duration, String> {
        let text = match self {
            Self::Integer(number) => {
                return Err(format!("a span needs a unit: write \"{number}s\" or \"{number}m\""));
            }
            Self::Untyped(_) | Self::Text(_) | Self::Boolean(_) | Self::List(_) => self.text()?,
        };
        let Span(span) =
            text.parse().map_err(|error: crate::time::ParseSpanError| error.to_string())?;
        if span < least {
            return Err(format!("`{text}` is too short: write at least \"{}\"", Span(least)));
        }
        Ok(span)
    }

    pub(super) fn list(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(list) => Ok(list.clone()),
            Self::Untyped(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()),
            Self::Text(_) | Self::Integer(_) | Self::Boolean(_) => {
                Err(format!("expected a list like [\"a\", \"b\"], {}", self.found()))
            }
        }
    }
}
