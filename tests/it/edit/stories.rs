//! The real program on real repositories: what is committed, what is refused, and that nothing is lost on the way.

use tidegate::action::FileEdit;
use tidegate::world::git::{Keep, SourceConfig, WriteError, Writer};

use crate::support::checkout::{Checkout, Ran};
use crate::support::git::{Repo, program};

const STREAM: &str =
    "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: web}\n";

const TAG: [&str; 3] = ["tag", "r.io/web:1", "web:1"];

fn shop() -> Checkout {
    Checkout::of("apps/web.yaml", STREAM)
}

/// Nothing is changed, and all of this is said.
fn refused(shop: &Checkout, words: &[&str], says: &[&str]) {
    let said = shop.refuses(words);
    for part in says {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn a_file_with_changes_of_the_users_is_refused_and_others_are_left_alone() {
    let shop = shop();
    shop.repo.write("apps/web.yaml", format!("{STREAM}# mine\n"));
    refused(&shop, &TAG, &["`apps/web.yaml` has changes that are not committed", "--no-commit"]);
    shop.repo.git(&["add", "--all"]);
    refused(&shop, &TAG, &["`apps/web.yaml` has staged changes"]);
    shop.repo.git(&["reset", "--quiet", "--hard"]);
    shop.repo.write("apps/new.yaml", STREAM.replace("web", "new"));
    refused(&shop, &["tag", "r.io/web:1", "new:1"], &["`apps/new.yaml` is not committed yet"]);
    shop.repo.write("other.txt", "mine").git(&["add", "other.txt"]);
    shop.repo.write("other.txt", "mine again");
    shop.says(&TAG);
    let committed = shop.repo.git(&["show", "--format=", "--name-only", "HEAD"]);
    assert_eq!(committed, "apps/web.yaml");
    assert_eq!(shop.repo.git(&["status", "--porcelain"]), "AM other.txt\n?? apps/new.yaml");
}

#[test]
fn without_a_commit_a_file_may_have_changes_already() {
    let shop = shop();
    shop.says(&["tag", "r.io/web:1", "web:1", "--no-commit"]);
    shop.says(&["tag", "r.io/web:2", "web:2", "--no-commit"]);
    let text = shop.file("apps/web.yaml");
    assert!(text.contains("r.io/web:1") && text.contains("r.io/web:2"), "{text}");
    assert_eq!(shop.repo.git(&["log", "--format=%s"]), "first");
}

#[test]
fn who_has_not_told_git_who_they_are_is_told_how() {
    let shop = shop().without_author();
    let says = [
        "git does not know who you are",
        "git config --global user.name",
        "git config --global user.email",
    ];
    refused(&shop, &TAG, &says);
    let folder = tempfile::tempdir().unwrap();
    let bare = shop.repo.bare(&folder.path().join("bare.git"));
    let bare = Checkout::in_repo(bare).without_author();
    refused(&bare, &TAG, &says);
}

#[test]
fn no_branch_or_half_a_merge_is_no_place_for_a_commit() {
    let shop = shop();
    shop.repo.git(&["checkout", "--quiet", "--detach"]);
    refused(&shop, &TAG, &["no branch is checked out", "--no-commit"]);
    shop.says(&["tag", "r.io/web:1", "web:1", "--no-commit"]);
    shop.repo.git(&["checkout", "--quiet", "--force", "main"]);
    shop.repo.git(&["checkout", "--quiet", "-b", "side"]);
    shop.repo.write("x", "1").commit("one");
    shop.repo.git(&["checkout", "--quiet", "main"]);
    shop.repo.write("x", "2").commit("two");
    assert!(!shop.repo.try_git(&["merge", "--quiet", "side"]).status.success());
    refused(&shop, &TAG, &["in the middle of a merge", "git status"]);
}

#[test]
fn a_hook_that_refuses_leaves_everything_as_it_was() {
    let shop = shop();
    let hook = shop.repo.path().join(".git/hooks/pre-commit");
    program(&hook, "#!/bin/sh\necho 'lint: too many tags' >&2\nexit 1\n");
    let says = ["the commit failed, and the files are what they were", "lint: too many tags"];
    refused(&shop, &TAG, &says);
    refused(&shop, &["create", "is", "new"], &says);
    assert!(!shop.repo.path().join("test").exists());
    refused(&shop, &["delete", "is", "web"], &says);
    // What the hook itself wrote is nobody's to throw away.
    program(&hook, "#!/bin/sh\necho '# by the hook' >> apps/web.yaml\nexit 1\n");
    let ran = shop.run(&TAG);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("`apps/web.yaml` was changed meanwhile and was left as it is"),
        "{}",
        ran.err
    );
    assert!(shop.file("apps/web.yaml").ends_with("# by the hook\n"));
}

#[test]
fn hooks_that_agree_run_as_for_any_commit() {
    let shop = shop();
    let hook = shop.repo.path().join(".git/hooks/commit-msg");
    program(&hook, "#!/bin/sh\necho 'Checked-by: a hook' >> \"$1\"\n");
    shop.says(&TAG);
    let message = shop.repo.git(&["log", "-1", "--format=%B"]);
    assert_eq!(message, "tag test/web:1 from r.io/web:1\nChecked-by: a hook");
}

/// A checkout with a bare remote, and that remote.
fn with_remote() -> (Checkout, Repo, tempfile::TempDir) {
    let shop = shop();
    let folder = tempfile::tempdir().unwrap();
    let remote = shop.repo.bare(&folder.path().join("remote.git"));
    shop.repo.git(&["remote", "add", "origin", &remote.address()]);
    shop.repo.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    (shop, remote, folder)
}

fn push(shop: &Checkout) -> Ran {
    shop.run(&["tag", "r.io/web:1", "web:1", "--push"])
}

#[test]
fn a_commit_is_pushed_where_the_branch_belongs() {
    let (shop, remote, _folder) = with_remote();
    let ran = push(&shop);
    assert_eq!((ran.code, ran.out.as_str()), (0, "Tag web:1 set to r.io/web:1.\n"), "{}", ran.err);
    assert!(ran.err.ends_with("pushed to `origin`\n"), "{}", ran.err);
    assert_eq!(remote.git(&["rev-parse", "main"]), shop.repo.head().to_string());
}

#[test]
fn a_push_that_is_refused_leaves_the_commit_and_says_why() {
    let (shop, remote, _folder) = with_remote();
    let hook = remote.path().join("hooks/update");
    program(&hook, "#!/bin/sh\necho 'main is protected: open a merge request' >&2\nexit 1\n");
    let before = remote.git(&["rev-parse", "main"]);
    let ran = push(&shop);
    assert_eq!((ran.code, ran.out.as_str()), (1, "Tag web:1 set to r.io/web:1.\n"));
    for part in [
        "committed ",
        "the commit is in your repository, but it was not pushed",
        "main is protected",
    ] {
        assert!(ran.err.contains(part), "no `{part}` in: {}", ran.err);
    }
    assert_eq!(remote.git(&["rev-parse", "main"]), before);
    assert_eq!(shop.repo.git(&["log", "-1", "--format=%s"]), "tag test/web:1 from r.io/web:1");
}

#[test]
fn what_others_pushed_is_never_overwritten() {
    let (shop, remote, folder) = with_remote();
    let other = folder.path().join("other");
    shop.repo.git(&["clone", "--quiet", &remote.address(), other.to_str().unwrap()]);
    let git = |words: &[&str]| {
        let mut command = crate::support::git::command();
        assert!(command.current_dir(&other).args(words).status().unwrap().success());
    };
    git(&["commit", "--quiet", "--allow-empty", "-m", "theirs"]);
    git(&["push", "--quiet"]);
    let theirs = remote.git(&["rev-parse", "main"]);
    let ran = push(&shop);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("not pushed") && ran.err.contains("git pull --rebase"), "{}", ran.err);
    assert_eq!(remote.git(&["rev-parse", "main"]), theirs);
}

