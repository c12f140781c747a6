//! Diagnostics as text with the source line, as JSON, and as SARIF.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use crate::desired::diagnostic::{Diagnostic, Severity};

use super::Findings;
use super::secrecy::may_be_secret;

/// Prints each diagnostic as rustc would.
pub(super) fn text(
    out: &mut dyn Write,
    diagnostics: &[Diagnostic],
    texts: &BTreeMap<String, Arc<[u8]>>,
) -> std::io::Result<()> {
    let renderer = Renderer::styled();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let at = &diagnostic.position;
        let bytes = texts.get(&at.path).map(|bytes| String::from_utf8_lossy(bytes));
        let number = usize::try_from(at.line).unwrap_or(usize::MAX);
        let line = bytes
            .as_deref()
            .filter(|text| !may_be_secret(text, number))
            .and_then(|text| text.lines().nth(number.checked_sub(1)?));
        let title = level.primary_title(&diagnostic.message).id(&diagnostic.rule);
        let mut group = Group::with_title(title);
        group = match line {
            Some(line) => {
                let line = clip(line);
                let start = byte_of(line, at.column);
                let length = line.get(start..).map_or(0, mark_length);
                let snippet = Snippet::source(line.to_owned())
                    .line_start(at.line as usize)
                    .path(&at.path)
                    .annotation(AnnotationKind::Primary.span(start..start + length));
                group.element(snippet)
            }
            None => group.element(annotate_snippets::Origin::path(at.to_string())),
        };
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        writeln!(out, "{}\n", renderer.render(&[group]))?;
    }
    Ok(())
}

/// Lines of generated JSON can have megabytes.
fn clip(line: &str) -> &str {
    let end = line.char_indices().nth(2000).map_or(line.len(), |(at, _)| at);
    line.get(..end).unwrap_or(line)
}

fn byte_of(line: &str, column: u32) -> usize {
    let at = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    line.char_indices().nth(at).map_or(line.len(), |(byte, _)| byte)
}

/// The word that a mark is put under: up to the end of the line, a comment or a flow separator.
fn mark_length(rest: &str) -> usize {
    let quoted = rest.starts_with(['"', '\'']);
    let end = if quoted {
        rest.get(1..).and_then(|inner| inner.find(['"', '\''])).map(|at| at + 2)
    } else {
        let ends = [rest.find(": "), rest.find(" #"), rest.find([',', '}', ']'])];
        ends.into_iter().flatten().min()
    };
    rest.get(..end.unwrap_or(rest.len())).map_or(0, |word| word.trim_end_matches([':', ' ']).len())
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Prints one object.
pub(super) fn json(out: &mut dyn Write, findings: &Findings) -> std::io::Result<()> {
    let diagnostics: Vec<_> = findings
        .diagnostics
        .iter()
        .map(|diagnostic| {
            json!({
                "severity": severity(diagnostic.severity),
                "path": diagnostic.position.path,
                "line": diagnostic.position.line,
                "column": diagnostic.position.column,
                "rule": diagnostic.rule,
                "message": diagnostic.message,
                "hint": diagnostic.hint,
            })
        })
        .collect();
    let rejected: Vec<_> = findings
        .state
        .rejected
        .iter()
        .map(|rejected| {
            json!({
                "object": rejected.object.as_ref().map(ToString::to_string),
                "position": rejected.diagnostic.position.to_string(),
                "rule": rejected.diagnostic.rule,
            })
        })
        .collect();
    let report = json!({
        "formatVersion": 1,
        "files": findings.files,
        "objects": findings.state.keys().map(|key| key.to_string()).collect::<Vec<_>>(),
        "companions": findings.state.companions.len(),
        "otherDocuments": findings.others,
        "rejected": rejected,
        "diagnostics": diagnostics,
    });
    writeln!(out, "{report:#}")
}

/// Prints a SARIF 2.1.0 log.
pub(super) fn sarif(out: &mut dyn Write, diagnostics: &[Diagnostic]) -> std::io::Result<()> {
    let rules: BTreeSet<&str> = diagnostics.iter().map(|d| d.rule.as_str()).collect();
    let results: Vec<_> = diagnostics.iter().map(|d| sarif_result(d, &rules)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    writeln!(out, "{log:#}")
}

fn sarif_result(diagnostic: &Diagnostic, rules: &BTreeSet<&str>) -> serde_json::Value {
    let at = &diagnostic.position;
    let artifact = json!({ "uri": uri(&at.path) });
    let location = match (at.line, at.column) {
        (0, _) => json!({ "artifactLocation": artifact }),
        (line, 0) => json!({ "artifactLocation": artifact, "region": { "startLine": line } }),
        (line, column) => json!({
            "artifactLocation": artifact,
            "region": { "startLine": line, "startColumn": column },
        }),
    };
    let text = match &diagnostic.hint {
        Some(hint) => format!("{}\nhint: {hint}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    json!({
        "ruleId": diagnostic.rule,
        "ruleIndex": rules.iter().position(|rule| *rule == diagnostic.rule),
        "level": severity(diagnostic.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location }],
    })
}

/// A path as a relative URI reference.
fn uri(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
