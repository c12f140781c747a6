//! The source against real repositories, local and served by real servers.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tidegate::action::{ReadSource, SourceFailure, SourceRead};
use tidegate::limits;
use tidegate::names::{CommitId, Seq};
use tidegate::world::git::{Freshness, Source, SourceConfig};
use tokio_util::sync::CancellationToken;

use crate::support::git::Repo;
use crate::support::git_server::{HttpServer, SshServer};

struct Desk {
    source: Source,
    state: tempfile::TempDir,
}

impl Desk {
    fn of(repo: &Repo) -> Self {
        Self::with(SourceConfig::new(repo.address()))
    }

    fn with(config: SourceConfig) -> Self {
        let state = tempfile::tempdir().unwrap();
        Self { source: Source::open(config, state.path()).unwrap(), state }
    }

    fn at(address: impl Into<String>) -> Self {
        Self::with(SourceConfig::new(address))
    }

    /// The same state directory with other settings.
    fn again(self, config: SourceConfig) -> Self {
        Self { source: Source::open(config, self.state.path()).unwrap(), state: self.state }
    }

    fn try_read(&self, base: Option<CommitId>) -> Result<SourceRead, SourceFailure> {
        self.source.read(&ReadSource { base }, &CancellationToken::new())
    }

    fn read(&self, base: Option<CommitId>) -> SourceRead {
        self.try_read(base).unwrap()
    }

    fn fails(&self) -> String {
        let failure = self.try_read(None).unwrap_err();
        assert_eq!(failure.commit, None, "{}", failure.message);
        failure.message
    }
}

fn paths(read: &SourceRead) -> Vec<&str> {
    read.changed.iter().map(|file| file.path.as_str()).collect()
}

fn content<'a>(read: &'a SourceRead, path: &str) -> &'a [u8] {
    let file = read.changed.iter().find(|file| file.path == path).unwrap();
    file.bytes.as_deref().unwrap()
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

/// Runs a story on a repository that is read directly, and on the same one by way of `git`.
fn both_ways(story: impl Fn(&Repo, &Desk)) {
    let repo = Repo::new();
    story(&repo, &Desk::of(&repo));
    let repo = Repo::new();
    story(&repo, &Desk::at(format!("file://{}", repo.address())));
}

#[test]
fn the_first_read_brings_every_file() {
    both_ways(|repo, desk| {
        repo.write("b.yaml", "b: 1\n").write("streams/a.yaml", "a: 1\n");
        let commit = repo.commit("first");
        let read = desk.read(None);
        assert_eq!((read.commit, read.base, read.forced), (commit, None, false));
        assert_eq!(read.branch, "main");
        assert_eq!(paths(&read), ["b.yaml", "streams/a.yaml"]);
        assert_eq!(content(&read, "streams/a.yaml"), b"a: 1\n");
        assert_eq!(read.changed[0].len, 5);
        assert_eq!(read.changed[0].blob.to_string(), repo.git(&["rev-parse", "HEAD:b.yaml"]));
    });
}

#[test]
fn a_read_with_a_base_brings_what_changed() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1").write("same/b.yaml", "1").write("old/c.yaml", "1");
        let base = repo.commit("first");
        desk.read(None);
        repo.write("a.yaml", "2").write("new/d.yaml", "1").remove("old/c.yaml");
        repo.commit("second");
        let commit = repo.commit("third, empty");
        let read = desk.read(Some(base));
        assert_eq!((read.commit, read.base, read.forced), (commit, Some(base), false));
        assert_eq!(paths(&read), ["a.yaml", "new/d.yaml"]);
        assert_eq!(read.removed, ["old/c.yaml"]);
        assert_eq!(content(&read, "a.yaml"), b"2");
        let again = desk.read(Some(commit));
        assert_eq!((again.base, again.forced), (Some(commit), false));
        assert!(again.changed.is_empty() && again.removed.is_empty());
    });
}

#[test]
fn a_half_written_work_tree_is_never_seen() {
    let repo = Repo::new();
    repo.write("a.yaml", "committed").commit("first");
    let desk = Desk::of(&repo);
    repo.write("a.yaml", "half").write("b.yaml", "new");
    repo.git(&["add", "b.yaml"]);
    let read = desk.read(None);
    assert_eq!(paths(&read), ["a.yaml"]);
    assert_eq!(content(&read, "a.yaml"), b"committed");
}