#[test]
fn without_a_remote_nothing_is_committed_to_be_pushed() {
    let shop = shop();
    refused(
        &shop,
        &["tag", "r.io/web:1", "web:1", "--push"],
        &["no remote to push to", "git remote add"],
    );
}

#[test]
fn the_repository_is_the_named_one_or_the_one_we_are_in_or_the_configured_one() {
    let shop = shop();
    let elsewhere = tempfile::tempdir().unwrap();
    let apps = shop.repo.path().join("apps");
    let shop = shop.at(&apps);
    shop.says(&TAG);
    let shop = shop.at(elsewhere.path());
    shop.says(&["tag", "r.io/web:2", "web:2"]);
    let other = Repo::new();
    other.write("x.yaml", STREAM).commit("other");
    shop.says(&["tag", "r.io/web:3", "web:3", "--repo", &other.address()]);
    assert!(other.git(&["log", "-1", "--format=%s"]).starts_with("tag test/web:3"));
    let subjects = shop.repo.git(&["log", "--format=%s"]);
    assert_eq!(subjects.lines().count(), 3, "{subjects}");
    shop.host
        .configure(|text| text.replace("repository = \"", "repository = \"https://example.com"));
    let shop = shop.at(other.path());
    let ran = shop.run(&["tag", "r.io/web:4", "web:4"]);
    assert!(ran.err.contains("this waits for `git push`"), "{}", ran.err);
    let shop = shop.at(elsewhere.path());
    let said = shop.refuses(&TAG);
    assert!(said.contains("is in no git repository") && said.contains("--repo"), "{said}");
}

