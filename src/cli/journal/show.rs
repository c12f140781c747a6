//! `tidegate journal show`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Context, ExitCode, Format, JournalArguments, print_json, size};
use crate::cli::{offline, when};
use crate::journal::{self, Line, ObjectStore, StoreError, objects_of};
use crate::names::{ContentHash, Seq};
use crate::observed::ObservedState;
use crate::report::is_unsafe;
use crate::report::log::Teller;

/// Show one record with all its fields, where it stands, and the stored objects that it names
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The number of the record
    #[arg(value_name = "SEQ", value_parser = when::seq)]
    seq: Seq,
    #[command(flatten)]
    journal: JournalArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.journal.settings, context)?;
    let root = &config.state_dir;
    let (line, what) = find(root, command.seq)?;
    let store = ObjectStore::at(root);
    let objects = objects_of(&line.record.fact).into_iter().map(|hash| Object::of(hash, &store));
    let shown = Shown {
        format_version: 1,
        record: RawValue::from_string(String::from_utf8_lossy(&line.text).into_owned())?,
        previous: line.previous.as_str(),
        file: &line.place.path,
        line: line.place.line,
        byte: line.place.offset,
        bytes: line.text.len(),
        objects: objects.collect(),
    };
    match command.journal.output {
        Format::Json => print_json(&shown, context)?,
        Format::Text => context.out.write_all(text(&shown, &line, &what)?.as_bytes())?,
    }
    Ok(ExitCode::Done)
}

/// Finds a record, and says what it tells.
fn find(root: &Path, seq: Seq) -> anyhow::Result<(Line, String)> {
    if !offline::has_journal(root)? {
        anyhow::bail!("there is no journal in `{}` yet", root.display());
    }
    let (base, mut reader) = journal::read_before(root, Seq(seq.0.saturating_sub(1)))?;
    let before = reader.head().map_or(Seq(0), |head| head.seq);
    let state = match &base {
        Some(base) => base.state::<ObservedState>().ok(),
        None => (before == Seq(0)).then(ObservedState::default),
    };
    let first = base.as_ref().map_or(before, |base| base.seq().max(before)).next();
    let mut teller = Teller::new(state.as_ref());
    while let Some(line) = reader.next_line()? {
        if line.record.seq == seq {
            let what = teller.what(&line.record);
            return Ok((line, what));
        }
        if line.record.seq > seq {
            break;
        }
        teller.pass(&line.record);
    }
    let last = reader.head().map_or(Seq(0), |head| head.seq);
    if seq < first {
        anyhow::bail!("there is no record {seq}: the journal begins at record {first}");
    }
    anyhow::bail!("there is no record {seq}: the journal ends at record {last}")
}

/// A record, and where it stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    format_version: u32,
    /// As it stands in the file.
    record: Box<RawValue>,
    /// The hash of the line before it.
    previous: &'a str,
    file: &'a PathBuf,
    line: u64,
    byte: u64,
    bytes: usize,
    objects: Vec<Object>,
}

/// A stored object.
#[derive(Serialize)]
struct Object {
    hash: ContentHash,
    bytes: Option<usize>,
    /// Why it cannot be had.
    problem: Option<String>,
}

impl Object {
    fn of(hash: ContentHash, store: &ObjectStore) -> Self {
        match store.get(&hash) {
            Ok(content) => Self { hash, bytes: Some(content.len()), problem: None },
            Err(error) => {
                let what = match error {
                    StoreError::Missing { .. } => "missing: put it back from a backup".to_owned(),
                    StoreError::Damaged { .. } => "damaged: put it back from a backup".to_owned(),
                    error @ StoreError::Io { .. } => format!("{:#}", anyhow::Error::from(error)),
                };
                Self { hash, bytes: None, problem: Some(what) }
            }
        }
    }
}

fn text(shown: &Shown<'_>, line: &Line, what: &str) -> anyhow::Result<String> {
    let record = &line.record;
    let mut out = format!("record {}  {}  {}\n", record.seq, record.at, record.fact.kind());
    if !what.is_empty() {
        writeln!(out, "{what}")?;
    }
    out.push('\n');
    if let Value::Object(fact) = serde_json::to_value(&record.fact)? {
        // One variant: its fields.
        fact.values().for_each(|fields| write_fields(&mut out, fields, 0));
    } else {
        out.push_str("(no fields)\n");
    }
    out.push('\n');
    for object in &shown.objects {
        match (&object.bytes, &object.problem) {
            (Some(bytes), _) => {
                writeln!(out, "object    {}  {}", object.hash, size(*bytes as u64))?;
            }
            (None, problem) => {
                let problem = problem.as_deref().unwrap_or_default();
                writeln!(out, "object    {}  {problem}", object.hash)?;
            }
        }
    }
    writeln!(out, "hash      {}", line.hash)?;
    writeln!(out, "previous  {}", line.previous)?;
    let Shown { file, line, byte, bytes, .. } = shown;
    writeln!(out, "file      {}, line {line}, byte {byte}, {bytes} bytes", file.display())?;
    Ok(out)
}

/// Writes a value as a person would: one field a line, lists with dashes, nothing quoted that need not be.
fn write_fields(out: &mut String, value: &Value, indent: usize) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match scalar(value) {
                    Some(text) => out.push_str(&format!("{pad}{name}: {text}\n")),
                    None => {
                        out.push_str(&format!("{pad}{name}:\n"));
                        write_fields(out, value, indent + 2);
                    }
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                match scalar(value) {
                    Some(text) => out.push_str(&format!("{pad}- {text}\n")),
                    None => {
                        let mut item = String::new();
                        write_fields(&mut item, value, indent + 2);
                        let item = item.get(indent + 2..).unwrap_or_default();
                        out.push_str(&format!("{pad}- {item}"));
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&format!("{pad}{}\n", scalar(value).unwrap_or_default()));
        }
    }
}

/// A value that fits behind its name.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        // As JSON where it could move a cursor or turn letters around.
        Value::String(text) if text.chars().any(is_unsafe) => Some(escaped(&value.to_string())),
        Value::String(text) => Some(text.clone()),
        Value::Array(values) if values.is_empty() => Some("none".to_owned()),
        Value::Object(fields) if fields.is_empty() => Some("none".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// JSON without such characters as it may hold unescaped.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}
