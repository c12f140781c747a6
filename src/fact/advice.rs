//! What to do about an import that failed.
//!
//! A condition says what OpenShift says (rule I73): a reason and a message that names the image and the cause. What would
//! help is found by both of them, whenever somebody is told; nothing of it is kept, so that it fits old records as well.

use super::ImportReason;
use crate::reference::ImageReference;

/// Words that messages of failures are made of, and that advice is found by.
pub mod said {
    /// Several places were asked.
    pub const SEVERAL: &str = "[";
    /// Before the name of what is not there.
    pub const NO_IMAGE: &str = "dockerimage.image.openshift.io";
    /// Behind a refusal where there was no login.
    pub const NO_LOGIN: &str = "and did not have credentials to the repository";
    /// What registries say of a password.
    pub const WRONG_PASSWORD: &str = "incorrect username or password";
    /// Before the name of what is refused.
    pub const NO_ACCESS: &str = "you may not have access to the container image";
    /// A registry that must not be asked.
    pub const BLOCKED: &str = "blocked";
    /// A registry without TLS.
    pub const HTTP_ONLY: &str = "is HTTP only and requires the insecure flag to import";
    /// A manifest of an older time.
    pub const SCHEMA_1: &str = "schema 1 manifests are not supported";
    /// An image that is none.
    pub const NO_KIND: &str = "unsupported image manifest type";
    /// Before the host that cannot be reached.
    pub const NO_CONNECTION: &str = "cannot connect to";
    /// A host without an address.
    pub const NO_ADDRESS: &str = "failed to lookup address information";
    /// A host where nothing listens.
    pub const NOBODY_THERE: &str = "Connection refused";
    /// Before the host whose TLS cannot be used.
    pub const NO_TLS: &str = "no secure connection to";
    /// A certificate of somebody that is not known.
    pub const UNKNOWN_AUTHORITY: &str = "UnknownIssuer";
    /// A certificate for another host.
    pub const OTHER_NAME: &str = "not valid for name";
    /// A certificate whose time is over.
    pub const EXPIRED: &str = "certificate expired";
    /// A certificate whose time is still to come.
    pub const EARLY: &str = "certificate not valid yet";
    /// Behind the host that is too slow.
    pub const TOO_SLOW: &str = "did not answer within";
    /// Before what ended a connection.
    pub const BROKE: &str = "broke: ";
    /// Behind the host that redirects in circles.
    pub const REDIRECTS: &str = "redirects badly";
    /// Behind the host that answers too much.
    pub const TOO_LONG: &str = "answered with more than";
    /// Behind the host that has enough of us.
    pub const LIMITS: &str = "limits requests";
    /// Before a status that is no success.
    pub const STATUS: &str = "the registry answered `";
    /// Behind what was answered in the place of a manifest.
    pub const NO_MANIFEST: &str = "is not a manifest";
    /// What was answered in the place of tags.
    pub const NO_LIST: &str = "the answer is not a list of tags";
    /// Another digest than was stated, or asked for.
    pub const WRONG_DIGEST: &str = "content integrity error";
    /// An index without an image that can run.
    pub const NO_PLATFORM: &str = "no manifests in manifest list";
    /// Before the host without a token.
    pub const NO_TOKEN: &str = "no token from the token server of";
    /// A request that this machine cannot make.
    pub const NO_CLIENT: &str = "cannot ask `";
    /// A config that nobody can use.
    pub const NO_CONFIG: &str = "the config `";
    /// A disk that is full, or closed.
    pub const NOT_KEPT: &str = "cannot keep metadata";
}

/// What to do where a message of a reason holds all of some words; the first row that fits counts.
type Row = (ImportReason, &'static [&'static str], &'static str);

