//! Hostile repositories: one daemon is led from each to the next, says what is wrong with it, keeps what it has, and goes
//! on with a good one. What a tree can hold is one commit of a real repository.

use std::path::{Path, PathBuf};

use tidegate::fact::Fact;

use super::{Row, faults};
use crate::support::daemon::Host;
use crate::support::git::Repo;

const GOOD: &str = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: good}\n";

/// Makes something at a path and returns settings below `[source]` beside the repository's.
pub(super) type Make = fn(&Path) -> &'static str;

fn good(at: &Path) -> Repo {
    let repo = Repo::new();
    // Another commit each time: what is in the mirror already is not read again.
    repo.write("good.yaml", GOOD).write("at.txt", at.to_str().unwrap());
    repo.write("own.yaml", format!("# {}\n", at.display()));
    repo.commit("good");
    repo.bare(at)
}

fn edit(path: PathBuf, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The file of the object that a revision names.
fn object(repo: &Repo, revision: &str) -> PathBuf {
    let id = repo.git(&["rev-parse", revision]);
    repo.path().join("objects").join(&id[..2]).join(&id[2..])
}

/// What stands where the repository should be.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Make>> {
    let row = |name, make: Make, says: &[&'static str]| Row::new(name, make, says);
    vec![
        row("nothing", |_| "", &["is not a repository", "does not exist", "source.repository"]),
        row("an empty folder", |at| { std::fs::create_dir(at).unwrap(); "" }, &["is not a git repository", "git init"]),
        row("a file", |at| { std::fs::write(at, "x").unwrap(); "" }, &["is not a git repository"]),
        row("a loop of links", |at| { std::os::unix::fs::symlink(at, at).unwrap(); "" }, &["symbolic links"]),
        row("no commits", |at| { Repo::new().bare(at); "" }, &["has no commits yet"]),
        row("no such branch", |at| { good(at); "branch = \"nowhere\"" }, &["has no branch `nowhere`", "`main`", "source.branch"]),
        row("a branch that names nothing", |at| { good(at); put_head(at, "0000000000000000000000000000000000000001\n"); "" }, &["refs/heads/main", "git fsck"]),
        row("a branch that is no number", |at| { good(at); put_head(at, "garbage\n"); "" }, &["cannot read"]),
        row("a branch that names itself", |at| { good(at); put_head(at, "ref: refs/heads/main\n"); "" }, &["cannot read"]),
        row("a branch that names a blob", |at| { let repo = good(at); let id = repo.git(&["rev-parse", "main:good.yaml"]); put_head(at, &format!("{id}\n")); "" }, &["cannot read"]),
        row("a damaged commit", |at| { let repo = good(at); edit(object(&repo, "main"), b"garbage"); "" }, &["cannot"]),
        row("a damaged tree", |at| { let repo = good(at); edit(object(&repo, "main^{tree}"), b"garbage"); "" }, &["cannot"]),
        row("a missing blob", |at| { let repo = good(at); std::fs::remove_file(object(&repo, "main:own.yaml")).unwrap(); "" }, &["cannot"]),
        row("settings that are none", |at| { good(at); std::fs::write(at.join("config"), "[core\n").unwrap(); "" }, &["cannot"]),
        row("a format of another time", |at| { good(at); std::fs::write(at.join("config"), "[core]\nrepositoryformatversion = 99\n") .unwrap(); "" }, &["cannot"]),
        row("an ignore file that is none", |at| { let repo = Repo::new(); repo.write("good.yaml", GOOD).write(".tidegateignore", "a{b\n"); repo.commit("x"); repo.bare(at); "" }, &["`.tidegateignore` line 1", "correct the pattern"]),
    ]
}

fn put_head(at: &Path, text: &str) {
    drop(std::fs::remove_file(at.join("packed-refs")));
    std::fs::create_dir_all(at.join("refs/heads")).unwrap();
    std::fs::write(at.join("refs/heads/main"), text).unwrap();
}

#[test]
fn hostile_repositories_are_named_and_what_was_adopted_stays() {
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start");
    good(&start);
    let mut host = Host::new(&start, "");
    host.start();
    host.wait_for("the first commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let settings = std::fs::read_to_string(host.path("tidegate.toml")).unwrap();
    let lead_to = |at: &Path, more: &str| {
        let repository = format!("repository = \"{}\"\n{more}\n", at.display());
        let old = format!("repository = \"{}\"\n", start.display());
        let branch = if more.contains("branch") { "branch = \"main\"\n" } else { "\0" };
        let text = settings.replace(&old, &repository).replace(branch, "");
        host.configure(|_| text.clone());
        host.reload();
    };
    let mut wrong = Vec::new();
    let mut seen = host.records().len();
    for row in rows() {
        let at = folder.path().join(row.slug());
        lead_to(&at, (row.input)(&at));
        let told = crate::support::daemon::eventually(row.name, || {
            let new = host.records().split_off(seen);
            new.into_iter().find_map(|record| match record.fact {
                Fact::SourceFailed(failed) => Some(failed.message),
                Fact::CommitRefused(refused) => Some(refused.reason),
                Fact::CommitAdopted(_) => Some("it was adopted".into()),
                _ => None,
            })
        });
        wrong.extend(row.check(&told));
        seen = host.records().len();
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    let end = folder.path().join("end");
    let repo = Repo::new();
    repo.write("good.yaml", GOOD).write("more.yaml", GOOD.replace("good", "more"));
    repo.commit("end");
    repo.bare(&end);
    lead_to(&end, "");
    host.wait_for("the last commit", |fact| match fact {
        Fact::CommitAdopted(adopted) => adopted.objects == 2,
        _ => false,
    });
    assert!(host.text(&["status"]).contains("daemon running"));
    assert!(host.stop().success(), "{}", host.story());
}

/// Puts something into a work tree or its index.
pub(super) type Put = fn(&Repo);

/// What a tree can hold: parts of what `check` or the record of the commit says.
#[rustfmt::skip]
pub(super) fn trees() -> Vec<Row<Put>> {
    let row = |name, put: Put, says: &[&'static str]| Row::new(name, put, says);
    vec![
        row("a link out of the tree", |repo| { std::os::unix::fs::symlink("/etc/passwd", repo.path().join("out.yaml")).unwrap(); }, &["out.yaml", "symbolic link"]),
        row("a link to itself", |repo| { std::os::unix::fs::symlink("own.yaml", repo.path().join("own.yaml")).unwrap(); }, &["own.yaml", "symbolic link"]),
        row("a submodule", |repo| repo.stage("160000", &"1".repeat(40), b"sub"), &["sub", "submodule"]),
        row("a pointer of Git LFS", |repo| { repo.write( "lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", ); }, &["lfs.yaml", "LFS"]),
        row("a huge blob", |repo| { repo.write("huge.yaml", vec![b'#'; 5 << 20]); }, &["huge.yaml", "at most 4194304"]),
        row("a name with a line break", |repo| { repo.write("a\nb.yaml", GOOD); }, &["control characters"]),
        row("a name that is no text", |repo| { repo.write("empty", ""); let id = repo.git(&["hash-object", "-w", "empty"]); repo.stage("100644", &id, b"\xff\xfe.yaml"); }, &["not UTF-8"]),
        row("a folder that is deep", |repo| { repo.write(&format!("{}x.yaml", "d/".repeat(200)), GOOD); }, &["128 folders deep"]),
        row("a folder called as a manifest", |repo| { repo.write("folder.yaml/x", "x"); }, &[]),
    ]
}

#[test]
fn hostile_trees_are_named_and_the_rest_is_adopted() {
    let repo = Repo::new();
    repo.write("good.yaml", GOOD);
    let rows = trees();
    for row in &rows {
        (row.input)(&repo);
    }
    // `commit` would look for the files of what was only staged.
    repo.git(&["add", "--ignore-removal", "."]);
    repo.git(&["commit", "--quiet", "-m", "hostile"]);
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let told = host.text(&["status", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    let told = format!("{report:#}").replace("\\n", " ");
    let diff = host.text(&["status"]);
    let wrong: Vec<_> = rows.iter().filter_map(|row| row.check(&format!("{told}{diff}"))).collect();
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    assert!(diff.contains("1 stream, "), "{diff}");
    assert!(host.stop().success(), "{}", host.story());
}
