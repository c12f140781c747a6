//! The words of the domain as types: parsed once at the door, never strings inside.
//!
//! Every name is cheap to clone (a shared string or a few bytes), ordered byte-wise and serialised as the text
//! that a user would write. Only the constructors here make one, so holding the type is the proof.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not the name that it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct NameError {
    /// The text that was refused.
    pub text: String,
    /// What it was read as, with its article: "a digest".
    pub what: &'static str,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl NameError {
    fn new(text: &str, what: &'static str, why: &'static str) -> Self {
        // A message must stay readable whatever the input was.
        let text = text.chars().take(120).collect();
        Self { text, what, why }
    }
}

/// Serialises through `Display` and `FromStr`, so that every format shows the text a user would write.
macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the text of a ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

// The macro is known to what follows it.
mod account;
mod hash;
pub mod importance;
mod object;
mod pod;

pub use account::Account;
pub use hash::{BlobId, CommitId, ContentHash, Digest, Digesting};
pub use object::{Kind, ObjectKey, RolloutKey, StreamName, StreamTag};
pub use pod::{build_name, deployer_name, hook_name, pod_name, rollout_name};

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(text).map_err(|why| NameError::new(text, $what, why))?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_serde!($name);
    };
}

fn check_namespace(text: &str) -> Result<(), &'static str> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 {
        return Err("a namespace has 1 to 63 characters");
    }
    if !text.chars().all(ok) || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "a namespace has lower-case letters, digits and `-`, and no `-` at either end (RFC 1123 label)",
        );
    }
    Ok(())
}

fn check_object_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 253 {
        return Err("a name has 1 to 253 characters");
    }
    if text == "." || text == ".." || text.contains(['/', '%', '@', ':']) {
        return Err("a name must not be `.` or `..` nor contain `/`, `%`, `@` or `:`");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a name has no spaces or control characters");
    }
    Ok(())
}

fn check_tag(text: &str) -> Result<(), &'static str> {
    let mut chars = text.chars();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !chars.next().is_some_and(word) {
        return Err("a tag starts with a letter, a digit or `_`");
    }
    if text.len() > 128 || !chars.all(|c| word(c) || c == '.' || c == '-') {
        return Err("a tag has at most 128 letters, digits, `_`, `.` and `-` (rule I15)");
    }
    Ok(())
}

text_name!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    "a namespace",
    check_namespace
);
text_name!(
    /// The name of an object inside its namespace; what each kind demands beyond this is checked by `desired`.
    ObjectName,
    "an object name",
    check_object_name
);
text_name!(
    /// A tag of an image stream or a repository: `[\w][\w.-]{0,127}` (rule I15).
    TagName,
    "a tag",
    check_tag
);
text_name!(
    /// The name of a rollout target in the configuration (`[targets.NAME]`).
    TargetName,
    "a target name",
    check_object_name
);

impl Default for Namespace {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after it.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// The sequence number of a journal record; the first is 1.
    Seq
);
counter!(
    /// The generation of a stream or of one of its tags (rules I22 to I27); 0 is "never".
    Generation
);
counter!(
    /// Which life of an object it is: deleted and created again is another one (DBT 0.4, item 5); the first is 1.
    Incarnation
);
counter!(
    /// The number of a rollout of one object, `latestVersion`; the first is 1.
    Revision
);
counter!(
    /// The number of a build of one `BuildConfig`; the first is 1, and none is given twice (rules B4, B17).
    BuildNumber
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_lower_case_sha256_and_nothing_else() {
        let digest = Digest::of(b"tidegate");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for bad in [
            "",
            "sha256:",
            "sha512:00",
            &digest.to_string().to_uppercase(),
            &digest.to_string()[..70],
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_print_what_they_parse() {
        for text in ["shop/web", "a/b.c_d"] {
            assert_eq!(text.parse::<StreamName>().unwrap().to_string(), text);
        }
        assert_eq!("shop/web:3.10".parse::<StreamTag>().unwrap().to_string(), "shop/web:3.10");
        let key = "DeploymentConfig/shop/web";
        assert_eq!(key.parse::<ObjectKey>().unwrap().to_string(), key);
        assert!("Route/shop/web".parse::<ObjectKey>().is_err());
        assert!("shop:web/x".parse::<StreamTag>().is_err());
    }

    #[test]
    fn a_refused_name_says_what_rule_it_breaks() {
        let error = ".hidden".parse::<TagName>().unwrap_err();
        insta::assert_snapshot!(error, @"`.hidden` is not a tag: a tag starts with a letter, a digit or `_`");
    }

    #[test]
    fn a_tag_that_looks_like_a_number_keeps_its_text() {
        let tag: TagName = serde_json::from_str("\"3.10\"").unwrap();
        assert_eq!(serde_json::to_string(&tag).unwrap(), "\"3.10\"");
    }
}
