//! Sources out of git repositories (rules B35, B38).

use tidegate::fact::BuildEnd;

use crate::support::builder::{Image, Workshop};
use crate::support::git::Repo;
use crate::support::git_server::{HttpServer, SshServer};
use crate::support::registry::{Fault, FaultProxy};

/// A repository with a Dockerfile that needs no image.
fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("Dockerfile", "FROM scratch\nCOPY version /\n").write("version", "one\n");
    repo.commit("one");
    repo
}

fn spec(uri: &str, more: &str) -> String {
    format!("source:\n  git: {{uri: '{uri}'{more}}}\nstrategy: {{dockerStrategy: {{}}}}\n")
}

fn commit(image: &Image) -> &str {
    image.ended.revision.as_ref().unwrap().commit.as_str()
}

#[test]
fn b035_a_branch_a_tag_a_commit_and_any_other_reference_is_checked_out() {
    let Some(shop) = Workshop::open() else { return };
    let repo = repo();
    let one = repo.head().to_string();
    repo.git(&["tag", "v1"]);
    repo.write("version", "two\n").commit("two");
    let two = repo.head().to_string();
    repo.git(&["update-ref", "refs/pull/7/head", &one]);
    let root = tempfile::tempdir().unwrap();
    drop(repo.bare(&root.path().join("app.git")));
    repo.git(&[
        "push",
        "--quiet",
        root.path().join("app.git").to_str().unwrap(),
        "refs/pull/7/head",
    ]);
    let server = HttpServer::start(root.path(), None);
    let uri = server.url("", "app.git");
    for (reference, wanted) in
        [("", &two), (", ref: main", &two), (", ref: v1", &one), (", ref: refs/pull/7/head", &one)]
    {
        let image = shop.makes(&spec(&uri, reference), |_| {});
        assert_eq!(commit(&image), wanted, "{reference}");
        assert_eq!(image.label("io.openshift.build.commit.id"), Some(wanted.as_str()));
    }
    // X39: what a push told of is built, whatever came behind it.
    let image = shop.makes(&spec(&uri, ", ref: main"), |request| {
        request.options.commit = Some(one.clone());
    });
    assert_eq!(commit(&image), one);
    let ended = shop.build(&spec(&uri, ", ref: nowhere"));
    let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
    assert_eq!(why, (BuildEnd::Failed, "FetchSourceFailed", "Failed to fetch the input source."));
    assert!(
        ended.log.contains("has no commit, branch, tag or other reference `nowhere`"),
        "{}",
        ended.log
    );
}

#[test]
fn b038_a_login_is_for_its_server_and_shows_nowhere() {
    let Some(shop) = Workshop::open() else { return };
    let root = tempfile::tempdir().unwrap();
    drop(repo().bare(&root.path().join("app.git")));
    let server = HttpServer::start(root.path(), Some("ada:hunter2hunter2"));
    shop.secret("git", &[("username", "ada"), ("password", "hunter2hunter2")]);
    shop.secret("wrong", &[("username", "ada"), ("password", "guess4guess4")]);
    let with = |uri: &str, secret: &str| {
        spec(uri, "")
            .replace("source:\n", &format!("source:\n  sourceSecret: {{name: {secret}}}\n"))
    };
    let bare = server.url("", "app.git");
    let image = shop.makes(&with(&bare, "git"), |_| {});
    assert!(!image.log.contains("hunter2"), "{}", image.log);
    let image = shop.makes(&spec(&server.url("ada:hunter2hunter2@", "app.git"), ""), |_| {});
    assert!(!format!("{image:?}").contains("hunter2"));
    assert!(image.log.contains(&format!("Cloning \"{bare}\" ...")), "{}", image.log);
    for failing in [spec(&bare, ""), with(&bare, "wrong"), with(&bare, "gone")] {
        let ended = shop.build(&failing);
        assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
        assert!(!ended.log.contains("guess4"), "{}", ended.log);
    }
    // Linked by an annotation, where the manifest names none.
    let login = [("username", "ada"), ("password", "hunter2hunter2")];
    shop.secret_for(&server.url("", "*"), "linked", &login);
    shop.secret_for("https://elsewhere.example.com/*", "other", &[("password", "guess4guess4")]);
    let image = shop.makes(&spec(&bare, ""), |_| {});
    assert!(image.log.contains("that of secret/linked, by its annotation"), "{}", image.log);
    assert!(!image.log.contains("hunter2"), "{}", image.log);
}

