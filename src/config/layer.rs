//! The layers of the configuration, file < environment < flags, merged into one map that remembers where each value
//! stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::compat::{self, Taken};
use super::keys::{KEYS, KeyPath};
use super::{ConfigError, Problem};

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, at a line.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// From the environment or a flag: what it is shows when it is read.
    Untyped(String),
    Text(String),
    Integer(String),
    Boolean(bool),
    List(Vec<String>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Everything that somebody set.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) entries: BTreeMap<KeyPath, Entry>,
    /// Tables of the file, also those without keys.
    pub(super) tables: BTreeMap<KeyPath, Origin>,
    pub(super) problems: Vec<Problem>,
    /// What is odd but does not stop anybody.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Adds the file's values.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let file = File { path, text };
        self.add_table(&file, &KeyPath::default(), table.get_ref());
        Ok(())
    }

    fn add_table(&mut self, file: &File<'_>, at: &KeyPath, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            let path = at.child(name.get_ref());
            let origin = file.origin(name);
            if let Some(name) = compat::name(&path) {
                self.add_compat(&path, compat::take(name, value.get_ref()), origin);
                continue;
            }
            if let DeValue::Table(table) = value.get_ref() {
                if path.is_section() {
                    self.tables.insert(path.clone(), origin);
                    self.add_table(file, &path, table);
                } else {
                    self.unknown(&path, origin, "is not a section");
                }
                continue;
            }
            if path.doc().is_none() {
                let why =
                    if path.is_section() { "is a section, not a value" } else { "is not known" };
                self.unknown(&path, origin, why);
                continue;
            }
            match file_value(value.get_ref()) {
                Ok(value) => {
                    self.entries.insert(path, Entry { value, origin });
                }
                Err(why) => self.problems.push(Problem::new(&path, origin, why)),
            }
        }
    }

    /// Adds what OpenShift's own block says; keys of ours win, wherever they stand in the file.
    fn add_compat(&mut self, path: &KeyPath, taken: Taken, origin: Origin) {
        let problem = |why: &str| Problem::new(path, origin.clone(), why.to_owned());
        match taken {
            Taken::Set(key, value) => {
                let entry = Entry { value, origin };
                self.entries.entry(KeyPath::of(key)).or_insert(entry);
            }
            Taken::Nothing => {}
            Taken::NotActedOn(instead) => {
                let warning = format!(
                    "{origin}: `{path}` is known, but this version does not act on it: {instead}"
                );
                self.warnings.push(warning);
            }
            Taken::Wrong(why) => self.problems.push(problem(why)),
            Taken::Unknown => {
                self.problems.push(problem("is no key of OpenShift's imagePolicyConfig"));
            }
        }
    }

    fn unknown(&mut self, path: &KeyPath, origin: Origin, why: &str) {
        let hint = match path.nearest() {
            Some(nearest) if nearest != path.to_string() && !path.is_section() => {
                format!("; did you mean `{nearest}`?")
            }
            _ if path.is_section() => format!("; write its keys below `[{path}]`"),
            _ => "; `tidegate config --keys` lists all keys".to_owned(),
        };
        self.problems.push(Problem::new(path, origin, format!("{why}{hint}")));
    }

    /// Adds the values of `TIDEGATE_<SECTION>__<KEY>`, and of `TIDEGATE_LOG` for `log.level`.
    pub(super) fn add_environment(&mut self, environment: &BTreeMap<String, String>) {
        let variables: Vec<(String, &str)> =
            KEYS.iter().filter_map(|doc| Some((doc.variable()?, doc.pattern))).collect();
        if let Some(level) = environment.get("TIDEGATE_LOG") {
            self.add_untyped("log.level", level, Origin::Environment("TIDEGATE_LOG".into()));
        }
        for (name, value) in environment.range("TIDEGATE_".to_owned()..) {
            if !name.starts_with("TIDEGATE_") {
                break;
            }
            let origin = Origin::Environment(name.clone());
            if let Some((_, key)) = variables.iter().find(|(variable, _)| variable == name) {
                self.add_untyped(key, value, origin);
            } else if !["TIDEGATE_LOG", "TIDEGATE_CONFIG"].contains(&name.as_str()) {
                self.unknown_variable(name, &variables);
            }
        }
    }

    /// Two underscores are surely ours. Other names may be somebody else's: in a pod, a service that is called
    /// `tidegate` gives `TIDEGATE_PORT` and more.
    fn unknown_variable(&mut self, name: &str, variables: &[(String, &str)]) {
        let scored =
            variables.iter().map(|(variable, _)| (strsim::osa_distance(name, variable), variable));
        let near = scored.min().filter(|(distance, _)| *distance <= 1 + name.len() / 6);
        let hint = near.map(|(_, near)| format!("; did you mean `{near}`?"));
        if name.contains("__") {
            let hint = hint.unwrap_or_else(|| "; `tidegate config --keys` lists all".to_owned());
            let origin = Origin::Environment(name.to_owned());
            let why = format!("is not a variable of any key{hint}");
            self.problems.push(Problem { key: name.to_owned(), origin, why });
        } else if let Some(hint) = hint {
            self.warnings.push(format!("variable `{name}` is not known{hint}"));
        }
    }

    /// Adds the value of a flag; `key` is a path of the table or one that a user gave.
    pub(super) fn add_flag(&mut self, flag: &str, key: &str, value: &str) {
        let origin = Origin::Flag(flag.to_owned());
        let path = match toml_path(key) {
            Some(path) => path,
            None => KeyPath::of(key),
        };
        if path.doc().is_some() {
            self.entries.insert(path, Entry { value: Value::Untyped(value.to_owned()), origin });
        } else {
            self.unknown(&path, origin, "is not known");
        }
    }

    fn add_untyped(&mut self, key: &str, value: &str, origin: Origin) {
        let value = Value::Untyped(value.to_owned());
        self.entries.insert(KeyPath::of(key), Entry { value, origin });
    }
}

/// Reads `registries."localhost:5000".insecure` by the reader of TOML itself.
fn toml_path(key: &str) -> Option<KeyPath> {
    let text = format!("{key} = 0");
    let table = DeTable::parse(&text).ok()?;
    let mut path = KeyPath::default();
    let mut table = table.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path = path.child(name.get_ref());
        let DeValue::Table(inner) = value.get_ref() else { return Some(path) };
        table = inner;
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn origin<T>(&self, at: &Spanned<T>) -> Origin {
        Origin::File { path: self.path.to_owned(), line: line_of(self.text, at.span().start) }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn file_value(value: &DeValue<'_>) -> Result<Value, String> {
    match value {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Integer(number) if number.radix() == 10 => {
            Ok(Value::Integer(number.as_str().to_owned()))
        }
        DeValue::Integer(_) => Err("expected a decimal number".into()),
        DeValue::Boolean(value) => Ok(Value::Boolean(*value)),
        DeValue::Array(values) => {
            let text = |value: &Spanned<DeValue<'_>>| match value.get_ref().as_str() {
                Some(text) => Ok(text.to_owned()),
                None => {
                    Err(format!("expected text in the list, found {}", value.get_ref().type_str()))
                }
            };
            values.iter().map(text).collect::<Result<_, _>>().map(Value::List)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            Err(format!("no key takes a {}", value.type_str()))
        }
    }
}
