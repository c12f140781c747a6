//! `get --watch`: what is there, and then a line for each change, as the journal tells it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use super::get::{Command, print_object};
use super::inventory::{As, Found, Inventory, Touched};
use super::resource::{Resource, Wanted};
use crate::cli::follow::{Changes, is_unread};
use crate::cli::{Context, ExitCode};
use crate::names::{ContentHash, StreamName};
use crate::oc::table::{Row, Shape, Table};

/// An object by namespace and name.
type Key = (String, String);

/// What was shown so far.
struct Watch<'a> {
    command: &'a Command,
    wanted: Wanted,
    /// Each object as it was last, and its row then.
    known: BTreeMap<Key, (ContentHash, Row)>,
    /// How wide the columns of the table are.
    widths: Vec<usize>,
    /// Whether something was printed.
    begun: bool,
}

/// Prints what is there, unless only changes are wanted, and then each object that changes, until SIGINT or until nobody
/// reads on.
pub(super) fn run(
    command: &Command,
    wanted: &[Wanted],
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let [wanted] = wanted else { return Err(too_many(wanted)) };
    let mut inventory = Inventory::read(&command.source, &[], As::Objects, context)?;
    let Some(root) = inventory.state_dir() else { bail!("files of --filename do not change") };
    let changes = Changes::of(&root.join("journal")).until_interrupted()?;
    let (known, widths) = (BTreeMap::new(), Vec::new());
    let mut watch = Watch { command, wanted: wanted.clone(), known, widths, begun: false };
    let found = inventory.find(wanted)?;
    let all = watch.take(&found, &Touched::All, &inventory);
    if !command.watch_only {
        watch.print(all, &inventory, context)?;
    }
    loop {
        while !changes.is_interrupted()
            && let Some(touched) = inventory.advance()?
        {
            let found = inventory.find(wanted).unwrap_or_else(|_| Found::none(wanted.resource));
            let changed = watch.take(&found, &touched, &inventory);
            for one in changed {
                watch.print(vec![one], &inventory, context)?;
            }
        }
        let is_gone = context.out.flush().is_err() || is_unread();
        if is_gone || changes.is_interrupted() {
            return Ok(ExitCode::Done);
        }
        changes.wait();
    }
}

/// Only one kind can be watched, or one object.
fn too_many(wanted: &[Wanted]) -> anyhow::Error {
    let kinds: BTreeSet<Resource> = wanted.iter().map(|wanted| wanted.resource).collect();
    if kinds.len() > 1 {
        return anyhow::anyhow!("you may only specify a single resource type");
    }
    anyhow::anyhow!(
        "watch is only supported on individual resources and resource collections - {} resources were found",
        wanted.len()
    )
}

/// An object that is shown.
struct Change {
    row: Row,
    /// None where the object is gone, of which only the last row is known.
    object: Option<serde_json::Value>,
}

impl Watch<'_> {
    /// Takes over what is there now; returns what differs from what was there before, what is gone last.
    fn take(&mut self, found: &Found, touched: &Touched, inventory: &Inventory) -> Vec<Change> {
        let rows = found.table(inventory.now).rows;
        let (mut changes, mut here) = (Vec::new(), BTreeSet::new());
        for (object, row) in found.values(self.wanted.resource).into_iter().zip(rows) {
            let text = |path| object.pointer(path).and_then(serde_json::Value::as_str);
            let key = (
                text("/metadata/namespace").unwrap_or_default().to_owned(),
                text("/metadata/name").unwrap_or_default().to_owned(),
            );
            let hash = ContentHash::of(object.to_string().as_bytes());
            let before = self.known.insert(key.clone(), (hash, row.clone()));
            here.insert(key);
            if before.is_none_or(|(before, _)| before != hash) {
                changes.push(Change { row, object: Some(object) });
            }
        }
        let gone = self.known.keys().filter(|key| !here.contains(*key) && covers(touched, key));
        for key in gone.cloned().collect::<Vec<_>>() {
            changes.extend(self.known.remove(&key).map(|(_, row)| Change { row, object: None }));
        }
        changes
    }

    fn print(
        &mut self,
        changes: Vec<Change>,
        inventory: &Inventory,
        context: &mut Context<'_>,
    ) -> anyhow::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let wide = match &self.command.output {
            None => false,
            Some(format) if format.is_wide() => true,
            Some(format) => {
                for object in changes.into_iter().filter_map(|change| change.object) {
                    let resource = self.wanted.resource;
                    print_object(format, self.begun, self.command, resource, object, context)?;
                    self.begun = true;
                }
                return Ok(());
            }
        };
        let shape = Shape {
            wide,
            namespaces: inventory.namespace.is_none() && self.wanted.resource.has_namespace(),
            no_headers: self.command.no_headers || self.begun,
            kind: None,
        };
        let rows = changes.into_iter().map(|change| change.row).collect();
        let table = Table { rows, ..Found::none(self.wanted.resource).table(inventory.now) };
        context.out.write_all(table.to_text_on(shape, &mut self.widths).as_bytes())?;
        self.begun = true;
        Ok(())
    }
}

/// Whether what a record may have changed includes an object.
fn covers(touched: &Touched, (namespace, name): &Key) -> bool {
    let Touched::Streams(streams) = touched else { return true };
    let stream = name.split([':', '@']).next().unwrap_or_default();
    let is = |of: &StreamName| of.namespace.as_str() == namespace && of.name.as_str() == stream;
    streams.iter().any(is)
}