#[test]
fn b038_a_key_of_ssh_is_used_and_a_host_must_stay_who_it_was() {
    let Some(mut shop) = Workshop::open() else { return };
    let server = match SshServer::start() {
        Ok(server) => server,
        Err(why) => return crate::support::skip(&why),
    };
    let root = tempfile::tempdir().unwrap();
    let bare = repo().bare(&root.path().join("app.git"));
    let uri = server.url(bare.path());
    // Outside of git, where such a key belongs.
    let folder = tempfile::tempdir().unwrap();
    let key: String = server.key().lines().map(|line| format!("    {line}\n")).collect();
    let secret =
        format!("kind: Secret\nmetadata: {{name: key}}\nstringData:\n  ssh-privatekey: |\n{key}");
    std::fs::write(folder.path().join("key.yaml"), secret).unwrap();
    shop.folder = Some(folder.path().to_owned());
    let spec = spec(&uri, "").replace("source:\n", "source:\n  sourceSecret: {name: key}\n");
    drop(shop.makes(&spec, |_| {}));
    let known = shop.state.path().join("builds/known_hosts");
    let seen = std::fs::read_to_string(&known).unwrap();
    assert!(seen.contains("127.0.0.1"), "{seen}");
    // Another host answers at that address.
    let other = SshServer::start().unwrap();
    let theirs: Vec<_> = other.host_key();
    let forged: Vec<String> = seen
        .lines()
        .map(|line| format!("{} {}", line.split(' ').next().unwrap(), theirs.join(" ")))
        .collect();
    std::fs::write(&known, forged.join("\n") + "\n").unwrap();
    let ended = shop.build(&spec);
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
    let log = shop.log("web-2");
    assert!(log.contains("Host key verification failed"), "{log}");
}

#[test]
fn b035_what_a_commit_says_of_itself_is_kept_short_and_moves_no_cursor() {
    let Some(shop) = Workshop::open() else { return };
    let repo = repo();
    let subject = format!("\u{1b}[2J{}", "x".repeat(100_000));
    repo.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--author=A\u{1b}[1mda <ada@x>",
        "-m",
        &subject,
    ]);
    let image = shop.makes(&spec(&repo.address(), ""), |_| {});
    let revision = image.ended.revision.as_ref().unwrap();
    assert_eq!(revision.message, format!(" [2J{}", "x".repeat(196)));
    assert_eq!(revision.author, "A [1mda <ada@x>");
    assert!(!image.log.contains('\u{1b}') && image.log.len() < 10_000, "{}", image.log);
}

#[test]
fn b035_submodules_come_along() {
    let Some(shop) = Workshop::open() else { return };
    let root = tempfile::tempdir().unwrap();
    let part = Repo::new();
    part.write("version", "of the part\n").commit("part");
    drop(part.bare(&root.path().join("part.git")));
    let server = HttpServer::start(root.path(), None);
    let repo = repo();
    repo.write("Dockerfile", "FROM scratch\nCOPY lib/version /\n").commit("uses it");
    repo.git(&["submodule", "--quiet", "add", &server.url("", "part.git"), "lib"]);
    repo.commit("with a submodule");
    drop(repo.bare(&root.path().join("app.git")));
    for reference in ["", ", ref: main"] {
        drop(shop.makes(&spec(&server.url("", "app.git"), reference), |_| {}));
    }
}

#[test]
fn b035_a_submodule_is_never_a_repository_of_this_host() {
    let Some(shop) = Workshop::open() else { return };
    let root = tempfile::tempdir().unwrap();
    let private = Repo::new();
    private.write("version", "of nobody else\n").commit("private");
    let server = HttpServer::start(root.path(), None);
    let path = private.address();
    for (at, uri) in [path.clone(), format!("file://{path}")].iter().enumerate() {
        let repo = repo();
        repo.write("Dockerfile", "FROM scratch\nCOPY lib/version /\n").commit("uses it");
        let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", uri, "lib"];
        repo.git(&add);
        repo.commit("with a submodule");
        let name = format!("app{at}.git");
        let bare = root.path().join(&name);
        drop(repo.bare(&bare));
        // Also where the manifest names one of this host itself.
        let own = bare.display().to_string();
        for uri in [server.url("", &name), own] {
            for reference in ["", ", ref: main"] {
                let request = shop.request(&spec(&uri, reference));
                let ended = shop.ended(&request);
                let (why, log) = ((ended.end, ended.reason.as_str()), shop.log(&request.name));
                assert_eq!(why, (BuildEnd::Failed, "FetchSourceFailed"), "{uri}{reference}");
                assert!(log.contains("transport 'file' not allowed"), "{log}");
            }
        }
    }
}

#[test]
fn b035_a_server_that_does_not_answer_is_tried_four_times() {
    let Some(shop) = Workshop::open() else { return };
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = shop.build(&spec(&format!("http://{gone}/app.git"), ""));
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
    let log = shop.log("web-1");
    assert_eq!(log.matches("is tried again").count(), 3, "{log}");
    assert!(log.contains(&format!("error: cannot reach http://{gone}/app.git: ")), "{log}");
}

#[test]
fn b035_a_repository_is_reached_by_the_proxy_of_the_manifest() {
    let Some(shop) = Workshop::open() else { return };
    let proxy = FaultProxy::start("127.0.0.1:9");
    proxy.break_with(|_| Some(Fault::Answer(404, Vec::new(), String::new())));
    let address = proxy.address();
    let text = spec("http://git.example.com/app.git", &format!(", httpProxy: 'http://{address}'"));
    let ended = shop.build(&text);
    assert_eq!(ended.reason, "FetchSourceFailed");
    let asked = proxy.requests();
    assert!(
        asked.iter().any(|line| line.starts_with("GET http://git.example.com/app.git/")),
        "{asked:?}"
    );
}
