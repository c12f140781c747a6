//! Templates are opened: parameters get their values, objects their labels.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::faults::report_oddities;
use crate::desired::marks::{End, Source, Step};
use crate::desired::nearest::nearest;
use crate::desired::object::Draft;
use crate::desired::template::{self, Met, Parameters, TemplateFields, Value};
use crate::desired::typed;
use crate::desired::workload::{self, step};
use crate::desired::yaml::Node;
use crate::names::Namespace;

use super::{FileReader, Walk, params_paths};

impl FileReader<'_> {
    /// Opens a Template: values of its parameters, its labels, its objects.
    pub(super) fn template(&mut self, node: &Node, base: &[Step], walk: &Walk<'_>, depth: usize) {
        self.file.has_template = true;
        // With the defaults in place of what was meant, other objects would come out.
        if let Some(fault) = self.params_fault.clone() {
            let message = format!("{} at {}", fault.message, fault.position);
            self.reject(None, Diagnostic { position: walk.source.start(), message, ..fault });
            return;
        }
        let head = Node::Mapping(
            node.entries()
                .iter()
                .filter(|(key, _)| !matches!(&**key, "objects"))
                .cloned()
                .collect(),
        );
        let draft = Draft {
            node: &head,
            source: walk.source,
            base,
            policy: self.policy,
            namespace: Namespace::default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            forbidden: RefCell::default(),
        };
        if walk.oddities.any() {
            report_oddities(&draft);
        }
        let is_sound = draft.errors.borrow().is_empty();
        let fields = if is_sound { read_head(&draft) } else { None };
        let (errors, warnings) = (draft.errors.into_inner(), draft.warnings.into_inner());
        self.file.diagnostics.extend(warnings);
        let (Some(fields), None) = (fields, errors.first()) else {
            self.file.diagnostics.extend(errors.iter().skip(1).cloned());
            if let Some(first) = errors.into_iter().next() {
                self.reject(None, first);
            }
            return;
        };
        let configured = self
            .policy
            .parameters
            .get(self.path)
            .or_else(|| self.policy.parameters.get(&fields.metadata.name))
            .cloned()
            .unwrap_or_default();
        let parameters = Parameters::new(&fields.parameters, &self.params, &configured);
        self.check_given(&parameters, walk.source, base);
        let labels: BTreeMap<String, Node> = ["labels", "objectLabels"]
            .iter()
            .find_map(|key| node.get(key))
            .map(|labels| {
                let labels = template::substitute(labels, &parameters, &mut Met::default());
                labels.entries().iter().map(|(k, v)| (k.to_string(), v.clone())).collect()
            })
            .unwrap_or_default();
        for (index, item) in
            node.get("objects").map(Node::items).unwrap_or_default().iter().enumerate()
        {
            let path: Vec<Step> =
                base.iter().cloned().chain([step("objects"), Step::Index(index)]).collect();
            let mut met = Met::default();
            let mut object = template::substitute(item, &parameters, &mut met);
            workload::add_labels(&mut object, &labels);
            self.drop_namespace(item, &mut object, &path, walk);
            let walk =
                Walk { source: walk.source, oddities: walk.oddities, met, in_template: true };
            self.node(&object, &path, &walk, depth + 1);
        }
    }

    /// A hard-coded namespace of an object in a Template is left out, as OpenShift does.
    fn drop_namespace(&mut self, item: &Node, object: &mut Node, path: &[Step], walk: &Walk<'_>) {
        let written = item.at(&["metadata", "namespace"]).and_then(Node::as_text);
        let Some(text) = written.filter(|text| !text.is_empty() && !text.contains("${")) else {
            return;
        };
        let mut whole = path.to_vec();
        whole.extend([step("metadata"), step("namespace")]);
        self.file.diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            position: walk.source.position(&whole, End::Value),
            rule: "template-namespace".into(),
            message: format!(
                "namespace `{text}` of an object in a Template is left out, as OpenShift does"
            ),
            hint: Some("write it as a parameter, `${NAMESPACE}`, to have it kept".into()),
        });
        if let Node::Mapping(entries) = object
            && let Some((_, Node::Mapping(meta))) =
                entries.iter_mut().find(|(key, _)| &**key == "metadata")
        {
            meta.retain(|(key, _)| &**key != "namespace");
        }
    }

    /// A value for a parameter that the Template does not have is likely a typing error.
    fn check_given(&mut self, parameters: &Parameters, source: &Source<'_>, base: &[Step]) {
        let mut path = base.to_vec();
        path.push(step("parameters"));
        for name in self.params.keys().filter(|name| !parameters.contains(name)) {
            let near = nearest(name, parameters.names());
            self.file.diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                position: source.position(&path, End::Key),
                rule: "unknown-parameter".into(),
                message: format!("the params file gives a value to `{name}`, which is no parameter of the Template"),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        }
    }
}

fn read_head(draft: &Draft<'_>) -> Option<TemplateFields> {
    let findings = RefCell::default();
    // The objects were taken out of the head, so nothing inside them is looked at twice.
    typed::read::<TemplateFields>(draft.node, &findings)
        .map_err(|misfit| draft.misfit("type", misfit))
        .ok()
}

/// Where a value of a parameter can be written.
pub(super) fn where_to_write(path: &str) -> String {
    let file = params_paths(path).into_iter().next().unwrap_or_default();
    format!(
        "write `NAME=value` lines to `{file}`, or set it in the configuration under `templates`"
    )
}

/// Parameters that need a value reject the object; names that are no parameters are a warning.
pub(super) fn report_missing(draft: &Draft<'_>, walk: &Walk<'_>, path: &str) {
    if !walk.in_template {
        return;
    }
    for (name, (value, at)) in &walk.met.missing {
        let why = match value {
            Value::Generated => {
                "is generated by OpenShift; a value that changes at every reading would be no desired state, so it must be given"
            }
            Value::Required => "is required and has no value",
            Value::Given(_) | Value::Empty => "has no value",
        };
        let file = params_paths(path).into_iter().next().unwrap_or_default();
        let hint = format!(
            "write `{name}=...` to `{file}`, or set it in the configuration under `templates`"
        );
        draft.error_with_hint(
            "template-parameter",
            at,
            format!("parameter `{name}` {why}"),
            Some(hint),
        );
    }
    for (name, at) in &walk.met.unknown {
        let text = format!("`${{{name}}}` is no parameter of this Template; it stays as it is");
        draft.warn("unknown-parameter", at, text);
    }
}
