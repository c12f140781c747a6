//! A Dockerfile as its instructions, each with where it stands in the text.
//!
//! Lines are put together as buildah does it (openshift/imagebuilder `dockerfile/parser/parser.go`): what buildah takes
//! for an instruction is one here, and the other way round. Here-documents are those of buildah since 1.33; one that
//! nothing ends is none, as with older ones.

use std::collections::BTreeMap;
use std::ops::Range;

use super::EditError;

/// What separates words where buildah looks for nothing but words.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// A text and its instructions.
#[derive(Debug)]
pub(super) struct Parsed {
    /// What continues a line when it is its last character.
    pub(super) escape: char,
    /// What it says, in order.
    pub(super) instructions: Vec<Instruction>,
    /// How much of the text is to be kept where something is added: the last line goes on, and nothing follows.
    pub(super) end: usize,
}

/// One instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    /// Its name in lower case.
    pub(super) keyword: String,
    /// What begins with `--` behind it, without quotes.
    pub(super) flags: Vec<Word>,
    /// All of it on one line.
    pub(super) line: String,
    /// Where its arguments begin in that.
    arguments: usize,
    /// Where what it is put together of begins: in the line, and in the text.
    pieces: Vec<(usize, usize)>,
    /// The number of its first line, from 1.
    pub(super) number: usize,
    /// Where it ends in the text, with its here-documents and the end of its last line.
    pub(super) end: usize,
}

/// A word and where it stands in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Instruction {
    /// What is behind its name and its flags.
    pub(super) fn arguments(&self) -> &str {
        self.line.get(self.arguments..).unwrap_or_default().trim()
    }

    /// Its arguments as words, quotes and all.
    pub(super) fn words(&self) -> Vec<Word> {
        let rest = self.line.get(self.arguments..).unwrap_or_default();
        let mut words = Vec::new();
        let mut at = self.arguments;
        for word in rest.split(BLANKS) {
            if !word.is_empty() {
                let span = self.span(at..at + word.len());
                words.push(Word { text: word.to_owned(), span });
            }
            at += word.len() + 1;
        }
        words
    }

    /// Where a part of the line stands in the text; what continues it in between is part of it.
    fn span(&self, part: Range<usize>) -> Range<usize> {
        let at = |at: usize| {
            let piece = self.pieces.partition_point(|(start, _)| *start <= at).saturating_sub(1);
            self.pieces.get(piece).map_or(0, |(start, source)| source + (at - start))
        };
        at(part.start)..at(part.end.saturating_sub(1)) + 1
    }
}

/// Lines as Go's `bufio.ScanLines` has them.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Where the next line begins, and the line.
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        let line = rest.split('\n').next().unwrap_or_default();
        self.at += (line.len() + 1).min(rest.len());
        self.number += 1;
        Some((start, line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// `# escape=`, which stands before everything else.
struct Directives {
    escape: char,
    seen: bool,
    over: bool,
}

impl Directives {
    fn look(&mut self, line: &str) -> Result<(), EditError> {
        if self.over {
            return Ok(());
        }
        let Some(named) = escape_named(line) else {
            self.over = true;
            return Ok(());
        };
        if self.seen || !['\\', '`'].contains(&named) {
            return Err(EditError::Escape);
        }
        (self.seen, self.escape) = (true, named);
        Ok(())
    }
}

fn escape_named(line: &str) -> Option<char> {
    let blank = |text: &str| text.trim_start_matches([' ', '\t']).to_owned();
    let line = line.to_lowercase();
    let rest = blank(line.strip_prefix('#')?);
    let rest = blank(rest.strip_prefix("escape")?);
    let rest = rest.strip_prefix('=')?;
    blank(rest).chars().next().or_else(|| rest.chars().next_back())
}

/// A line without what continues it, and whether it is the last one of its instruction.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) => (rest, false),
        None => (line, true),
    }
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Parsed, EditError> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = Lines { text, at: start, number: 0 };
    let mut directives = Directives { escape: '\\', seen: false, over: false };
    let mut ends = Ends::default();
    let mut parsed = Parsed { escape: '\\', instructions: Vec::new(), end: text.len() };
    while let Some((start, raw)) = lines.next() {
        let line = raw.trim_start();
        directives.look(line)?;
        let (piece, mut is_whole) = without_continuation(line, directives.escape);
        if line.starts_with('#') || is_whole && piece.is_empty() {
            continue;
        }
        let number = lines.number;
        let mut joined = Joined::default();
        joined.add(piece, start + (raw.len() - line.len()));
        while !is_whole {
            let Some((start, raw)) = lines.next() else { break };
            let bare = raw.trim_start();
            // Comments and empty lines in between are skipped, and end nothing.
            if !bare.is_empty() && !bare.starts_with('#') {
                let piece;
                (piece, is_whole) = without_continuation(raw, directives.escape);
                joined.add(piece, start);
            }
        }
        if !is_whole {
            parsed.end = joined.end().unwrap_or(start);
        }
        if let Some(mut instruction) = joined.instruction(number) {
            ends.skip_documents(&instruction, &mut lines);
            instruction.end = lines.at.min(parsed.end);
            parsed.instructions.push(instruction);
        }
    }
    parsed.escape = directives.escape;
    Ok(parsed)
}

/// The lines of an instruction as one.
#[derive(Default)]
struct Joined {
    line: String,
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    fn add(&mut self, piece: &str, source: usize) {
        if !piece.is_empty() {
            self.pieces.push((self.line.len(), source));
            self.line.push_str(piece);
        }
    }