#[test]
fn another_branch_than_the_watched_one_is_told() {
    let shop = shop();
    shop.repo.git(&["checkout", "--quiet", "-b", "feature"]);
    let ran = shop.run(&TAG);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("the daemon reads the branch `main`"), "{}", ran.err);
}

#[test]
fn a_bare_repository_has_no_files_to_leave_uncommitted_and_no_branch_of_another_name() {
    let shop = shop();
    let folder = tempfile::tempdir().unwrap();
    let bare = Checkout::in_repo(shop.repo.bare(&folder.path().join("bare.git")));
    refused(
        &bare,
        &["tag", "r.io/web:1", "web:1", "--no-commit"],
        &["is bare", "leave --no-commit out"],
    );
    refused(
        &bare,
        &["tag", "r.io/web:1", "web:1", "--set", "source.branch=next"],
        &["no branch `next`", "`main`"],
    );
    assert_eq!(
        bare.says(&["tag", "r.io/web:1", "web:1", "--dry-run=server"]),
        "Tag web:1 set to r.io/web:1. (server dry run)\n"
    );
    assert_eq!(bare.repo.git(&["log", "--format=%s", "main"]), "first");
}

#[test]
fn commands_at_the_same_time_on_a_bare_repository_all_land() {
    let shop = shop();
    let folder = tempfile::tempdir().unwrap();
    let bare = Checkout::in_repo(shop.repo.bare(&folder.path().join("bare.git")));
    let tags = ["a", "b", "c", "d"];
    let children: Vec<_> = tags
        .iter()
        .map(|tag| {
            let mut command = bare.command(&["tag", "r.io/web:1", &format!("web:{tag}")]);
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    let text = bare.repo.git(&["show", "main:apps/web.yaml"]);
    for tag in tags {
        assert!(text.contains(&format!("name: {tag}\n")), "{tag} is lost: {text}");
    }
    assert_eq!(bare.repo.git(&["rev-list", "--count", "main"]), "5");
}

#[test]
fn a_branch_that_another_git_has_locked_is_left_and_told_with_the_lock() {
    let shop = shop();
    let folder = tempfile::tempdir().unwrap();
    let bare = Checkout::in_repo(shop.repo.bare(&folder.path().join("bare.git")));
    let lock = bare.repo.path().join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    refused(
        &bare,
        &["tag", "r.io/web:1", "web:1"],
        &["branch `main` is locked by another git process", "refs/heads/main.lock`"],
    );
    assert_eq!(bare.repo.git(&["log", "--format=%s", "main"]), "first");
    std::fs::remove_file(&lock).unwrap();
    bare.says(&["tag", "r.io/web:1", "web:1"]);
}

#[test]
fn the_first_commit_of_a_repository_may_be_ours() {
    let shop = Checkout::in_repo(Repo::new());
    shop.says(&["create", "is", "web"]);
    assert_eq!(shop.repo.git(&["ls-files"]), "test/imagestream-web.yaml");
    let bare = Checkout::in_repo(Repo::with(&["--bare"]));
    bare.says(&["create", "is", "web"]);
    assert_eq!(
        bare.repo.git(&["ls-tree", "-r", "--name-only", "main"]),
        "test/imagestream-web.yaml"
    );
}

#[test]
fn places_that_lead_elsewhere_are_refused() {
    let shop = shop();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), shop.repo.path().join("test")).unwrap();
    refused(&shop, &["create", "is", "new"], &["leads through a symbolic link"]);
    std::fs::remove_file(shop.repo.path().join("test")).unwrap();
    shop.repo.write(".gitignore", "test/\n").commit("ignore");
    refused(&shop, &["create", "is", "new"], &["is ignored by git", "git check-ignore"]);
    shop.repo.write(".gitignore", "").write(".tidegateignore", "test/\n").commit("ignore");
    refused(&shop, &["create", "is", "new"], &["would not be read by the daemon", "edit.folder"]);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn the_mode_of_a_file_and_its_last_line_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = Checkout::of("apps/web.yaml", STREAM.trim_end());
    let path = shop.repo.path().join("apps/web.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    shop.repo.commit("a program");
    shop.says(&["label", "is/web", "a=b"]);
    assert_eq!(
        shop.file("apps/web.yaml"),
        format!("{}, labels: {{a: b}}}}", STREAM.trim_end().trim_end_matches('}'))
    );
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(shop.repo.git(&["status", "--porcelain"]), "");
}

/// A writer of a repository, in the name of the tests.
fn writer(repo: &Repo) -> Writer {
    for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.com")] {
        repo.git(&["config", key, value]);
    }
    Writer::open(repo.path(), SourceConfig::new(repo.address())).unwrap()
}

