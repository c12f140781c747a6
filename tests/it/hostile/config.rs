//! Hostile configurations, through `tidegate config`: exit code 64, with the line and what to write instead.

use std::path::Path;

use super::{Row, Runs, faults};

/// What stands in the file.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Vec<u8>>> {
    let row =
        |name, text: &str, says: &[&'static str]| Row::new(name, text.as_bytes().to_vec(), says);
    let target = |rest: &str| format!("[targets.a]\nkind = \"webhook\"\n{rest}");
    vec![
        Row::new("not UTF-8", b"a = \"\xff\"\n".to_vec(), &["tidegate.toml", "not UTF-8", "save it as UTF-8"]),
        row("no TOML", "a = [\n", &["tidegate.toml:1", "unclosed array"]),
        row("a NUL", "state_dir = \"a\0b\"\n", &["tidegate.toml:1"]),
        row("a terminal's escape", "\"\\u001b[31m\" = 1\n", &["tidegate.toml:1", "is not known"]),
        row("a key twice", "x = 1\nx = 2\n", &["tidegate.toml:2", "duplicate key"]),
        row("a section twice", "[source]\n[source]\n", &["tidegate.toml:2", "duplicate key"]),
        row("deep nesting", &format!("a = {}", "[".repeat(100_000)), &["tidegate.toml:1", "recurs"]),
        row("an unknown key", "stat_dir = \"x\"\n", &["`stat_dir`", "did you mean `state_dir`?"]),
        row("an unknown section", "[sauce]\nx = 1\n", &["`sauce`", "did you mean"]),
        row("a section that is a value", "source = \"x\"\n", &["`source`", "is a section", "write its keys below `[source]`"]),
        row("a value that is a section", "[state_dir]\nx = 1\n", &["`state_dir`", "is not a section"]),
        row("a list of sections", "[[source]]\nbranch = \"x\"\n", &["`source`", "is a section"]),
        row("a number as path", "state_dir = 7\n", &["`state_dir`", "expected text in quotes"]),
        row("a date as path", "state_dir = 1979-05-27\n", &["`state_dir`", "datetime"]),
        row("an empty path", "state_dir = \"\"\n", &["`state_dir`", "the path is empty"]),
        row("a span without a unit", "[source]\npoll = 5\n", &["tidegate.toml:2", "`source.poll`", "write \"5s\" or \"5m\""]),
        row("a span before now", "[source]\npoll = \"-1s\"\n", &["`source.poll`", "must not be negative"]),
        row("a span of an age", "[source]\npoll = \"99999999999999999999h\"\n", &["`source.poll`", "like `15m`"]),
        row("an interval that is too short", "[imports]\ninterval = \"1s\"\n", &["`imports.interval`", "at least \"10s\""]),
        row("a mode that is none", "[imports]\nmode = \"x\"\n", &["`Legacy`", "`PreserveOriginal`"]),
        row("a number beyond all numbers", "[registries]\nchecks_in_flight = 99999999999999999999\n", &["`registries.checks_in_flight`", "at least 1"]),
        row("fewer than none", "[prune]\nmax_objects = -1\n", &["`prune.max_objects`", "at least 0"]),
        row("a registry with two ports", "[imports]\nallowed_registries = [\"a:1:2\"]\n", &["tidegate.toml:2", "`imports.allowed_registries`", "`a:1:2` is not a registry"]),
        row("an allowed registry without a name", "[compat.imagePolicyConfig]\nallowedRegistriesForImport = [{insecure = true}]\n", &["tidegate.toml:2", "expected a list of tables like {domainName"]),
        row("an allowed registry of another type", "[compat.imagePolicyConfig]\nallowedRegistriesForImport = \"quay.io\"\n", &["expected a list of tables like {domainName"]),
        row("a registry that is a path", "[integrated_registry]\naddress = \"r.io/a\"\n", &["`integrated_registry.address`", "`r.io/a` is not a registry"]),
        row("a registry that is a URL", "[integrated_registry]\naddress = \"https://r.io\"\n", &["`integrated_registry.address`", "is not a registry"]),
        row("a registry that reads as a namespace", "[integrated_registry]\naddress = \"registry\"\n", &["a dot in it"]),
        row("a registry without an address", "[integrated_registry]\nmode = \"pull-through\"\n", &["`integrated_registry`", "needs `address`"]),
        row("a registry of an unknown mode", "[integrated_registry]\naddress = \"r.io\"\nmode = \"x\"\n", &["`managed`", "`pull-through`"]),
        row("nothing at once", "[rollouts]\nin_flight = 0\n", &["`rollouts.in_flight`", "at least 1"]),
        row("a branch with a space", "[source]\nbranch = \"a b\"\n", &["`source.branch`", "`a b` is not a branch"]),
        row("a path out of the repository", "[source]\npaths = [\"../x\"]\n", &["`source.paths`", "a path inside the repository"]),
        row("a namespace that is a path", "default_namespace = \"../x\"\n", &["`default_namespace`", "lower-case letters"]),
        row("a platform that is none", "default_platform = \"amd64\"\n", &["`default_platform`", "like `linux/arm64`"]),
        row("a target of an unknown kind", "[targets.a]\nkind = \"floppy\"\n", &["`targets.a.kind`", "`exec`, `webhook`"]),
        row("a target without a command", "[targets.a]\nkind = \"exec\"\n", &["`targets.a`", "needs `command`"]),
        row("a target whose name is a path", "[targets.\"../a\"]\nkind = \"none\"\n", &["`../a` is not a target name"]),
        row("an address that is none", &target("url = \"nope\"\n"), &["`targets.a.url`", "is not a URL"]),
        row("an address of another kind", &target("url = \"ftp://x\"\n"), &["expected an http or https URL", "`ftp`"]),
        row("a header that is two", &target("url = \"http://x\"\nheaders = {a = \"b\\r\\nc: d\"}\n"), &["`targets.a.headers.a`"]),
        row("a route to nowhere", "[routes]\ndefault = \"nowhere\"\n", &["`routes.default`", "there is no target `nowhere`"]),
        row("a route of no object", "[routes.objects]\nx = \"none\"\n", &["`routes.objects.x`", "`Kind/namespace/name`"]),
        row("a level that is none", "[log]\nlevel = \"inof\"\n", &["`log.level`", "`inof` is not a level", "info, debug"]),
        row("a listener that is nowhere", "[listener]\naddress = \"localhost\"\n", &["`listener.address`", "`127.0.0.1:PORT`"]),
        row("a listener of a service", "[listener]\naddress = 80\n", &["`listener.address`", "expected text in quotes"]),
        row("a listener with an endless path", &format!("[listener]\naddress = \"unix:/{}\"\n", "x".repeat(200)), &["`listener.address`", "at most 107 bytes"]),
        row("a hook without a kind", "[listener.hooks.a]\nsecret_file = \"x\"\n", &["`listener.hooks.a`", "needs a `kind`", "`distribution`"]),
        row("a hook of an unknown kind", "[listener.hooks.a]\nkind = \"svn\"\nsecret_file = \"x\"\n", &["`svn` is not one of", "`bitbucket`"]),
        row("a hook without a secret", "[listener.hooks.a]\nkind = \"github\"\n", &["`listener.hooks.a`", "needs a secret"]),
        row("a hook with its secret in the file", "[listener.hooks.a]\nkind = \"github\"\nsecret = \"x\"\n", &["`listener.hooks.a.secret`", "write it to another one"]),
        row("a hook with two words about its secret", "[listener.hooks.a]\nkind = \"generic\"\nsecret = \"none\"\nsecret_file = \"x\"\n", &["remove one of both"]),
        row("a hook whose name is a path", "[listener.hooks.\"../a\"]\nkind = \"github\"\nsecret_file = \"x\"\n", &["letters, digits"]),
        row("a hook with a header that is two", "[listener.hooks.a]\nkind = \"generic\"\nsecret_file = \"x\"\nheader = \"a: b\"\n", &["is not the name of a header"]),
        row("a hook with a header that it ignores", "[listener.hooks.a]\nkind = \"github\"\nsecret_file = \"x\"\nheader = \"a\"\n", &["no meaning for this kind"]),
        row("a hook of a registry that is a path", "[listener.hooks.a]\nkind = \"quay\"\nsecret_file = \"x\"\nregistry = \"a/b\"\n", &["`a/b` is not a registry"]),
        row("a socket with an endless path", &format!("[control]\nsocket = \"/{}\"\n", "x".repeat(200)), &["`control.socket`", "at most 107 bytes"]),
    ]
}

