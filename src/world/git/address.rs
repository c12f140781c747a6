//! Where a repository is: a path on this machine, or a URL; and how it is shown without its secrets.

use std::path::{Path, PathBuf};

use super::error::Problem;

/// Where a repository is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Address {
    /// A work tree or a bare repository on this machine; an absolute path.
    Local(PathBuf),
    /// A URL that the `git` program understands.
    Remote(String),
}

/// The transports that `git` may use; what runs programs of the URL's choice (`ext::`, `fd::`) is not among them.
pub(in crate::world) const PROTOCOLS: [&str; 5] = ["file", "git", "http", "https", "ssh"];

/// Those without files of this machine: for addresses that a repository names, and not whoever owns this machine.
pub(in crate::world) const FAR_PROTOCOLS: [&str; 4] = ["git", "http", "https", "ssh"];

/// The transports for an address: files of this machine where it says itself that it is one.
pub(in crate::world) fn protocols_of(address: &str) -> &'static [&'static str] {
    match Address::parse(address) {
        Ok(Address::Remote(url)) if !url.starts_with("file:") => &FAR_PROTOCOLS,
        Ok(_) | Err(_) => &PROTOCOLS,
    }
}

impl Address {
    /// Reads a repository as the configuration names it, by git's own rules.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |why| Problem::Address { shown: redact(text), why };
        if text.is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.starts_with('-') {
            return Err(refuse("it begins with `-`, which `git` would take as an option"));
        }
        if text.chars().any(char::is_control) {
            return Err(refuse("it contains a control character"));
        }
        if let Some((scheme, _)) = text.split_once("://")
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
        {
            if PROTOCOLS.contains(&scheme) || scheme == "ssh+git" || scheme == "git+ssh" {
                return Ok(Self::Remote(text.to_owned()));
            }
            return Err(refuse("only https, ssh, http, git and file URLs and paths are read"));
        }
        let colon = text.find(':');
        if colon.is_some_and(|at| text.get(at..).is_some_and(|rest| rest.starts_with("::"))) {
            return Err(refuse("transport helpers such as `ext::` and `fd::` are not used"));
        }
        // `host:path`, unless a slash comes first: `./a:b` is a path.
        if colon.is_some_and(|at| text.find('/').is_none_or(|slash| at < slash)) {
            return Ok(Self::Remote(text.to_owned()));
        }
        let path = Path::new(text);
        std::path::absolute(path).map(Self::Local).map_err(|_| refuse("it is not a usable path"))
    }

    /// The text that is given to `git`; never shown.
    pub(super) fn argument(&self) -> std::ffi::OsString {
        match self {
            Self::Local(path) => path.clone().into_os_string(),
            Self::Remote(url) => url.into(),
        }
    }

    /// The text for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Remote(url) => redact(url),
        }
    }
}

/// Replaces logins in every URL of a text by `***`.
///
/// Git quotes URLs in its messages, and a URL may carry `user:password@`, or a token in place of the user. The user of
/// an SSH URL is no secret and stays.
pub(in crate::world) fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        rest = tail;
        let Some((login, host)) = authority.rsplit_once('@') else {
            shown.push_str(authority);
            continue;
        };
        if before.ends_with("ssh://") && !login.contains(':') {
            shown.push_str(login);
        } else {
            shown.push_str("***");
        }
        shown.push('@');
        shown.push_str(host);
    }
    shown.push_str(rest);
    redact_query(&shown)
}

/// Replaces the query of every URL: some servers take a token there.
fn redact_query(text: &str) -> String {
    let word = |word: &str| match word.split_once('?') {
        Some((url, query)) if url.contains("://") && query.contains('=') => {
            let quote: String =
                query.chars().rev().take_while(|c| "'\"`:,.".contains(*c)).collect();
            format!("{url}?***{}", quote.chars().rev().collect::<String>())
        }
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> bool {
        matches!(Address::parse(text), Ok(Address::Remote(_)))
    }

    #[test]
    fn urls_and_host_colon_path_are_remote_and_paths_are_local() {
        for text in
            ["https://h/x", "http://h/x", "ssh://h/x", "git://h/x", "file:///x", "git@h:x", "h:x/y"]
        {
            assert!(remote(text), "{text}");
        }
        for text in ["/srv/x", "x", "./a:b", "../x.git", "a/b:c"] {
            assert!(matches!(Address::parse(text), Ok(Address::Local(_))), "{text}");
        }
    }

    #[test]
    fn files_of_this_machine_are_read_only_where_the_address_is_one() {
        for far in ["https://h/x", "ssh://h/x", "git@h:x", "git://h/x"] {
            assert!(!protocols_of(far).contains(&"file"), "{far}");
        }
        for near in ["/srv/x", "./x", "file:///x"] {
            assert!(protocols_of(near).contains(&"file"), "{near}");
        }
        assert!(PROTOCOLS.iter().filter(|one| **one != "file").eq(&FAR_PROTOCOLS));
    }

    #[test]
    fn addresses_that_could_run_something_are_refused() {
        for text in
            ["-x", "--upload-pack=touch /x", "ext::sh -c id", "fd::7", "ftp://h/x", "", "a\nb"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse("ext::sh://x").is_err());
    }

    #[test]
    fn logins_are_never_shown() {
        let check = |text: &str, shown: &str| assert_eq!(redact(text), shown);
        check("https://u:p@h/x", "https://***@h/x");
        check(
            "fatal: 'https://token@h/x' and http://a:b@c:80/d",
            "fatal: 'https://***@h/x' and http://***@c:80/d",
        );
        check("https://u:p@ss@h/x", "https://***@h/x");
        check("ssh://git@h/x", "ssh://git@h/x");
        check("ssh://git:pw@h/x", "ssh://***@h/x");
        check("git@h:x", "git@h:x");
        check("at 'https://h/x?access_token=abc': no", "at 'https://h/x?***': no");
        check("no url? a=b", "no url? a=b");
    }
}