fn edit(path: &str, before: Option<&str>, after: Option<&str>) -> FileEdit {
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    FileEdit { path: path.into(), before: bytes(before), after: bytes(after) }
}

#[test]
fn a_file_that_somebody_else_changed_meanwhile_is_not_overwritten() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: 1\n").commit("first");
    let writer = writer(&repo);
    let snapshot = writer.read().unwrap();
    let edits = [edit("a.yaml", Some("a: 1\n"), Some("a: 2\n"))];
    repo.write("a.yaml", "a: 3\n").commit("theirs");
    let error = writer.write(&snapshot, &edits, Keep::Commit("ours")).unwrap_err();
    assert!(matches!(error, WriteError::Moved(_)), "{error}");
    assert!(error.to_string().contains("`a.yaml` was changed by somebody else"), "{error}");
    assert_eq!(std::fs::read_to_string(repo.path().join("a.yaml")).unwrap(), "a: 3\n");
}

#[test]
fn a_branch_that_moved_meanwhile_is_not_moved_back() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: 1\n").commit("first");
    let folder = tempfile::tempdir().unwrap();
    let bare = repo.bare(&folder.path().join("bare.git"));
    let writer = writer(&bare);
    let snapshot = writer.read().unwrap();
    let first = [edit("a.yaml", Some("a: 1\n"), Some("a: 2\n"))];
    writer.write(&snapshot, &first, Keep::Commit("one")).unwrap();
    let head = bare.git(&["rev-parse", "main"]);
    let error = writer.write(&snapshot, &first, Keep::Commit("two")).unwrap_err();
    assert!(matches!(error, WriteError::Moved(_)), "{error}");
    assert_eq!(bare.git(&["rev-parse", "main"]), head);
}

#[test]
fn of_several_files_all_are_written_or_none() {
    let repo = Repo::new();
    repo.write("a.yaml", "a: 1\n").write("x", "a file").commit("first");
    let writer = writer(&repo);
    let snapshot = writer.read().unwrap();
    let edits = [
        edit("a.yaml", Some("a: 1\n"), None),
        edit("new/b.yaml", None, Some("b: 1\n")),
        edit("x/c.yaml", None, Some("c: 1\n")),
    ];
    let error = writer.write(&snapshot, &edits, Keep::WorkTree).unwrap_err();
    assert!(error.to_string().contains("cannot write `x/c.yaml`"), "{error}");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert!(!repo.path().join("new").exists());
}

#[test]
fn a_checkout_in_part_is_no_place_to_look_for_objects() {
    let shop = shop();
    shop.repo.write("other/x.yaml", STREAM.replace("web", "x")).commit("other");
    shop.repo.git(&["sparse-checkout", "set", "apps"]);
    refused(&shop, &["create", "is", "x"], &["sparse checkout", "git sparse-checkout disable"]);
}