#[test]
fn a_file_that_becomes_a_folder_a_link_or_executable_is_told_apart() {
    both_ways(|repo, desk| {
        repo.write("x", "1").write("y", "target").write("run.sh", "1").write("z/a", "1");
        let base = repo.commit("first");
        desk.read(None);
        repo.remove("x").write("x/a.yaml", "1").remove("y").remove("z/a");
        std::fs::remove_dir(repo.path().join("z")).unwrap();
        repo.write("z", "1");
        std::os::unix::fs::symlink("target", repo.path().join("y")).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(repo.path().join("run.sh"), mode).unwrap();
        let second = repo.commit("second");
        let read = desk.read(Some(base));
        assert_eq!(paths(&read), ["x/a.yaml", "z"]);
        assert_eq!(read.removed, ["x", "y", "z/a"]);
        assert_eq!(read.skipped[0].path, "y");
        // And back: the content of the link and of the file is the same blob.
        repo.reset(&base.to_string());
        let back = desk.read(Some(second));
        assert_eq!(paths(&back), ["x", "y", "z/a"]);
        assert_eq!(back.removed, ["x/a.yaml", "z"]);
        assert!(back.forced);
    });
}

#[test]
fn a_force_push_is_told_and_the_past_stays() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let first = repo.commit("first");
        repo.write("a.yaml", "2").write("b.yaml", "1");
        let second = repo.commit("second");
        assert_eq!(desk.read(None).commit, second);
        desk.source.keep(Seq(7), &second).unwrap();
        repo.reset(&first.to_string());
        repo.write("a.yaml", "3");
        let third = repo.commit("another second");
        // The source forgets the commit for good.
        repo.git(&["reflog", "expire", "--expire=now", "--all"]);
        repo.git(&["gc", "--quiet", "--prune=now"]);
        let read = desk.read(Some(second));
        assert_eq!((read.commit, read.base, read.forced), (third, Some(second), true));
        assert_eq!(paths(&read), ["a.yaml"]);
        assert_eq!(read.removed, ["b.yaml"]);
        let past = desk.source.read_adopted(&second).unwrap();
        assert_eq!(paths(&past), ["a.yaml", "b.yaml"]);
        assert_eq!(content(&past, "a.yaml"), b"2");
    });
}

#[test]
fn a_branch_set_back_is_forced() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let first = repo.commit("first");
        repo.write("a.yaml", "2");
        let second = repo.commit("second");
        desk.read(None);
        repo.reset(&first.to_string());
        let read = desk.read(Some(second));
        assert_eq!((read.commit, read.forced), (first, true));
        assert_eq!(paths(&read), ["a.yaml"]);
    });
}

#[test]
fn a_vanished_branch_is_a_failure_that_names_the_others() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1").commit("first");
        desk.read(None);
        repo.git(&["branch", "-m", "main", "trunk"]);
        repo.git(&["branch", "other"]);
        says(&desk.fails(), &["no branch `main`", "`other`, `trunk`", "source.branch"]);
    });
}

#[test]
fn a_repository_without_commits_is_a_failure_that_waits() {
    both_ways(|repo, desk| {
        says(&desk.fails(), &["has no commits yet"]);
        let commit = repo.commit("first");
        assert_eq!(desk.read(None).commit, commit);
    });
}

#[test]
fn an_empty_tree_is_a_read_without_files() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let base = repo.commit("first");
        desk.read(None);
        repo.remove("a.yaml");
        let commit = repo.commit("nothing is left");
        let read = desk.read(Some(base));
        assert_eq!((read.commit, read.removed.len(), read.changed.len()), (commit, 1, 0));
        assert!(desk.read(None).changed.is_empty());
    });
}

