//! From what a registry did to the condition that a tag gets (rules I73, I74).

use std::time::Duration;

use reqwest::StatusCode;

use super::places::By;
use super::wire::{Answer, Fault};
use crate::action::ImportFailure;
use crate::fact::{ImportReason, said};
use crate::names::Digest;
use crate::reference::ImageReference;

/// Makes failures that speak of one image.
///
/// Messages hold nothing that differs between two failures of one kind (times, request numbers):
/// an equal message is not written again (rule I70).
#[derive(Clone, Copy)]
pub(super) struct Failures<'a> {
    pub(super) image: &'a ImageReference,
    pub(super) host: &'a str,
}

/// What was tried before a registry refused for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It wants a user name and a password, and there is no login for it.
    NoLogin,
    /// It refused what there was to offer.
    Access,
}

fn permanent(reason: ImportReason, message: String) -> ImportFailure {
    ImportFailure { reason, message, transient: false, retry_after: None }
}

impl Failures<'_> {
    pub(super) fn not_found(self) -> ImportFailure {
        let image = self.image.normalized();
        let message = format!("{} \"{image}\" not found", said::NO_IMAGE);
        permanent(ImportReason::NotFound, message)
    }

    /// Rule I173; blank for short names.
    pub(super) fn blocked(self) -> ImportFailure {
        let registry = self.image.registry.as_deref().unwrap_or_default();
        permanent(ImportReason::Forbidden, format!("forbidden: registry {registry} blocked"))
    }

    /// Rule I176: nothing is left to be asked, because the source may not be contacted.
    pub(super) fn behind_mirrors(self, by: By) -> ImportFailure {
        let registry = self.image.registry.as_deref().unwrap_or_default();
        let how = match by {
            By::Tag => "tag",
            By::Digest => "digest",
        };
        let message = format!(
            "forbidden: registry {registry} blocked, and none of its mirrors may be asked for a {how} (`mirror-by-digest-only`, `pull-from-mirror`)"
        );
        permanent(ImportReason::Forbidden, message)
    }

    /// Rule I30: what is left of it where such a reference gets past the loader.
    pub(super) fn registry_only(self) -> ImportFailure {
        let message = format!(
            " \"\" is invalid: from.name: Invalid value: \"{}\": must name a repository, not only \
             a registry",
            self.image
        );
        permanent(ImportReason::Invalid, message)
    }

    pub(super) fn refused(self, refused: Refused) -> ImportFailure {
        let image = self.image.normalized();
        let rest = match refused {
            Refused::NoLogin => format!(" {}", said::NO_LOGIN),
            Refused::Access => String::new(),
        };
        let message = format!("{} \"{image}\"{rest}", said::NO_ACCESS);
        permanent(ImportReason::Unauthorized, message)
    }

    /// A refusal in the registry's or the token server's own words.
    pub(super) fn refused_because(self, words: &str) -> ImportFailure {
        let image = self.image.normalized();
        let message = if words.to_lowercase().contains(said::WRONG_PASSWORD) {
            format!("{} for image \"{image}\"", said::WRONG_PASSWORD)
        } else {
            format!("{} \"{image}\": {words}", said::NO_ACCESS)
        };
        permanent(ImportReason::Unauthorized, message)
    }

    pub(super) fn unsupported(self, message: String) -> ImportFailure {
        permanent(ImportReason::UnsupportedManifest, message)
    }

    /// Rule I18: an index that no image can be made of.
    pub(super) fn invalid_image(self, digest: Digest, faults: &[String]) -> ImportFailure {
        let faults = match faults {
            [fault] => fault.clone(),
            faults => format!("[{}]", faults.join(", ")),
        };
        let message = format!("Image.image.openshift.io \"{digest}\" is invalid: {faults}");
        permanent(ImportReason::Invalid, message)
    }

    pub(super) fn internal(self, what: &str) -> ImportFailure {
        let message = format!("Internal error occurred: {}: {what}", self.image.normalized());
        permanent(ImportReason::InternalError, message)
    }

    /// As [`Self::internal`], for what may pass by itself.
    pub(super) fn passing(self, what: &str, retry_after: Option<Duration>) -> ImportFailure {
        ImportFailure { transient: true, retry_after, ..self.internal(what) }
    }

    /// Rule I47, item 4.
    pub(super) fn integrity(
        self,
        media_type: &str,
        stated: Digest,
        computed: Digest,
    ) -> ImportFailure {
        self.internal(&format!(
            "{}: the manifest retrieved (media type: {media_type}) with digest {stated} does not \
             match the digest calculated from the content {computed}",
            said::WRONG_DIGEST
        ))
    }

    pub(super) fn limited(
        self,
        status: StatusCode,
        retry_after: Option<Duration>,
    ) -> ImportFailure {
        self.passing(&format!("`{}` {} (`{status}`)", self.host, said::LIMITS), retry_after)
    }

    /// An answer that is not a success.
    pub(super) fn of_answer(self, answer: &Answer) -> ImportFailure {
        let status = answer.status;
        let (code, words) = answer.registry_error().unzip();
        let code = code.as_deref();
        let what = match &words {
            Some(words) => format!("{}{status}`: {words}", said::STATUS),
            None => format!("{}{status}`", said::STATUS),
        };
        let limited = status == StatusCode::TOO_MANY_REQUESTS
            || code.is_some_and(|code| code.eq_ignore_ascii_case("TOOMANYREQUESTS"));
        let busy = status.is_server_error()
            || status == StatusCode::REQUEST_TIMEOUT
            || code.is_some_and(|code| code.eq_ignore_ascii_case("UNAVAILABLE"));
        if limited {
            return self.limited(status, answer.retry_after());
        }
        match status {
            _ if busy => self.passing(&what, answer.retry_after()),
            StatusCode::NOT_FOUND => self.not_found(),
            StatusCode::UNAUTHORIZED => self.refused(Refused::Access),
            StatusCode::FORBIDDEN => match words {
                Some(words) => self.refused_because(&words),
                None => self.refused_because(&status.to_string()),
            },
            _ => self.internal(&what),
        }
    }

    /// No answer at all.
    pub(super) fn of_fault(self, fault: &Fault) -> ImportFailure {
        let host = self.host;
        match fault {
            Fault::PlainHttp => {
                let path = self.image.repository_path();
                let message = format!("the repository {path} {}", said::HTTP_ONLY);
                permanent(ImportReason::BadRequest, message)
            }
            Fault::Timeout(limit) => {
                let what = format!("`{host}` {} {} s", said::TOO_SLOW, limit.as_secs());
                self.passing(&what, None)
            }
            Fault::Connect(why) => {
                self.passing(&format!("{} `{host}`: {why}", said::NO_CONNECTION), None)
            }
            Fault::Tls(why) => self.passing(&format!("{} `{host}`: {why}", said::NO_TLS), None),
            Fault::Broken(why) => {
                self.passing(&format!("the connection to `{host}` {}{why}", said::BROKE), None)
            }
            Fault::Redirect(why) => self.internal(&format!("`{host}` {}: {why}", said::REDIRECTS)),
            Fault::TooLong => self.internal(&format!(
                "`{host}` {} {} MiB",
                said::TOO_LONG,
                crate::limits::REGISTRY_BODY_BYTES_MAX / (1024 * 1024)
            )),
            Fault::Client(why) => self.passing(&format!("{}{host}`: {why}", said::NO_CLIENT), None),
        }
    }
}
