//! Paths with `/`, as Go's `path` puts them together.

/// A path without `.`, `..` where something stands before it, and doubled or trailing `/`; `.` if nothing is left.
pub(super) fn clean(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let path = format!("{root}{}", parts.join("/"));
    if path.is_empty() { ".".to_owned() } else { path }
}

/// A path below another one.
pub(super) fn join(above: &str, below: &str) -> String {
    clean(&format!("{above}/{below}"))
}

/// Whether a path leads nowhere but down.
pub(super) fn is_inside(clean: &str) -> bool {
    !clean.starts_with('/') && clean != ".." && !clean.starts_with("../")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does_it() {
        for (path, expected) in [
            ("", "."),
            ("/", "/"),
            ("a//b/./c/", "a/b/c"),
            ("a/../../b", "../b"),
            ("/../a/..", "/"),
            ("../..", "../.."),
            ("./.s2iignore", ".s2iignore"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert_eq!(join("/tmp", "scripts"), "/tmp/scripts");
        assert_eq!(join("/", "src"), "/src");
        assert!(is_inside("a/b") && is_inside("..a") && is_inside("."));
        assert!(!is_inside("..") && !is_inside("../a") && !is_inside("/a"));
    }
}