#[test]
fn a_repository_that_is_not_there_or_vanishes_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later");
    let desk = Desk::at(path.to_str().unwrap());
    says(&desk.fails(), &["does not exist", "source.repository"]);
    std::fs::create_dir(&path).unwrap();
    says(&desk.fails(), &["is not a git repository", "git init"]);
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let commit = repo.commit("first");
        desk.read(None);
        std::fs::rename(repo.path(), repo.path().with_extension("away")).unwrap();
        says(&desk.fails(), &["source.repository"]);
        assert_eq!(paths(&desk.source.read_adopted(&commit).unwrap()), ["a.yaml"]);
        std::fs::rename(repo.path().with_extension("away"), repo.path()).unwrap();
        assert_eq!(desk.read(Some(commit)).commit, commit);
    });
}

#[test]
fn links_submodules_and_odd_names_are_skipped_with_a_reason() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1").write("deep/b.yaml", "1");
        let first = repo.commit("first");
        std::os::unix::fs::symlink("a.yaml", repo.path().join("link.yaml")).unwrap();
        repo.commit("second");
        let blob = repo.git(&["rev-parse", "HEAD:a.yaml"]);
        repo.stage("160000", &first.to_string(), b"vendor/sub");
        repo.stage("100644", &blob, b"caf\xe9.yaml");
        repo.stage("100644", &blob, b"\xff/c.yaml");
        repo.stage("100644", &blob, b"bell\x07.yaml");
        repo.git(&["commit", "-q", "-m", "third"]);
        let read = desk.read(None);
        assert_eq!(paths(&read), ["a.yaml", "deep/b.yaml"]);
        let shown: Vec<_> = read
            .skipped
            .iter()
            .map(|skip| (skip.path.as_str(), skip.why.split([';', ',']).next().unwrap()))
            .collect();
        let expected = [
            ("bell\u{7}.yaml", "its name has control characters"),
            ("caf\u{fffd}.yaml", "its name is not UTF-8"),
            ("link.yaml", "it is a symbolic link"),
            ("vendor/sub", "it is a submodule"),
            ("\u{fffd}", "its name is not UTF-8"),
        ];
        assert_eq!(shown, expected);
        // Also where nothing of it changed.
        assert_eq!(desk.read(Some(read.commit)).skipped, read.skipped);
    });
}

#[test]
fn a_file_of_20_mib_comes_without_its_content() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1").write("big.bin", vec![b'x'; 20 << 20]).commit("first");
        let read = desk.read(None);
        assert_eq!(paths(&read), ["a.yaml", "big.bin"]);
        assert_eq!((read.changed[1].len, read.changed[1].bytes.is_none()), (20 << 20, true));
    });
}

#[test]
fn more_files_than_the_limit_are_a_failure_with_the_commit() {
    let repo = Repo::new();
    repo.write("a", "1").commit("first");
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    // 400 names for one folder of 300 files: past the limit without writing them.
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let files: String = (0..300).map(|n| format!("100644 blob {blob}\tf{n:03}\n")).collect();
    std::fs::write(&list, files).unwrap();
    let tree = make_tree(&repo, &list);
    let folders: String = (0..400).map(|n| format!("040000 tree {tree}\td{n:03}\n")).collect();
    std::fs::write(&list, folders).unwrap();
    let tree = make_tree(&repo, &list);
    let commit = repo.git(&["commit-tree", "-m", "many", &tree]);
    repo.git(&["update-ref", "refs/heads/main", &commit]);
    let desk = Desk::of(&repo);
    let failure = desk.try_read(None).unwrap_err();
    assert_eq!(failure.commit.unwrap().to_string(), commit);
    let max = limits::SOURCE_FILES_MAX.to_string();
    says(&failure.message, &[&max, "source.paths", ".tidegateignore"]);
    let mut config = SourceConfig::new(repo.address());
    config.paths = vec!["d001".to_owned()];
    assert_eq!(desk.again(config).read(None).changed.len(), 300);
}

