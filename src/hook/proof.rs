//! Whether a notice is from somebody who knows the hook's secret.
//!
//! Every comparison is of two MACs in constant time, and takes as long for a hook without a secret: how long an answer
//! takes says nothing about a secret, nor whether there is one.

use std::fmt;

use ring::hmac;

use super::{Hook, Kind, Notice};
use crate::limits::HOOK_SECRETS_MAX;

/// The secrets of a hook: each is as good as the other, so that one can be replaced without a gap.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Reads them from a file's content: one on each line.
    #[must_use]
    pub fn parse(file: &[u8]) -> Self {
        let lines = file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| !line.is_empty());
        Self(lines.take(HOOK_SECRETS_MAX).map(<[u8]>::to_vec).collect())
    }

    /// One, as it is; none where it is empty.
    #[must_use]
    pub fn one(secret: &[u8]) -> Self {
        Self(if secret.is_empty() { Vec::new() } else { vec![secret.to_vec()] })
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Whether there is none, which nothing proves anything by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// Why a notice is nobody's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unproven {
    /// What proves it is missing; where it is expected.
    Missing(String),
    /// It does not fit; what it is.
    Wrong(&'static str),
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(place) => write!(f, "no secret: expected {place}"),
            Self::Wrong(what) => write!(f, "wrong secret: {what}"),
        }
    }
}

/// What a notice proves itself by.
enum Claim<'a> {
    /// An HMAC-SHA256 of the body, in hexadecimal.
    Signature(&'a str),
    /// The secret itself.
    Token(&'a str),
}

/// Checks that the sender knows one of the secrets.
///
/// # Errors
/// When it does not, or does not show it.
pub fn prove(hook: &Hook, notice: &Notice<'_>, secrets: &Secrets) -> Result<(), Unproven> {
    let claim = claim(hook, notice);
    // Where there is nothing to compare with, as much is computed.
    let (decoy, none) = (vec![Vec::new()], secrets.is_empty());
    let mut fits = false;
    for secret in if none { &decoy } else { &secrets.0 } {
        // Each of them, so that their order does not show.
        fits |= match &claim {
            Ok(Claim::Signature(hex)) => is_signed(secret, notice.body, hex),
            Ok(Claim::Token(token)) => is_same(secret, token.as_bytes()),
            Err(_) => is_signed(secret, notice.body, ""),
        };
    }
    match claim? {
        _ if fits && !none => Ok(()),
        Claim::Signature(_) => {
            Err(Unproven::Wrong("the signature does not fit the body and any secret of this hook"))
        }
        Claim::Token(_) => Err(Unproven::Wrong("the token is none of this hook")),
    }
}

/// Finds what a kind of sender shows.
fn claim<'a>(hook: &Hook, notice: &Notice<'a>) -> Result<Claim<'a>, Unproven> {
    let header = |names: &[&str]| names.iter().find_map(|name| (notice.header)(name));
    let missing = |place: &str| Unproven::Missing(place.to_owned());
    match hook.kind {
        Kind::GitHub => signature(header(&["x-hub-signature-256"]), "X-Hub-Signature-256"),
        Kind::Bitbucket => signature(header(&["x-hub-signature"]), "X-Hub-Signature"),
        Kind::Gitea => {
            let names = ["x-forgejo-signature", "x-gitea-signature", "x-hub-signature-256"];
            signature(header(&names), "X-Gitea-Signature or X-Forgejo-Signature")
        }
        // Its registry takes a header of one's choice.
        Kind::GitLab => match header(&["x-gitlab-token"]) {
            Some(token) => Ok(Claim::Token(token)),
            None => bearer(header(&[&hook.header])).ok_or_else(|| missing("X-Gitlab-Token")),
        },
        Kind::DockerHub | Kind::Quay => {
            let place = "the token behind the hook's name: /hooks/NAME/TOKEN";
            notice.token.map(Claim::Token).ok_or_else(|| missing(place))
        }
        // A script has the choice: what signs sends no secret over a network.
        Kind::Generic | Kind::NotifyPush if header(&["x-hub-signature-256"]).is_some() => {
            signature(header(&["x-hub-signature-256"]), "X-Hub-Signature-256")
        }
        Kind::Distribution | Kind::Harbor | Kind::Generic | Kind::NotifyPush => {
            let place = || Unproven::Missing(format!("the header `{}`", hook.header));
            bearer(header(&[&hook.header])).ok_or_else(place)
        }
    }
}

fn signature<'a>(value: Option<&'a str>, place: &str) -> Result<Claim<'a>, Unproven> {
    let value = value.ok_or_else(|| Unproven::Missing(place.to_owned()))?;
    Ok(Claim::Signature(value.strip_prefix("sha256=").unwrap_or(value)))
}

