//! `tidegate demo` tells the main job, with nothing but the program and `git`.

use super::play::tidegate;
use crate::support::daemon::eventually;

#[test]
fn demo_walks_through_the_main_job() {
    let folder = tempfile::tempdir().unwrap();
    let output = tidegate(folder.path(), &["demo"]).env("TMPDIR", folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{error}");
    assert_eq!(error, "", "it talks on standard output only");
    let mut rest = said.as_str();
    for line in [
        "$ tidegate check apps",
        "$ git -C apps log --oneline",
        "web runs nginx",
        "$ tidegate run &",
        "$ cat running.txt",
        "sha256:",
        "2. Somebody pushes",
        "$ tidegate history dc/web",
        "3. You edit a manifest",
        "$ tidegate diff --worktree",
        "hello again",
        "$ git -C apps commit",
        "4. A pushed image does not work",
        "$ tidegate status dc/web",
        "Wrong or held",
        "5. Its cause is found",
        "$ tidegate release dc/web",
        "6. What is now",
        "$ tidegate status",
        "$ tidegate history dc/web",
        "Next:",
    ] {
        let Some(at) = rest.find(line) else { panic!("`{line}` is missing in its place:\n{said}") };
        rest = &rest[at + line.len()..];
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "the demo cleans up");
}

/// A demo that is ended from outside takes its daemon and its folder with it.
#[test]
fn demo_leaves_no_daemon_behind_when_it_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = tidegate(folder.path(), &["demo"])
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Its daemon answers: the demo is in the middle of its story.
    eventually("the daemon of the demo", || {
        let stage = std::fs::read_dir(folder.path()).unwrap().next()?.unwrap().path();
        std::os::unix::net::UnixStream::connect(stage.join("state/control.sock")).ok()
    });
    let pid = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    // The folder goes after the daemon has ended.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mine = folder.path().as_os_str().as_encoded_bytes();
    for process in std::fs::read_dir("/proc").unwrap() {
        // One that ends while we look is none.
        let environment =
            std::fs::read(process.unwrap().path().join("environ")).unwrap_or_default();
        let found = environment.windows(mine.len()).any(|window| window == mine);
        assert!(!found, "a process of the demo is left");
    }
}

#[test]
fn demo_says_that_git_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = tidegate(folder.path(), &["demo"])
        .env("TMPDIR", folder.path())
        .env("PATH", folder.path())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("needs the `git` program"), "{error}");
}

#[test]
fn demo_keeps_its_folder_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        tidegate(folder.path(), &["demo", "--keep"]).env("TMPDIR", folder.path()).output().unwrap();
    assert!(output.status.success());
    let kept = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    assert!(String::from_utf8(output.stdout).unwrap().contains(kept.to_str().unwrap()));
    // What was shown can be tried again.
    let verify = ["journal", "verify", "--state-dir", "state"];
    assert!(tidegate(&kept, &verify).status().unwrap().success());
}