fn make_tree(repo: &Repo, list: &Path) -> String {
    let output = crate::support::git::command()
        .current_dir(repo.path())
        .arg("mktree")
        .stdin(std::fs::File::open(list).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn ten_thousand_files_are_read() {
    let repo = Repo::new();
    for number in 0..10_000 {
        repo.write(&format!("d{:02}/f{number}.yaml", number % 100), format!("n: {number}\n"));
    }
    let base = repo.commit("first");
    let desk = Desk::of(&repo);
    assert_eq!(desk.read(None).changed.len(), 10_000);
    repo.write("d07/f7.yaml", "n: changed\n").commit("second");
    assert_eq!(paths(&desk.read(Some(base))), ["d07/f7.yaml"]);
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_remedy() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can give a repository to another user");
        return;
    }
    let repo = Repo::new();
    repo.write("a.yaml", "1").commit("first");
    chown(repo.path(), 65_534);
    says(&Desk::of(&repo).fails(), &["another user", "safe.directory", &repo.address()]);
    let message = Desk::at(format!("file://{}", repo.address())).fails();
    says(&message, &["another user", "safe.directory"]);
    chown(repo.path(), 0);
    assert_eq!(Desk::of(&repo).read(None).changed.len(), 1);
}

fn chown(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), None).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            chown(&entry.unwrap().path(), user);
        }
    }
}

#[test]
fn paths_choose_folders_and_files() {
    both_ways(|repo, _| {
        repo.write("streams/a.yaml", "1").write("streams2/b.yaml", "1").write("c.yaml", "1");
        repo.write("apps/web/d.yaml", "1").write("apps/db/e.yaml", "1").commit("first");
        let mut config = SourceConfig::new(repo.address());
        config.paths = vec!["streams/".to_owned(), "./apps/web".to_owned(), "/c.yaml".to_owned()];
        let read = Desk::with(config).read(None);
        assert_eq!(paths(&read), ["apps/web/d.yaml", "c.yaml", "streams/a.yaml"]);
    });
}

#[test]
fn the_ignore_file_leaves_out_and_its_change_reads_everything_again() {
    both_ways(|repo, desk| {
        repo.write(".tidegateignore", "ci/\n*.md\n").write("ci/a.yaml", "1").write("b.md", "1");
        repo.write("c.yaml", "1").write("sub/.tidegateignore", "d.yaml").write("sub/d.yaml", "1");
        let base = repo.commit("first");
        let read = desk.read(None);
        // Ignore files in folders are files like others.
        assert_eq!(paths(&read), ["c.yaml", "sub/.tidegateignore", "sub/d.yaml"]);
        repo.write("ci/a.yaml", "2").write("c.yaml", "2");
        let second = repo.commit("second");
        assert_eq!(paths(&desk.read(Some(base))), ["c.yaml"]);
        repo.write(".tidegateignore", "c.yaml\n").commit("third");
        let read = desk.read(Some(second));
        assert_eq!((read.base, read.forced), (None, false));
        assert_eq!(paths(&read), ["b.md", "ci/a.yaml", "sub/.tidegateignore", "sub/d.yaml"]);
    });
}

#[test]
fn an_ignore_file_that_cannot_be_read_refuses_the_commit() {
    let repo = Repo::new();
    repo.write("a.yaml", "1").write(".tidegateignore", "ok\na{b\n");
    let commit = repo.commit("first");
    let failure = Desk::of(&repo).try_read(None).unwrap_err();
    assert_eq!(failure.commit, Some(commit));
    says(&failure.message, &["`.tidegateignore` line 2", "correct the pattern"]);
}

#[test]
fn a_base_that_the_mirror_does_not_know_brings_everything() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1").commit("first");
        let unknown = "1234567890123456789012345678901234567890".parse().unwrap();
        let read = desk.read(Some(unknown));
        assert_eq!((read.base, read.forced), (None, true));
        assert_eq!(paths(&read), ["a.yaml"]);
    });
}

#[test]
fn formats_that_cannot_be_read_say_so() {
    let sha256 = Repo::with(&["--object-format=sha256"]);
    sha256.write("a.yaml", "1");
    sha256.git(&["add", "."]);
    sha256.git(&["commit", "-qm", "first"]);
    says(&Desk::of(&sha256).fails(), &["SHA-256"]);
    says(&Desk::at(format!("file://{}", sha256.address())).fails(), &["SHA-256"]);
    let probe = Repo::new();
    if !probe.try_git(&["init", "-q", "--ref-format=reftable", "sub"]).status.success() {
        println!("skipped: this git has no reftables");
        return;
    }
    let reftable = Repo::with(&["--ref-format=reftable"]);
    reftable.write("a.yaml", "1").commit("first");
    says(&Desk::of(&reftable).fails(), &["reftable", "git refs migrate", "file://"]);
    // The way out that the message names.
    let desk = Desk::at(format!("file://{}", reftable.address()));
    assert_eq!(paths(&desk.read(None)), ["a.yaml"]);
}

