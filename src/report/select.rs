//! Which object a user means: `dc/web`, `web`, `shop/web`, `is/python`, `istag/python:3.6`, `DeploymentConfig/shop/web`.

use std::collections::BTreeSet;

use crate::desired::DesiredState;
use crate::names::{Kind, Namespace, ObjectKey, StreamName, StreamTag};
use crate::observed::ObservedState;

/// How many near names an error offers.
const NEAR_MAX: usize = 3;

/// Everything that can be named.
#[derive(Clone, Debug, Default)]
pub struct Known {
    objects: BTreeSet<ObjectKey>,
    tags: BTreeSet<StreamTag>,
}

/// What a user named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// The objects, in order; for a tag, its stream.
    pub objects: BTreeSet<ObjectKey>,
    /// The one tag that is meant, if it is one.
    pub tag: Option<StreamTag>,
}

/// Why nothing is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The text has another shape.
    #[error(
        "`{0}` names no object; write `KIND/NAME`, `NAMESPACE/NAME`, `NAME` or `istag/STREAM:TAG`"
    )]
    Shape(String),
    /// The kind is not one that Tidegate acts on.
    #[error(
        "`{0}` is not a kind that tidegate acts on: dc, deploy, sts, ds, cj, pod, bc, is, istag"
    )]
    Kind(String),
    /// There is none.
    #[error("there is no {what} in namespace `{namespace}`{}", did_you_mean(.near))]
    Unknown {
        /// What was looked for.
        what: String,
        /// Where.
        namespace: Namespace,
        /// What has a name like it.
        near: Vec<String>,
    },
}

fn did_you_mean(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// The kinds that a word may mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Any,
    Kind(Kind),
    Tag,
}

fn kind_word(word: &str) -> Option<Wanted> {
    match word.to_ascii_lowercase().as_str() {
        "istag" | "imagestreamtag" | "imagestreamtags" => Some(Wanted::Tag),
        _ => Kind::from_word(word).map(Wanted::Kind),
    }
}

impl Known {
    /// Everything that git asks for or the journal knows.
    #[must_use]
    pub fn of(desired: &DesiredState, observed: &ObservedState) -> Self {
        let mut objects: BTreeSet<_> = desired.keys().collect();
        objects.extend(observed.objects.keys().cloned());
        objects.extend(observed.workloads.keys().cloned());
        objects.extend(observed.streams.keys().map(ObjectKey::stream));
        let spec = desired.streams.values();
        let spec =
            spec.flat_map(|stream| stream.tags.keys().map(|tag| stream.name.tag(tag.clone())));
        let seen = observed.streams.iter();
        let seen =
            seen.flat_map(|(name, state)| state.tags.keys().map(|tag| name.tag(tag.clone())));
        Self { objects, tags: spec.chain(seen).collect() }
    }

    /// Adds objects and tags that only old records know.
    pub fn extend(
        &mut self,
        objects: impl IntoIterator<Item = ObjectKey>,
        tags: impl IntoIterator<Item = StreamTag>,
    ) {
        self.objects.extend(objects);
        self.tags.extend(tags);
    }

    /// Everything in a namespace; nothing, where there is none.
    #[must_use]
    pub fn in_namespace(&self, namespace: &Namespace) -> Selection {
        let objects = self.objects.iter().filter(|key| key.namespace == *namespace);
        Selection { objects: objects.cloned().collect(), tag: None }
    }

    /// Finds what `text` means; `namespace` is for a text that names none.
    ///
    /// # Errors
    /// When the text has another shape, or there is no such object; the error then names the nearest ones.
    pub fn select(&self, text: &str, namespace: &Namespace) -> Result<Selection, SelectError> {
        let shape = || SelectError::Shape(text.chars().take(120).collect());
        let parts: Vec<&str> = text.split('/').collect();
        let (wanted, namespace, name) = match parts.as_slice() {
            [name] => (Wanted::Any, namespace.clone(), *name),
            [kind, name] if kind_word(kind).is_some() => {
                (kind_word(kind).unwrap_or(Wanted::Any), namespace.clone(), *name)
            }
            [space, name] => (Wanted::Any, space.parse().map_err(|_| shape())?, *name),
            [kind, space, name] => {
                let kind = kind_word(kind).ok_or_else(|| SelectError::Kind((*kind).to_owned()))?;
                (kind, space.parse().map_err(|_| shape())?, *name)
            }
            _ => return Err(shape()),
        };
        if name.is_empty() {
            return Err(shape());
        }
        if wanted == Wanted::Tag || name.contains(':') {
            return self.tag(name, namespace, wanted).ok_or_else(shape)?;
        }
        let here: BTreeSet<_> =
            self.objects.iter().filter(|key| key.namespace == namespace).collect();
        let named = here.iter().filter(|key| key.name.as_str() == name && fits(wanted, key.kind));
        let mut objects: BTreeSet<ObjectKey> = named.map(|key| (*key).clone()).collect();
        if wanted == Wanted::Any && objects.iter().any(|key| key.kind.is_workload()) {
            objects.retain(|key| key.kind.is_workload());
        }
        if objects.is_empty() {
            let what = match wanted {
                Wanted::Kind(kind) => format!("{} `{name}`", kind.singular()),
                Wanted::Any | Wanted::Tag => format!("object `{name}`"),
            };
            return Err(SelectError::Unknown {
                what,
                near: self.near(name, wanted, &namespace),
                namespace,
            });
        }
        Ok(Selection { objects, tag: None })
    }

