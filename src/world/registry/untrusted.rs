//! All that reads what a registry sends, at one door, for the fuzz targets: no network and no clock.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::auth::{self, Challenge};
use super::conf::RegistriesConf;
use super::failure::Failures;
use super::logins;
use super::manifest::{self, Manifest};
use super::places::{By, ShortNames};
use super::tally;
use super::wire::Answer;
use crate::action::Platform;
use crate::fact;
use crate::names::Digest;
use crate::reference::ImageReference;

/// What separates a manifest from the config that it names.
const CONFIG: &[u8] = b"\n%%config\n";

/// Where a text of containers-registries.conf(5) says that an image is asked for: each name, host and path; none for a
/// text that is refused.
#[doc(hidden)]
#[must_use]
pub fn places_untrusted(text: &str, image: &ImageReference) -> Option<Vec<[String; 3]>> {
    let conf = RegistriesConf::parse(text).ok()?;
    let names = conf.names(image, ShortNames::RegistriesConf);
    let places = names.iter().flat_map(|name| {
        let places = conf.places(name, By::of(name)).places;
        places.into_iter().map(|place| [name.to_string(), place.host, place.repository])
    });
    Some(places.collect())
}

/// Reads `input` as an answer, a status and lines of headers up to an empty line, and its body as everything that a body
/// can be; returns what each reader made of it.
#[doc(hidden)]
#[must_use]
pub fn read_untrusted(input: &[u8]) -> Vec<String> {
    let (head, body) = cut(input, b"\n\n");
    let (body, config) = cut(body, CONFIG);
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line).ok());
    let header = |line: &[u8]| {
        let (name, value) = cut(line, b": ");
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let mut headers = HeaderMap::new();
    // As many as the HTTP library takes.
    for (name, value) in lines.filter_map(header).take(100) {
        headers.append(name, value);
    }
    let answer = Answer::new(status.unwrap_or(StatusCode::OK), headers, body.to_vec());
    let image = ImageReference {
        registry: Some("r.io".into()),
        namespace: Some("team".into()),
        name: "app".into(),
        tag: None,
        digest: None,
    };
    let failures = Failures { image: &image, host: "r.io" };
    let failure = failures.of_answer(&answer);
    let text = String::from_utf8_lossy(body);
    let mut read = vec![
        format!("{:?}", Challenge::of(answer.challenges())),
        answer.challenges().map(auth::read_untrusted_challenge).collect(),
        format!("{:?}", answer.stated_digest()),
        format!("{:?}", answer.retry_after()),
        tally::read_untrusted(&answer),
        format!("{:?}", answer.registry_error()),
        format!("{failure:?}"),
        format!("{:?}", fact::advice(failure.reason, &failure.message, None)),
        auth::read_untrusted(&text),
        logins::read_untrusted(&text),
    ];
    match manifest::read(body, answer.media_type()) {
        Ok(Manifest::Image(image)) => {
            read.push(format!("{:?}", image.metadata(&Digest::of(body), config)));
        }
        Ok(Manifest::Index(index)) => {
            read.push(format!("{:?}", index.choose(&Platform::default())));
            read.push(index.metadata(&Digest::of(body), &[]).to_string());
            read.push(index.faults().concat());
        }
        Err(error) => read.push(format!("{error:?}")),
    }
    read
}

/// What stands before and behind the first `mark`.
fn cut<'a>(bytes: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    let at = bytes.windows(mark.len()).position(|window| window == mark);
    let (before, rest) = bytes.split_at(at.unwrap_or(bytes.len()));
    (before, rest.get(mark.len()..).unwrap_or_default())
}