#[test]
fn a_missing_or_old_git_is_named() {
    let repo = Repo::new();
    repo.write("a.yaml", "1").commit("first");
    let mut config = SourceConfig::new(repo.address());
    config.git = "/nowhere/git".into();
    let message = Desk::with(config.clone()).fails();
    says(&message, &["cannot run `/nowhere/git`", "not found", "2.30"]);
    let folder = tempfile::tempdir().unwrap();
    config.git = folder.path().join("git");
    let old = "#!/bin/sh\necho git version 2.25.1\n";
    crate::support::git::program(&config.git, old);
    says(&Desk::with(config).fails(), &["version 2.25", "2.30 or newer"]);
}

#[test]
fn a_linked_work_tree_packed_references_and_gc_make_no_difference() {
    let repo = Repo::new();
    repo.write("a.yaml", "1").commit("first");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tree");
    repo.git(&["worktree", "add", "-q", "-b", "side", path.to_str().unwrap()]);
    let desk = Desk::at(path.to_str().unwrap());
    let base = desk.read(None).commit;
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(desk.read(Some(base)).changed, []);
    repo.write("a.yaml", "2").commit("second");
    repo.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(paths(&desk.read(Some(base))), ["a.yaml"]);
}

#[test]
fn a_merge_and_a_long_series_arrive_whole() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let base = repo.commit("first");
        desk.read(None);
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("side/b.yaml", "1").commit("on the side");
        repo.git(&["checkout", "-q", "main"]);
        repo.write("c.yaml", "1").commit("on main");
        repo.git(&["merge", "-q", "--no-edit", "side"]);
        assert_eq!(paths(&desk.read(Some(base))), ["c.yaml", "side/b.yaml"]);
        let merged = repo.head();
        for number in 0..40 {
            repo.write("a.yaml", format!("{number}")).commit("again");
        }
        assert_eq!(paths(&desk.read(Some(merged))), ["a.yaml"]);
        // What was copied is complete: git itself finds nothing missing.
        let mirror = desk.state.path().join("mirror.git");
        repo.git(&["--git-dir", mirror.to_str().unwrap(), "fsck", "--full", "--strict"]);
    });
}

#[test]
fn an_empty_branch_setting_follows_head() {
    both_ways(|repo, desk| {
        repo.git(&["checkout", "-q", "-b", "trunk"]);
        repo.write("a.yaml", "1").commit("first");
        let mut config = desk.source.config().clone();
        config.branch = String::new();
        let desk = Desk::with(config);
        assert_eq!(desk.read(None).branch, "trunk");
        repo.git(&["checkout", "-q", "-b", "release"]);
        assert_eq!(desk.read(None).branch, "release");
        repo.git(&["checkout", "-q", "--detach"]);
        let detached = repo.commit("second");
        assert_eq!(desk.read(None).commit, detached);
    });
}

#[test]
fn a_shallow_clone_is_read() {
    let repo = Repo::new();
    repo.write("a.yaml", "1").commit("first");
    repo.write("a.yaml", "2").commit("second");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shallow");
    let url = format!("file://{}", repo.address());
    repo.git(&["clone", "-q", "--depth=1", &url, path.to_str().unwrap()]);
    let read = Desk::at(path.to_str().unwrap()).read(None);
    assert_eq!(content(&read, "a.yaml"), b"2");
}

#[test]
fn kept_commits_are_listed_and_released() {
    let repo = Repo::new();
    let first = repo.commit("first");
    let desk = Desk::of(&repo);
    desk.read(None);
    desk.source.keep(Seq(12), &first).unwrap();
    desk.source.keep(Seq(9), &first).unwrap();
    desk.source.keep(Seq(9), &first).unwrap();
    let kept: Vec<_> = desk.source.kept().unwrap().into_iter().collect();
    assert_eq!(kept, [(Seq(9), first), (Seq(12), first)]);
    desk.source.release(&[Seq(9), Seq(10)]).unwrap();
    assert_eq!(desk.source.kept().unwrap().len(), 1);
    let unknown = "1234567890123456789012345678901234567890".parse().unwrap();
    assert!(desk.source.keep(Seq(13), &unknown).is_err());
    let failure = desk.source.read_adopted(&unknown).unwrap_err();
    says(&failure.message, &["not in the mirror"]);
}