fn put(folder: &Path, bytes: &[u8]) {
    std::fs::write(folder.join("tidegate.toml"), bytes).unwrap();
}

#[test]
fn hostile_configurations_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for row in rows() {
        put(folder.path(), &row.input);
        wrong.extend(row.ends(&Runs::in_folder(folder.path()).run(&["config"]), 64));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

/// What stands in the file of `registries.conf`.
#[rustfmt::skip]
pub(super) fn registries() -> Vec<Row<Vec<u8>>> {
    let row =
        |name, text: &str, says: &[&'static str]| Row::new(name, text.as_bytes().to_vec(), says);
    let mirror = |fields: &str| format!("[[registry]]\nprefix = 'quay.io'\n[[registry.mirror]]\n{fields}\n");
    vec![
        Row::new("no text", b"\xff\xfe".to_vec(), &["cannot be read", "UTF-8"]),
        row("not TOML", "[[registry", &["containers-registries.conf(5)", "unclosed"]),
        row("more than any mirrors need", &"# x\n".repeat(300_000), &["more than 1024 KiB"]),
        row("deep nesting of tables", &format!("a = {}", "[".repeat(100_000)), &["recurs"]),
        row("a list that is a number", "registry = 7", &["invalid type"]),
        row("a registry that is nowhere", "[[registry]]", &["number 1", "`prefix`", "`location`"]),
        row("a scheme", "[[registry]]\nprefix = 'https://quay.io'", &["without a scheme"]),
        row("an escape of a terminal", "[[registry]]\nprefix = \"a\\u001b[31m\"", &["is not the place of images"]),
        row("a wildcard for a place", "[[registry]]\nprefix = 'quay.io'\nlocation = '*.io'", &["`*.io` is not the place"]),
        row("a mirror that is nowhere", &mirror("insecure = true"), &["`[[registry.mirror]]` of `quay.io` has no `location`"]),
        row("a mirror for what nobody asks", &mirror("location = 'm.io'\npull-from-mirror = \"x\\u0007\""), &["`all`, `digest-only`, `tag-only`"]),
        row("an alias for itself", "[aliases]\n\"a\\u0007\" = 'a'", &["the alias", "with a registry"]),
    ]
}

#[test]
fn hostile_files_of_registries_are_refused_with_their_reason() {
    let (folder, repo) = (tempfile::tempdir().unwrap(), crate::support::git::Repo::new());
    repo.write("a.txt", "nothing").commit("first");
    let config = format!(
        "state_dir = \"state\"\n[source]\nrepository = \"{}\"\n[control]\nsocket = \"socket\"\n[registries]\nconf = \"r.conf\"\n",
        repo.path().display()
    );
    put(folder.path(), config.as_bytes());
    let mut wrong = Vec::new();
    for mut row in registries() {
        std::fs::write(folder.path().join("r.conf"), &row.input).unwrap();
        row.says.push("r.conf` (`registries.conf`)");
        wrong.extend(row.ends(&Runs::in_folder(folder.path()).run(&["run"]), 1));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

/// What is in the file's place: the argument of `--config`, how it ends, and what is said.
fn places() -> Vec<Row<(&'static str, i32)>> {
    vec![
        Row::new("a missing file", ("nowhere.toml", 64), &["nowhere.toml", "No such file"]),
        Row::new("a directory", ("folder", 64), &["folder", "directory"]),
        Row::new("a loop of links", ("loop", 64), &["loop", "symbolic links"]),
        Row::new("a path below a file", ("file/x", 64), &["file/x", "Not a directory"]),
        Row::new("an endless name", (ENDLESS, 64), &["too long"]),
        Row::new("a file without an end", ("/dev/zero", 64), &["/dev/zero", "more than 1024 KiB"]),
    ]
}

const ENDLESS: &str = concat!(
    "a",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
);

pub(super) fn count() -> usize {
    rows().len() + places().len() + registries().len()
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
    let mut wrong = Vec::new();
    for row in places() {
        let (place, code) = row.input;
        let output = Runs::in_folder(folder.path()).run(&["config", "--config", place]);
        wrong.extend(row.ends(&output, code));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}
