//! What `oc` prints: the same objects, laid out the same way (sections 6.1 to 6.4 of the image-stream specification).
//!
//! Everything here goes from [`api`](crate::api) objects and a time to text. It knows neither where the objects come from
//! nor what Tidegate means by them; where a rule of the specification deviates from OpenShift on purpose, the function
//! that deviates names the rule.

pub mod build;
pub mod columns;
pub mod deployment;
pub mod get;
pub mod image;
pub mod import;
pub mod json_path;
pub mod kube;
mod kube_described;
pub mod order;
mod pod_template;
pub mod selector;
pub mod size;
pub mod stream;
pub mod table;
pub mod tabs;
pub mod workload;
pub mod yaml;

use crate::api::{Map, Time};
use crate::time::{self, Timestamp};

/// How long ago something was: `About a minute ago`. A clock that is behind gives `Less than a second ago` (rule I118).
#[must_use]
pub fn ago(now: Timestamp, then: Time) -> String {
    format!("{} ago", time::ago(now.since(then.timestamp())))
}

/// Lines `Label:<TAB>value` of a describe block, to be laid out by [`tabs::describe`].
#[derive(Debug, Default)]
pub(crate) struct Block {
    text: String,
}

impl Block {
    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A value of one line or several; `<none>` where it is empty (rules I115, I116).
    pub(crate) fn field(&mut self, label: &str, value: &str) {
        let value = if value.is_empty() { "<none>" } else { value };
        for (at, part) in value.split('\n').enumerate() {
            let label = if at == 0 { format!("{label}:") } else { String::new() };
            self.line(&format!("{label}\t{part}"));
        }
    }

    /// A map, sorted: only the first entry's lines are indented (rules I116, I117).
    pub(crate) fn map<'a>(
        &mut self,
        label: &str,
        entries: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) {
        let mut entries = entries.into_iter();
        let Some((key, value)) = entries.next() else { return self.field(label, "") };
        self.field(label, &format!("{key}={value}"));
        for (key, value) in entries {
            self.line(&format!("\t{key}={value}"));
        }
    }

    /// Annotations: a description has a line of its own (rule I117).
    pub(crate) fn annotations(&mut self, annotations: &Map) {
        let description = annotations.get("description");
        if let Some(description) = description {
            self.field("Description", description);
        }
        self.map("Annotations", annotations.iter().filter(|(key, _)| *key != "description"));
    }

    pub(crate) fn finish(self) -> String {
        self.finish_as(tabs::describe)
    }

    /// Ends it with another layout than that of `oc`.
    pub(crate) fn finish_as(self, lay_out: fn(&str) -> String) -> String {
        lay_out(&self.text)
    }
}