#[test]
fn a_commit_that_was_not_kept_in_time_is_kept_again() {
    let repo = Repo::new();
    let first = repo.commit("first");
    let desk = Desk::of(&repo);
    desk.source.keep_again(Seq(7), &first).unwrap();
    assert_eq!(desk.source.kept().unwrap().len(), 0, "the mirror does not have it yet");
    desk.read(None);
    desk.source.keep_again(Seq(7), &first).unwrap();
    desk.source.keep_again(Seq(7), &first).unwrap();
    let kept: Vec<_> = desk.source.kept().unwrap().into_iter().collect();
    assert_eq!(kept, [(Seq(7), first)]);
}

#[test]
fn locks_that_a_killed_git_left_are_removed_at_the_start() {
    let repo = Repo::new();
    let base = repo.commit("first");
    let desk = Desk::of(&repo);
    desk.read(None);
    let lock = desk.state.path().join("mirror.git/refs/tidegate/head.lock");
    std::fs::write(&lock, "").unwrap();
    let second = repo.commit("second");
    assert!(desk.try_read(Some(base)).is_err());
    desk.source.recover().unwrap();
    assert!(!lock.exists());
    assert_eq!(desk.read(Some(base)).commit, second);
}

#[test]
fn the_work_tree_is_read_as_it_is_on_disk() {
    let repo = Repo::new();
    repo.write("a.yaml", "1").write("gone.yaml", "1").write(".gitignore", "out/\n");
    let commit = repo.commit("first");
    repo.write("a.yaml", "2").write("new/b.yaml", "1").write("out/c.yaml", "1").remove("gone.yaml");
    repo.write(".tidegateignore", ".gitignore\n");
    std::os::unix::fs::symlink("a.yaml", repo.path().join("link")).unwrap();
    let desk = Desk::of(&repo);
    for path in [None, Some(repo.path().join("new"))] {
        let read = desk.source.read_worktree(path.as_deref()).unwrap();
        assert_eq!((read.commit, read.base), (commit, None));
        assert_eq!(paths(&read), ["a.yaml", "new/b.yaml"]);
        assert_eq!(content(&read, "a.yaml"), b"2");
        assert_eq!(read.skipped[0].path, "link");
    }
    let folder = tempfile::tempdir().unwrap();
    let bare = repo.bare(&folder.path().join("bare.git"));
    let failure = Desk::of(&bare).source.read_worktree(None).unwrap_err();
    says(&failure.message, &["no work tree"]);
}

#[test]
fn a_revision_is_found_by_commit_branch_or_tag() {
    both_ways(|repo, desk| {
        repo.write("a.yaml", "1");
        let first = repo.commit("first");
        repo.git(&["tag", "v1"]);
        repo.git(&["checkout", "-q", "-b", "side"]);
        repo.write("b.yaml", "1");
        let side = repo.commit("second");
        let cancel = CancellationToken::new();
        let read =
            |revision: Option<&str>| desk.source.read_revision(revision, Freshness::Fetch, &cancel);
        assert_eq!(read(None).unwrap().commit, first);
        assert_eq!(read(Some("side")).unwrap().commit, side);
        assert_eq!(read(Some(first.to_string().as_str())).unwrap().commit, first);
        let message = read(Some("nowhere")).unwrap_err().message;
        says(&message, &["no commit or branch `nowhere`"]);
        let offline = desk.source.read_revision(None, Freshness::Offline, &cancel).unwrap();
        assert_eq!(offline.commit, first);
        let short = desk.source.read_revision(Some(&first.short()), Freshness::Offline, &cancel);
        assert_eq!(short.unwrap().commit, first);
    });
    let desk = Desk::at("https://git.invalid/x");
    let cancel = CancellationToken::new();
    let failure = desk.source.read_revision(None, Freshness::Offline, &cancel).unwrap_err();
    says(&failure.message, &["nothing was fetched"]);
}

