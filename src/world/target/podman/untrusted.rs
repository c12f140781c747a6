//! All that reads what podman, systemd and the kernel print, at one door, for the fuzz targets: nothing is run and nothing
//! is asked.

use serde_json::Value;

use super::program::{Trouble, words};
use super::{Pod, bridge, ended, found, health, job, logs, moving, names, pull, read, systemd};

/// Reads a text as everything that a program beside Tidegate may print: what each reader made of it, or why it did not,
/// as it is told.
///
/// The second and the third of [`Untrusted::table`] are what becomes of a table of names when names move, once and again.
#[doc(hidden)]
#[must_use]
pub fn read_untrusted(said: &str) -> Untrusted {
    let gateway = "10.89.0.1".parse().ok();
    let link = gateway.map(|gateway| bridge::bridge(said, gateway));
    let pods = read::json::<Option<Vec<Value>>>("podman pod ps", said).and_then(|listed| {
        let pods = listed.iter().flatten().map(Pod::of);
        pods.collect::<Result<Vec<_>, _>>().map(|pods| format!("{pods:?}"))
    });
    let mut told = vec![
        pods,
        job::pods_of(said).map(|pods| format!("{pods:?}")),
        logs::attempts_of(said.as_bytes()).map(|attempts| format!("{attempts:?}")),
        pull::platform("podman info", said).map(|platform| format!("{platform:?}")),
        Ok(format!("{:?}", ended::End::read(said))),
        Ok(moving::read_untrusted(said)),
        Err(Trouble::Refused(words(said, ""))),
        Err(Trouble::Refused(words("", said))),
    ];
    told.extend(link.map(|link| link.map(|link| format!("{link:?}"))));
    told.extend(health::read_untrusted(said));
    told.extend(found::read_untrusted(said));
    told.extend(systemd::read_untrusted(said));
    let told = told.into_iter().map(|told| told.map_err(found::why)).collect();
    Untrusted { told, table: names::read_untrusted(said) }
}

/// What readers made of a text.
#[doc(hidden)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Untrusted {
    /// What each made of it, or why it did not.
    pub told: Vec<Result<String, String>>,
    /// Its addresses; what becomes of it, once and again; connections that it tells of.
    pub table: [String; 4],
}