/// A token with or without the word in front of it.
fn bearer(value: Option<&str>) -> Option<Claim<'_>> {
    let value = value?.trim();
    let token = match value.split_once(' ') {
        Some((word, token)) if word.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => value,
    };
    Some(Claim::Token(token))
}

pub(super) fn is_signed(secret: &[u8], body: &[u8], hex: &str) -> bool {
    // What is no hexadecimal is compared as well, as the empty MAC that never fits.
    let mac = hex::decode(hex.trim()).unwrap_or_default();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &mac).is_ok()
}

/// Whether two texts are the same: by their MACs, which do not tell their lengths either.
pub(super) fn is_same(secret: &[u8], token: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, token, hmac::sign(&key, secret).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac as hmac_oracle;
    use hmac_oracle::{Hmac, KeyInit as _, Mac as _};

    const BODY: &[u8] = b"{\"zen\": 1}";

    fn signed(secret: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn shows(kind: Kind, headers: &[(&str, &str)], token: Option<&str>, secrets: &str) -> String {
        let hook = Hook { kind, registry: None, header: "authorization".into() };
        let header =
            |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        let notice = Notice { header: &header, token, body: BODY };
        match prove(&hook, &notice, &Secrets::parse(secrets.as_bytes())) {
            Ok(()) => "right".to_owned(),
            Err(Unproven::Missing(_)) => "missing".to_owned(),
            Err(Unproven::Wrong(_)) => "wrong".to_owned(),
        }
    }

    #[test]
    fn signatures_of_the_body_prove_a_sender() {
        for (kind, header, prefix) in [
            (Kind::GitHub, "x-hub-signature-256", "sha256="),
            (Kind::Gitea, "x-gitea-signature", ""),
            (Kind::Gitea, "x-forgejo-signature", ""),
            (Kind::Gitea, "x-hub-signature-256", "sha256="),
            (Kind::Bitbucket, "x-hub-signature", "sha256="),
            (Kind::Generic, "x-hub-signature-256", "sha256="),
            (Kind::NotifyPush, "x-hub-signature-256", ""),
        ] {
            let by = |secret: &str, body: &[u8]| format!("{prefix}{}", signed(secret, body));
            assert_eq!(shows(kind, &[(header, &by("s1", BODY))], None, "s1\n"), "right", "{kind}");
            assert_eq!(shows(kind, &[(header, &by("s2", BODY))], None, "s1"), "wrong", "{kind}");
            assert_eq!(shows(kind, &[(header, &by("s1", b"x"))], None, "s1"), "wrong", "{kind}");
            assert_eq!(shows(kind, &[(header, "sha256=")], None, "s1"), "wrong", "{kind}");
            assert_eq!(shows(kind, &[(header, "é")], None, "s1"), "wrong", "{kind}");
            assert_eq!(shows(kind, &[], None, "s1"), "missing", "{kind}");
            assert_eq!(shows(kind, &[], Some("s1"), "s1"), "missing", "{kind}");
        }
    }

    #[test]
    fn tokens_prove_a_sender_in_the_place_of_its_kind() {
        for kind in
            [Kind::Distribution, Kind::Harbor, Kind::Generic, Kind::NotifyPush, Kind::GitLab]
        {
            for value in ["s1", "Bearer s1", "bearer  s1 "] {
                assert_eq!(shows(kind, &[("authorization", value)], None, "s1"), "right", "{kind}");
            }
            for value in ["s", "s11", "Basic s1", "", "Bearer "] {
                assert_eq!(shows(kind, &[("authorization", value)], None, "s1"), "wrong", "{kind}");
            }
            assert_eq!(shows(kind, &[], Some("s1"), "s1"), "missing", "{kind}");
        }
        assert_eq!(shows(Kind::GitLab, &[("x-gitlab-token", "s1")], None, "s1"), "right");
        for kind in [Kind::DockerHub, Kind::Quay] {
            assert_eq!(shows(kind, &[], Some("s1"), "s1"), "right");
            assert_eq!(shows(kind, &[], Some("s2"), "s1"), "wrong");
            assert_eq!(shows(kind, &[("authorization", "s1")], None, "s1"), "missing");
        }
    }

    #[test]
    fn any_line_of_the_file_is_a_secret_and_an_empty_file_has_none() {
        let shown = |secrets: &str| shows(Kind::Generic, &[("authorization", "s2")], None, secrets);
        assert_eq!(shown("s1\r\n\n  s2\n"), "right");
        assert_eq!(shown("s1"), "wrong");
        assert_eq!(shown("\n \n"), "wrong");
        assert_eq!(shows(Kind::Generic, &[("authorization", "")], None, ""), "wrong");
        let empty = signed("", BODY);
        assert_eq!(shows(Kind::GitHub, &[("x-hub-signature-256", &empty)], None, ""), "wrong");
        assert_eq!(format!("{:?}", Secrets::parse(b"s1\ns2")), "2 secrets");
    }
}