#[test]
fn settings_that_could_run_something_are_refused_without_showing_a_login() {
    let state = tempfile::tempdir().unwrap();
    for address in ["--upload-pack=id", "ext::sh -c id", "fd::3", "", "gopher://u:secret@h/"] {
        let error = Source::open(SourceConfig::new(address), state.path()).unwrap_err();
        says(&error.to_string(), &["source.repository"]);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let mut config = SourceConfig::new("/x");
    for branch in ["a..b", "*", "a b"] {
        config.branch = branch.to_owned();
        let error = Source::open(config.clone(), state.path()).unwrap_err();
        says(&error.to_string(), &["source.branch"]);
    }
    config.repository = "https://ada:secret@h/x".to_owned();
    config.branch = "main".to_owned();
    let source = Source::open(config, state.path()).unwrap();
    assert!(!format!("{source:?} {}", source.shown()).contains("secret"));
}

#[test]
fn a_repository_behind_http_is_fetched_with_and_without_a_login() {
    let repo = Repo::new();
    repo.write("a.yaml", "1");
    let base = repo.commit("first");
    let root = tempfile::tempdir().unwrap();
    let bare = repo.bare(&root.path().join("x.git"));
    let open = HttpServer::start(root.path(), None);
    let desk = Desk::at(open.url("", "x.git"));
    assert_eq!(paths(&desk.read(None)), ["a.yaml"]);
    repo.write("b.yaml", "1").commit("second");
    repo.push(&bare.address(), "main");
    assert_eq!(paths(&desk.read(Some(base))), ["b.yaml"]);
    says(&Desk::at(open.url("", "y.git")).fails(), &["y.git", "not found", "source.repository"]);

    let locked = HttpServer::start(root.path(), Some("ada:secret"));
    let config = |login: &str| {
        let mut config = SourceConfig::new(locked.url(login, "x.git"));
        // Whoever runs the tests may have a helper that asks.
        config.git_options = vec!["credential.helper=".to_owned()];
        config
    };
    assert_eq!(Desk::with(config("ada:secret@")).read(None).changed.len(), 2);
    let message = Desk::with(config("ada:wrongword@")).fails();
    says(&message, &["Authentication failed", "does not accept the login", "***@127.0.0.1"]);
    assert!(!message.contains("wrongword") && !message.contains("ada"), "{message}");
    says(&Desk::with(config("")).fails(), &["credential helper"]);
}

#[test]
fn a_repository_behind_ssh_is_fetched_with_the_users_settings() {
    let server = match SshServer::start() {
        Ok(server) => server,
        Err(why) => return println!("skipped: {why}"),
    };
    let repo = Repo::new();
    repo.write("a.yaml", "1").commit("first");
    let config = |client: String| {
        let mut config = SourceConfig::new(format!("ssh://testgit{}", repo.address()));
        config.ssh_command = Some(client);
        config
    };
    assert_eq!(paths(&Desk::with(config(server.client())).read(None)), ["a.yaml"]);
    let mut short = config(server.client());
    short.repository = format!("testgit:{}", repo.address());
    assert_eq!(paths(&Desk::with(short).read(None)), ["a.yaml"]);
    let message = Desk::with(config(server.stranger())).fails();
    says(&message, &["Permission denied", "SSH key"]);
    std::fs::write(server.known_hosts(), "").unwrap();
    let message = Desk::with(config(server.client())).fails();
    says(&message, &["Host key verification failed", "known_hosts"]);
}

#[test]
fn a_server_that_hangs_ends_with_the_time_out() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = SourceConfig::new(format!("http://ada:secret@{address}/x.git"));
    config.timeout = Duration::from_millis(300);
    let desk = Desk::with(config);
    let message = desk.fails();
    says(&message, &["did not end within 0.3 s", "source.timeout"]);
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn a_read_that_is_cancelled_ends() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let desk = Desk::at(format!("http://{}/x.git", listener.local_addr().unwrap()));
    let cancel = CancellationToken::new();
    let failure = std::thread::scope(|scope| {
        let reading = scope.spawn(|| desk.source.read(&ReadSource { base: None }, &cancel));
        // Git is under way once it has called.
        let call = listener.accept().unwrap();
        cancel.cancel();
        let failure = reading.join().unwrap().unwrap_err();
        drop(call);
        failure
    });
    says(&failure.message, &["was stopped"]);
}