    /// Where its last character that is no blank ends in the text.
    fn end(&self) -> Option<usize> {
        let end = self.line.trim_end().len();
        let (start, source) = *self.pieces.iter().rev().find(|(start, _)| *start < end)?;
        Some(source + (end - start))
    }

    /// None if there is nothing but what continues lines.
    fn instruction(self, number: usize) -> Option<Instruction> {
        let line = self.line.trim_end();
        let keyword = line.trim_start().split(BLANKS).next().filter(|word| !word.is_empty())?;
        let before = line.len() - line.trim_start().len() + keyword.len();
        let (flags, arguments) = flags(line, before);
        let mut found = Instruction {
            keyword: keyword.to_lowercase(),
            flags: Vec::new(),
            line: line.to_owned(),
            arguments,
            pieces: self.pieces,
            number,
            end: 0,
        };
        let place = |(text, part)| Word { text, span: found.span(part) };
        found.flags = flags.into_iter().map(place).collect();
        Some(found)
    }
}

/// The flags of a line from a place on, and where they end.
fn flags(line: &str, from: usize) -> (Vec<(String, Range<usize>)>, usize) {
    let mut found = Vec::new();
    let mut at = from;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let start = at + (rest.len() - rest.trim_start().len());
        let rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (found, start);
        }
        let (word, len) = flag(rest);
        at = start + len;
        if word == "--" {
            return (found, at);
        }
        found.push((word, start..at));
    }
}

/// A flag without its quotes, and its length with them.
fn flag(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            (c, None) if c.is_whitespace() => return (word, at),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', _) => word.extend(chars.next().map(|(_, next)| next)),
            (c, _) => word.push(c),
        }
    }
    (word, text.len())
}

/// A flag as it is written, so that it reads as this.
pub(super) fn written_flag(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:@+$".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    // Its dashes have to be the first of it.
    let mut written = String::from("--\"");
    for c in text.strip_prefix("--").unwrap_or(text).chars() {
        if matches!(c, '"' | '\\') {
            written.push('\\');
        }
        written.push(c);
    }
    written.push('"');
    written
}

/// The words of a text, with their quotes; what is within quotes or behind an escape separates nothing.
pub(super) fn quoted_words(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if start.is_none() && c.is_whitespace() {
            continue;
        }
        let begin = *start.get_or_insert(at);
        match (c, quote) {
            (c, None) if c.is_whitespace() => {
                words.extend(text.get(begin..at));
                start = None;
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, open) if c == escape && open != Some('\'') => drop(chars.next()),
            _ => {}
        }
    }
    words.extend(start.and_then(|start| text.get(start..)));
    words
}

/// Where lines end that could end a here-document, by their text; looked for once, whatever is asked.
#[derive(Default)]
struct Ends<'a> {
    /// Without the tabs before it, and with them.
    tables: [Option<Table<'a>>; 2],
}

/// Where each text stands as a line.
type Table<'a> = BTreeMap<&'a str, Vec<Range<usize>>>;

impl<'a> Ends<'a> {
    /// Goes behind the here-documents of an instruction.
    fn skip_documents(&mut self, instruction: &Instruction, lines: &mut Lines<'a>) {
        for (name, is_indented) in documents(instruction) {
            let Some(end) = self.after(lines.text, lines.at, &name, is_indented) else { return };
            let skipped = lines.text.get(lines.at..end).unwrap_or_default();
            lines.number += skipped.lines().count();
            lines.at = end;
        }
    }

    fn after(&mut self, text: &'a str, at: usize, name: &str, is_indented: bool) -> Option<usize> {
        let [plain, indented] = &mut self.tables;
        let table = if is_indented { indented } else { plain };
        let table = table.get_or_insert_with(|| {
            let mut table = Table::new();
            let mut at = 0;
            for line in text.split_inclusive('\n') {
                let bare = line.trim_end_matches(['\r', '\n']);
                let bare = if is_indented { bare.trim_start_matches('\t') } else { bare };
                table.entry(bare).or_default().push(at..at + line.len());
                at += line.len();
            }
            table
        });
        let found = table.get(name)?;
        found.get(found.partition_point(|line| line.start < at)).map(|line| line.end)
    }
}

/// The here-documents of an instruction: what ends each, and whether tabs may stand before that.
fn documents(instruction: &Instruction) -> Vec<(String, bool)> {
    let mut arguments = instruction.arguments();
    let mut keyword = instruction.keyword.as_str();
    let inner;
    if keyword == "onbuild" {
        let mut parts = arguments.splitn(2, BLANKS);
        inner = parts.next().unwrap_or_default().to_lowercase();
        keyword = &inner;
        arguments = parts.next().unwrap_or_default().trim_start();
    }
    if !matches!(keyword, "run" | "copy" | "add") || is_json(arguments) {
        return Vec::new();
    }
    quoted_words(&instruction.line, '\\').into_iter().filter_map(document).collect()
}

/// `<<NAME`, `3<<-"NAME"`.
fn document(word: &str) -> Option<(String, bool)> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (is_indented, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let name: String = name.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    (!name.is_empty() && !name.contains('<')).then_some((name, is_indented))
}

/// Whether arguments are a list in JSON.
fn is_json(arguments: &str) -> bool {
    arguments.starts_with('[')
        && serde_json::Deserializer::from_str(arguments)
            .into_iter::<Vec<String>>()
            .next()
            .is_some_and(|list| list.is_ok())
}
