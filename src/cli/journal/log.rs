//! `tidegate journal log`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use super::{Context, ExitCode};
use crate::cli::follow::{Changes, is_unread};
use crate::cli::offline;
use crate::cli::when::{self, When};
use crate::config::{self, Config};
use crate::desired::DesiredState;
use crate::fact::{Fact, Record};
use crate::journal::{self, JournalError, Line, Reader};
use crate::names::{Namespace, Seq};
use crate::observed::ObservedState;
use crate::report::log::{Teller, named, names};
use crate::report::select::{Known, SelectError, Selection};
use crate::time::Timestamp;

/// Records that are shown before following begins, where nothing else is asked for.
const LINES_BEFORE_FOLLOWING: usize = 10;

/// Print records, one line each: number, time, kind, what happened
///
/// Needs no daemon, and shows what could be read where the journal is damaged. `tidegate history` tells the same as the
/// chain from cause to outcome. Exits with 1 if not everything could be read.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Only records that name this workload, image stream or tag
    ///
    /// By name (`web`), with its namespace (`shop/web`), with its kind (`dc/web`, `is/python`), or a tag (`python:3.6`).
    #[arg(value_name = "OBJECT")]
    object: Option<String>,
    /// Namespace of an OBJECT that names none [default: `default_namespace`]
    #[arg(short = 'N', long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    /// Only records of this kind of fact; may be given several times
    #[arg(short, long = "kind", value_name = "KIND", ignore_case = true)]
    #[arg(value_parser = PossibleValuesParser::new(Fact::KINDS))]
    kinds: Vec<String>,
    /// Nothing before this: a time like 2026-11-21T08:00:00Z, a local one, or a span ago like 2h
    #[arg(long, value_name = "TIME", value_parser = when::when)]
    since: Option<When>,
    /// Nothing after this
    #[arg(long, value_name = "TIME", value_parser = when::when)]
    until: Option<When>,
    /// The first record
    #[arg(long, value_name = "SEQ", value_parser = when::seq)]
    from: Option<Seq>,
    /// The last record
    #[arg(long, value_name = "SEQ", value_parser = when::seq)]
    to: Option<Seq>,
    /// At most this many, the newest [default: all; with --follow, and without --from and --since, 10]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    lines: Option<usize>,
    /// Go on with what is written from now on, until the end that --to or --until names, or until it is interrupted
    #[arg(short, long)]
    follow: bool,
    /// How to print
    #[arg(short, long, alias = "format", value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    settings: config::SettingArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs: the lines as they stand in the journal
    Json,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.settings, context)?;
    let root = &config.state_dir;
    if !offline::has_journal(root)? {
        anyhow::bail!("there is no journal in `{}` yet", root.display());
    }
    let wanted = Wanted::of(command, &config)?;
    let follow = command.follow.then(|| Changes::of(&root.join("journal")));
    let mut tail = Tail::open(root, command.from)?;
    let default = (command.follow && command.from.is_none() && command.since.is_none())
        .then_some(LINES_BEFORE_FOLLOWING);
    let lines = command.lines.or(default);
    let mut kept = VecDeque::new();
    let mut ended = false;
    let damage = loop {
        match tail.next(&mut *context.err) {
            Ok(Some(line)) => {
                match (tail.tell(&line, &wanted, command.output), lines) {
                    (None, _) => {}
                    (Some(text), None) => writeln!(context.out, "{text}")?,
                    (Some(text), Some(lines)) => {
                        kept.push_back(text);
                        if kept.len() > lines {
                            kept.pop_front();
                        }
                    }
                }
                if wanted.is_over(tail.passed()) {
                    ended = true;
                    break None;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    for text in kept {
        writeln!(context.out, "{text}")?;
    }
    if let Some(error) = damage {
        return Err(anyhow::Error::new(error).context("the log is not complete"));
    }
    if let Some(changes) = follow.filter(|_| !ended) {
        self::follow(&changes, &mut tail, &wanted, command.output, context)?;
    }
    Ok(ExitCode::Done)
}

/// Prints what is written from now on, until nobody reads on or the last record that is wanted was there.
fn follow(
    changes: &Changes,
    tail: &mut Tail,
    wanted: &Wanted,
    output: Format,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    loop {
        // Asked before the look, so that what was written until then is shown.
        let over = wanted.is_past(Timestamp::from_jiff(jiff::Timestamp::now()));
        while let Some(line) = tail.next(&mut *context.err)? {
            if let Some(text) = tail.tell(&line, wanted, output) {
                writeln!(context.out, "{text}")?;
            }
            if wanted.is_over(tail.passed()) {
                return Ok(());
            }
        }
        context.out.flush()?;
        if over || wanted.is_over(tail.passed()) || is_unread() {
            return Ok(());
        }
        changes.wait();
    }
}

/// The end of the journal, told from the records before it.
struct Tail {
    root: PathBuf,
    reader: Reader,
    teller: Teller,
    last: Seq,
}

impl Tail {
    fn open(root: &Path, from: Option<Seq>) -> anyhow::Result<Self> {
        let before = Seq(from.map_or(0, |from| from.0.saturating_sub(1)));
        let (base, reader) = journal::read_before(root, before)?;
        let (root, last) = (root.to_owned(), reader.head().map_or(Seq(0), |head| head.seq));
        let state = match &base {
            // The records tell themselves without it, only less well.
            Some(base) => base.state::<ObservedState>().ok(),
            None => (last == Seq(0)).then(ObservedState::default),
        };
        Ok(Self { root, reader, teller: Teller::new(state.as_ref()), last })
    }

    /// The next record, also where old files were removed meanwhile.
    fn next(&mut self, err: &mut dyn std::io::Write) -> Result<Option<Line>, JournalError> {
        match self.reader.next_line() {
            Ok(line) => {
                self.last = line.as_ref().map_or(self.last, |line| line.record.seq);
                Ok(line)
            }
            Err(error) if error.is_gone() || matches!(error, JournalError::Missing { .. }) => {
                let Ok(tail) = Self::open(&self.root, None) else { return Err(error) };
                if tail.last <= self.last {
                    return Err(error);
                }
                let (first, last) = (self.last.next(), tail.last);
                let note = "were compacted away before they could be shown";
                drop(writeln!(err, "note: records {first} to {last} {note}")); // nobody listens
                *self = tail;
                self.next(err)
            }
            Err(error) => Err(error),
        }
    }

    /// The last record that was returned or passed over.
    fn passed(&self) -> Seq {
        self.reader.head().map_or(Seq(0), |head| head.seq)
    }

    fn tell(&mut self, line: &Line, wanted: &Wanted, output: Format) -> Option<String> {
        if !wanted.has(&line.record) {
            self.teller.pass(&line.record);
            return None;
        }
        Some(match output {
            Format::Text => self.teller.tell(&line.record),
            Format::Json => String::from_utf8_lossy(&line.text).into_owned(),
        })
    }
}

/// What is to be shown.
struct Wanted {
    select: Option<Selection>,
    kinds: Vec<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    from: Option<Seq>,
    to: Option<Seq>,
}

impl Wanted {
    fn of(command: &Command, config: &Config) -> anyhow::Result<Self> {
        let now = Timestamp::from_jiff(jiff::Timestamp::now());
        let namespace = command.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
        let object = command.object.as_deref();
        Ok(Self {
            select: object.map(|text| select(text, namespace, &config.state_dir)).transpose()?,
            kinds: command.kinds.clone(),
            since: command.since.map(|since| since.time(now)),
            until: command.until.map(|until| until.time(now)),
            from: command.from,
            to: command.to,
        })
    }

    fn has(&self, record: &Record) -> bool {
        let Record { seq, at, fact } = record;
        self.from.is_none_or(|from| *seq >= from)
            && self.to.is_none_or(|to| *seq <= to)
            && self.since.is_none_or(|since| *at >= since)
            && self.until.is_none_or(|until| *at <= until)
            && (self.kinds.is_empty()
                || self.kinds.iter().any(|kind| kind.eq_ignore_ascii_case(fact.kind())))
            && self.select.as_ref().is_none_or(|select| names(fact, select))
    }

    /// Whether nothing that is wanted comes behind this record. Its time does not say so: a clock may have been ahead.
    fn is_over(&self, passed: Seq) -> bool {
        self.to.is_some_and(|to| passed >= to)
    }

    /// Whether nothing that is written from now on is wanted.
    fn is_past(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until < now)
    }
}

/// Finds what `text` means among what the journal knows now, else among all that it ever named.
///
/// Of a journal that is damaged, that is what could be read of it: the log itself then says where that ends, and why.
fn select(text: &str, namespace: &Namespace, root: &Path) -> anyhow::Result<Selection> {
    let state = offline::state(root);
    let (base, records) = journal::read_from_base(root)?;
    let mut known = match &state {
        Ok(state) => Known::of(&DesiredState::default(), state),
        Err(_) => {
            let base = base.and_then(|base| base.state::<ObservedState>().ok());
            base.map(|base| Known::of(&DesiredState::default(), &base)).unwrap_or_default()
        }
    };
    match (known.select(text, namespace), &state) {
        (Err(SelectError::Unknown { .. }), _) | (_, Err(_)) => {}
        (found, Ok(_)) => return Ok(found?),
    }
    for record in records.map_while(Result::ok) {
        let (objects, tags) = named(&record.fact);
        known.extend(objects, tags);
    }
    match (known.select(text, namespace), state) {
        (Err(error), Err(unread)) => {
            Err(unread
                .context(format!("no record that could be read names such an object: {error}")))
        }
        (found, _) => found.context("the journal names no such object"),
    }
}