/// `{image}` is the image by its full name, `{host}` who was asked, `{name}` the same without its port.
const ROWS: &[Row] = &[
    (
        ImportReason::NotFound,
        &[said::NO_IMAGE],
        "`{host}` has no such image, or hides it from this login: look at the spelling of repository and tag, or push it; \
         `tidegate auth check {image}` says which login was used",
    ),
    (
        ImportReason::Unauthorized,
        &[said::NO_LOGIN],
        "log in: `podman login {registry}` as the user of the daemon, or into the file of `registries.auth_file`; \
         `tidegate auth check {image}` tries it; where the image is public, look at the spelling of its repository",
    ),
    (
        ImportReason::Unauthorized,
        &[said::WRONG_PASSWORD],
        "log in to `{host}` again: `tidegate auth check {image}` says which login is refused, and which file it is from",
    ),
    (
        ImportReason::Unauthorized,
        &[said::NO_ACCESS],
        "ask the owner for the right to pull, or give another login: `tidegate auth check {image}` says which one \
         `{host}` refuses; a repository that is not there is often refused, too",
    ),
    (
        ImportReason::Forbidden,
        &[said::BLOCKED],
        "`registries.conf` forbids to ask `{host}` for {image}: take `blocked` away there, or name another registry in the \
         manifest",
    ),
    (
        ImportReason::BadRequest,
        &[said::HTTP_ONLY],
        "give `{host}` a certificate, or allow plain HTTP for {image}: `importPolicy: {insecure: true}` at the tag, or \
         `registries.\"{host}\".insecure = true`",
    ),
    (
        ImportReason::UnsupportedManifest,
        &[said::SCHEMA_1],
        "{image} is of Docker's oldest format: push it to `{host}` again with a tool of today",
    ),
    (
        ImportReason::UnsupportedManifest,
        &[],
        "what `{host}` has as {image} is no image that can run (a chart, a signature, a file): name an image",
    ),
    (
        ImportReason::Invalid,
        &["Image.image.openshift.io"],
        "the index {image} is broken: push it to `{host}` again, or take one platform of it with `importMode: Legacy`",
    ),
    (
        ImportReason::NotV2Registry,
        &[],
        "look at the spelling of `{host}` and its port: `curl -i https://{host}/v2/` shows what answers there",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_CONNECTION, said::NO_ADDRESS],
        "look at the spelling of `{host}` and at the name service of this machine: `getent hosts {name}`; it is asked again \
         by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_CONNECTION, said::NOBODY_THERE],
        "nothing listens there: look whether the registry runs, and at the port; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_CONNECTION],
        "look at the network, the firewall and the proxy between this machine and `{host}`; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TLS, said::UNKNOWN_AUTHORITY],
        "name the authority that signed its certificate: `registries.\"{host}\".ca_file`; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TLS, said::OTHER_NAME],
        "name the registry as its certificate does, or give it one for `{name}`; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TLS, said::EXPIRED],
        "renew the certificate of `{host}`, and look at the clock of this machine; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TLS, said::EARLY],
        "look at the clock of this machine, and at the certificate of `{host}`; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TLS],
        "`openssl s_client -connect {host}` shows what its TLS is like; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_TOKEN],
        "the server that gives tokens for `{host}` is in trouble, or `{host}` names a wrong one: tell who runs it; it is \
         asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::LIMITS],
        "wait: it is asked again when it allows it, and `tidegate status` says when; to need less, give longer schedules, \
         a login, or `registries.\"{host}\".limit`",
    ),
    (
        ImportReason::InternalError,
        &[said::TOO_SLOW],
        "look whether `{host}` is busy, or a firewall drops what it sends; `registries.timeout` gives it longer; it is asked \
         again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::BROKE],
        "look at the log of `{host}` and at the proxies before it; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::REDIRECTS],
        "set right where `{host}` and the proxies before it redirect to, then `tidegate import-image`",
    ),
    (
        ImportReason::InternalError,
        &[said::TOO_LONG],
        "no manifest is as large: look what answers for {image} at `{host}`, then `tidegate import-image`",
    ),
    (
        ImportReason::InternalError,
        &[said::WRONG_DIGEST],
        "do not use it: `{host}`, or a proxy before it, gives other bytes than it says; clear its cache or push the image \
         again, then `tidegate import-image`",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_PLATFORM],
        "the index holds nothing that can run, such as signatures only: push an image with it to `{host}`",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_MANIFEST],
        "a proxy or a login page answers, or `{host}` is no registry: `curl -i https://{host}/v2/` shows it; then `tidegate \
         import-image`",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_LIST],
        "a proxy or a login page answers, or `{host}` is no registry: `curl -i https://{host}/v2/` shows it",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_CONFIG],
        "the image is broken at `{host}`: push it again, then `tidegate import-image`",
    ),
    (
        ImportReason::InternalError,
        &[said::NOT_KEPT],
        "look at the room and the rights of `state_dir`; it is tried again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::NO_CLIENT],
        "look at the certificates and the proxy settings of this machine; it is tried again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::STATUS, "`5"],
        "the registry is in trouble: look at its log, or its status page; it is asked again by itself",
    ),
    (
        ImportReason::InternalError,
        &[said::STATUS],
        "`{host}` answers as registries do not: look what stands before it, then `tidegate import-image`",
    ),
];

/// What an operator can do about a failed import; none where the message itself says it, or nobody knows.
///
/// `image` is what was asked for, where that is known: some of OpenShift's messages do not name it.
#[must_use]
pub fn advice(
    reason: ImportReason,
    message: &str,
    image: Option<&ImageReference>,
) -> Option<String> {
    let told = Told { message, image };
    if message.starts_with(said::SEVERAL) {
        let advice = "no place that `registries.conf` names has {image}: the message says of each why; `tidegate auth check \
                      {image}` asks each of them";
        return Some(told.fill(advice));
    }
    let fits = |row: &&Row| row.0 == reason && row.1.iter().all(|words| message.contains(words));
    ROWS.iter().find(fits).map(|(_, _, advice)| told.fill(advice))
}

/// A message, and what it was about.
struct Told<'a> {
    message: &'a str,
    image: Option<&'a ImageReference>,
}

impl Told<'_> {
    fn fill(&self, advice: &str) -> String {
        let named = self.named();
        let parsed: Option<ImageReference> = named.as_ref().and_then(|name| name.parse().ok());
        let registry = parsed.as_ref().and_then(|image| image.registry.clone());
        let host = self.host().map(str::to_owned).or(registry.clone());
        let host = host.unwrap_or_else(|| "the registry".into());
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        advice
            .replace("{image}", named.as_deref().unwrap_or("the image"))
            .replace("{registry}", registry.as_deref().unwrap_or(&host))
            .replace("{name}", name)
            .replace("{host}", &host)
    }

    /// The image by its full name.
    fn named(&self) -> Option<String> {
        let image = self.image.map(ImageReference::normalized);
        let quoted = || self.message.split('"').nth(1).map(str::to_owned);
        let before = || {
            let rest = self.message.strip_prefix("Internal error occurred: ")?;
            Some(rest.split_once(": ")?.0.to_owned())
        };
        image.or_else(before).or_else(quoted)
    }

    /// The host that a message names: a mirror, or what a short name led to.
    fn host(&self) -> Option<&str> {
        let quoted = self.message.split('`').skip(1).step_by(2);
        let is_host = |word: &&str| {
            !word.is_empty() && !word.contains(['/', ' ']) && !word.starts_with("sha256:")
        };
        quoted.into_iter().find(is_host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reason: ImportReason, message: &str) -> Option<String> {
        advice(reason, message, None)
    }

    #[test]
    fn every_row_is_reached_by_its_own_words() {
        for (at, (reason, words, text)) in ROWS.iter().enumerate() {
            let message = words.join(" ");
            let first = ROWS.iter().position(|row| {
                row.0 == *reason && row.1.iter().all(|words| message.contains(words))
            });
            assert_eq!(first, Some(at), "{text}");
        }
    }

    #[test]
    fn the_host_is_the_one_that_the_message_names() {
        let message = "Internal error occurred: r.io/web:1: cannot connect to `mirror.io:5000`: Connection refused (os error 111)";
        let told = Told { message, image: None };
        assert_eq!(
            (told.named().as_deref(), told.host()),
            (Some("r.io/web:1"), Some("mirror.io:5000"))
        );
        let page =
            "Internal error occurred: r.io/web:1: the answer (`text/html`) is not a manifest: x";
        assert!(
            of(ImportReason::InternalError, page).unwrap().contains("or `r.io` is no registry")
        );
    }

    #[test]
    fn an_image_that_the_message_does_not_name_is_the_one_of_the_tag() {
        let image: ImageReference = "r.io:5000/shop/web:1".parse().unwrap();
        let advice = advice(ImportReason::UnsupportedManifest, said::SCHEMA_1, Some(&image));
        assert_eq!(
            advice.unwrap(),
            "r.io:5000/shop/web:1 is of Docker's oldest format: push it to `r.io:5000` again with a tool of today"
        );
    }

    #[test]
    fn nothing_is_advised_where_the_message_says_it() {
        let local = "imagestreamtag \"shop/base:1\" not found";
        assert_eq!(of(ImportReason::NotFound, local), None);
        assert_eq!(of(ImportReason::CircularReference, "a ring"), None);
        assert_eq!(
            of(ImportReason::InternalError, "Internal error occurred: r.io/web:1: odd"),
            None
        );
    }

    #[test]
    fn no_place_has_it() {
        let message =
            "[m.io/web: dockerimage.image.openshift.io \"r.io/web:1\" not found, r.io/web: x]";
        let advice = of(ImportReason::NotFound, message).unwrap();
        assert!(advice.contains("has r.io/web:1: the message says of each why"), "{advice}");
    }
}