    fn tag(
        &self,
        name: &str,
        namespace: Namespace,
        wanted: Wanted,
    ) -> Option<Result<Selection, SelectError>> {
        if !matches!(wanted, Wanted::Tag | Wanted::Any | Wanted::Kind(Kind::ImageStream)) {
            return None;
        }
        let (stream, tag) = name.split_once(':')?;
        let stream = StreamName::new(namespace.clone(), stream.parse().ok()?);
        let tag = stream.tag(tag.parse().ok()?);
        if !self.tags.contains(&tag) {
            let here = self.tags.iter().filter(|known| known.stream.namespace == namespace);
            let names = here.map(|known| format!("{}:{}", known.stream.name, known.tag));
            let near =
                nearest(name, names).into_iter().map(|name| format!("istag/{name}")).collect();
            let what = format!("image stream tag `{name}`");
            return Some(Err(SelectError::Unknown { what, namespace, near }));
        }
        let objects = BTreeSet::from([ObjectKey::stream(&stream)]);
        Some(Ok(Selection { objects, tag: Some(tag) }))
    }

    /// The nearest names in the namespace, else the same name in other namespaces.
    fn near(&self, name: &str, wanted: Wanted, namespace: &Namespace) -> Vec<String> {
        let fitting = || self.objects.iter().filter(|key| fits(wanted, key.kind));
        let elsewhere: Vec<_> = fitting()
            .filter(|key| key.name.as_str() == name)
            .take(NEAR_MAX)
            .map(|key| format!("{}/{}/{}", key.kind.singular(), key.namespace, key.name))
            .collect();
        if !elsewhere.is_empty() {
            return elsewhere;
        }
        let here: Vec<_> = fitting().filter(|key| key.namespace == *namespace).collect();
        let names = nearest(name, here.iter().map(|key| key.name.to_string()));
        let spelled = names.iter().flat_map(|near| {
            let same = here.iter().filter(move |key| key.name.as_str() == near.as_str());
            same.map(|key| format!("{}/{}", key.kind.singular(), key.name))
        });
        spelled.take(NEAR_MAX).collect()
    }
}

impl Selection {
    /// Whether the object is meant.
    #[must_use]
    pub fn has(&self, object: &ObjectKey) -> bool {
        self.objects.contains(object)
    }

    /// Whether the tag is meant.
    #[must_use]
    pub fn has_tag(&self, tag: &StreamTag) -> bool {
        match &self.tag {
            Some(only) => only == tag,
            None => self.has(&ObjectKey::stream(&tag.stream)),
        }
    }
}

fn fits(wanted: Wanted, kind: Kind) -> bool {
    match wanted {
        Wanted::Any => true,
        Wanted::Kind(wanted) => wanted == kind,
        Wanted::Tag => kind == Kind::ImageStream,
    }
}

/// The names with the fewest changed characters, if they are few.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let far = name.chars().count() / 3 + 1;
    let near: BTreeSet<_> = names
        .map(|other| (strsim::osa_distance(name, &other), other))
        .filter(|(distance, other)| *distance <= far || other.starts_with(name))
        .collect();
    near.into_iter().take(NEAR_MAX).map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        let objects = [
            "DeploymentConfig/shop/web",
            "Deployment/shop/web",
            "ImageStream/shop/web",
            "ImageStream/shop/python",
            "CronJob/shop/report",
            "Deployment/blog/front",
        ];
        known.extend(
            objects.map(|key| key.parse().unwrap()),
            ["shop/python:3.6", "shop/python:3.10"].map(|tag| tag.parse().unwrap()),
        );
        known
    }

    fn check(text: &str, expected: &str) {
        let found = match known().select(text, &"shop".parse().unwrap()) {
            Ok(Selection { tag: Some(tag), .. }) => format!("tag {tag}"),
            Ok(found) => {
                found.objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_object_can_be_spelled_in_every_usual_way() {
        check("dc/web", "DeploymentConfig/shop/web");
        check("DeploymentConfig/web", "DeploymentConfig/shop/web");
        check("DeploymentConfig/shop/web", "DeploymentConfig/shop/web");
        check("web", "DeploymentConfig/shop/web Deployment/shop/web");
        check("shop/web", "DeploymentConfig/shop/web Deployment/shop/web");
        check("blog/front", "Deployment/blog/front");
        check("is/web", "ImageStream/shop/web");
        check("python", "ImageStream/shop/python");
        check("istag/python:3.6", "tag shop/python:3.6");
        check("python:3.10", "tag shop/python:3.10");
        check("istag/shop/python:3.10", "tag shop/python:3.10");
    }

    #[test]
    fn an_unknown_object_is_answered_with_the_nearest_names() {
        check(
            "dc/wbe",
            "there is no deploymentconfig `wbe` in namespace `shop`; did you mean `deploymentconfig/web`?",
        );
        check(
            "front",
            "there is no object `front` in namespace `shop`; did you mean `deployment/blog/front`?",
        );
        check(
            "istag/python:3.1",
            "there is no image stream tag `python:3.1` in namespace `shop`; did you mean `istag/python:3.10` \
             or `istag/python:3.6`?",
        );
        check("dc/zzzzzz", "there is no deploymentconfig `zzzzzz` in namespace `shop`");
        check(
            "service/shop/web",
            "`service` is not a kind that tidegate acts on: dc, deploy, sts, ds, cj, pod, bc, is, istag",
        );
        check(
            "a/b/c/d",
            "`a/b/c/d` names no object; write `KIND/NAME`, `NAMESPACE/NAME`, `NAME` or `istag/STREAM:TAG`",
        );
    }
}