#[test]
fn hostile_words_change_nothing_and_are_told_why() {
    let shop = shop();
    let long = format!("{}:1", "a".repeat(300));
    let rows: [(&[&str], &str); 14] = [
        (&["tag", "r.io/web:1", "../../etc/passwd:1"], "invalid image stream"),
        (&["tag", "r.io/web:1", "..:1"], "must match"),
        (&["tag", "r.io/web:1", ":"], "must"),
        (&["tag", "r.io/web:1", "web:1\n"], "invalid tag"),
        (&["tag", "r.io/web:1", &long], "invalid"),
        (&["tag", "r.io/web:1", "No_Namespace/web:1"], "No_Namespace"),
        (&["tag", "", "web:1"], "invalid SOURCE: repository name must have at least one component"),
        (&["tag", "my.image:1.0", "web:1"], "must name a repository, not only a registry"),
        (&["create", "is", "../../x"], "must match"),
        (&["create", "is", "web\u{1b}[31m"], "must match"),
        (&["create", "istag", "web"], "must be of the form <stream_name>:<tag>"),
        (&["annotate", "is/web", "=x"], "unexpected annotation format"),
        (&["label", "is/web", "a\u{1b}=x"], "invalid label key"),
        (&["delete", "is", "../web"], "no need to specify a resource type"),
    ];
    for (words, says) in rows {
        let said = shop.refuses(words);
        assert!(said.contains(says), "{words:?}: no `{says}` in: {said}");
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{words:?}: {said:?}");
    }
    shop.says(&["annotate", "is/web", "a=l\nm: {{- }}\t\u{1b}[31m # x"]);
    let manifests = shop.repo.address();
    shop.says(&["check", &manifests]);
}

#[test]
fn texts_on_objects_follow_the_words_of_oc() {
    let shop = shop();
    shop.says(&TAG);
    for (line, said) in [
        ("annotate is/web team=web", "imagestream.image.openshift.io/web annotated"),
        (
            "annotate istag/web:1 tags=hidden description=old",
            "imagestreamtag.image.openshift.io/web:1 annotated",
        ),
        ("annotate istag web:1 tags-", "imagestreamtag.image.openshift.io/web:1 annotated"),
        ("label is web app=web tier=front", "imagestream.image.openshift.io/web labeled"),
        ("label is web app=web", "imagestream.image.openshift.io/web not labeled"),
        ("label is web app=shop --overwrite", "imagestream.image.openshift.io/web labeled"),
        ("label is web tier-", "imagestream.image.openshift.io/web unlabeled"),
        (
            "label is web tier-",
            "label \"tier\" not found.\nimagestream.image.openshift.io/web not labeled",
        ),
        ("label is --all x=y", "imagestream.image.openshift.io/web labeled"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(shop.says(&words), format!("{said}\n"), "{line}");
    }
    for (line, said) in [
        (
            "annotate is/web team=x",
            "error: --overwrite is false but found the following declared annotation(s): 'team' already has a value (web)",
        ),
        (
            "label is/web app=y x=z",
            "error: ['app' already has a value (shop), and --overwrite is false, 'x' already has a value (y), and --overwrite is false]",
        ),
        ("label is/web", "error: at least one label update is required"),
        (
            "annotate is a=b",
            "error: one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ),
        (
            "label is/web a=b a-",
            "error: can not both modify and remove a label in the same command",
        ),
        (
            "annotate is/no a=b",
            "Error from server (NotFound): imagestreams.image.openshift.io \"no\" not found",
        ),
        (
            "annotate istag/web:no a=b",
            "Error from server (NotFound): imagestreamtags.image.openshift.io \"web:no\" not found",
        ),
        ("label frob/web a=b", "error: the server doesn't have a resource type \"frob\""),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(shop.refuses(&words), format!("{said}\n"), "{line}");
    }
    refused(
        &shop,
        &["label", "is/web", "a=not a value"],
        &["invalid label value: \"a=not a value\""],
    );
    refused(&shop, &["annotate", "is/web", "no key/=b"], &["invalid annotation key"]);
    refused(&shop, &["label", "istag/web:1", "a=b"], &["a tag has the labels of its image stream"]);
}
