//! Which registries images may be imported from (section 8.3).

use tidegate::action::{ImportOrder, Request};
use tidegate::desired::{ParsedFile, parse_file};
use tidegate::fact::Fact;
use tidegate::policy::{AllowedRegistries, IntegratedRegistry, Policy, RegistryMode};

use crate::desired::{with_spec, with_tag};
use crate::support::checkout::Checkout;
use crate::support::daemon::{Host, eventually};
use crate::support::engine::World;
use crate::support::git::Repo;

/// A list, as `HOST:PORT`s.
fn list(entries: &[&str]) -> AllowedRegistries {
    AllowedRegistries::new(entries.iter().map(|entry| entry.parse().unwrap()).collect(), None)
}

fn read(text: &str, allowed_registries: AllowedRegistries) -> ParsedFile {
    let policy = Policy { allowed_registries, ..Policy::default() };
    parse_file("f.yaml", text.as_bytes(), None, &policy)
}

/// What is said of a stream with one tag, or nothing.
fn said(allowed: &AllowedRegistries, image: &str, more: &str) -> String {
    let text =
        with_tag(&format!("{{name: t, from: {{kind: DockerImage, name: '{image}'}}{more}}}"));
    let file = read(&text, allowed.clone());
    assert!(file.diagnostics.is_empty(), "{:?}", file.diagnostics);
    file.forbidden.first().map(|forbidden| forbidden.diagnostic.message.clone()).unwrap_or_default()
}

fn forbidden(registry: &str, list: &str) -> String {
    format!(
        "spec.tags[t].from.name: Forbidden: registry \"{registry}\" not allowed by whitelist: {list}"
    )
}

/// Takes other settings into use, as a daemon does that is told to read them again.
fn allow(world: &mut World, entries: &[&str]) {
    let policy = Policy { allowed_registries: list(entries), ..World::policy() };
    world.engine.set_policy(policy);
    world.engine.forget_tree();
    world.read();
}

const INSECURE: &str = ", importPolicy: {insecure: true}";

/// I174: host and port are globs; without a port it is 443, and an insecure tag may have 80 as well.
#[test]
fn i174_hosts_and_ports_are_globs() {
    let allowed = list(&["quay.io", "*.example.com:50??", "r?.io:*", "plain.io:80"]);
    let shown = r#""quay.io:443", "*.example.com:50??", "r?.io:*", "plain.io:80""#;
    for image in [
        "quay.io/a/b:1",
        "quay.io:443/a/b",
        "web.example.com:5000/a",
        "r1.io/a",
        "r1.io:9/a",
        "plain.io:80/a",
    ] {
        assert_eq!(said(&allowed, image, ""), "", "{image}");
    }
    for (image, registry) in [
        ("docker.io/a/b", "docker.io"),
        ("a/b:1", "docker.io:443"),
        ("quay.io:5000/a", "quay.io:5000"),
        ("example.com:5000/a", "example.com:5000"),
        ("web.example.com/a", "web.example.com"),
        ("plain.io/a", "plain.io"),
    ] {
        assert_eq!(said(&allowed, image, ""), forbidden(registry, shown), "{image}");
    }
    assert_eq!(said(&allowed, "plain.io/a", INSECURE), "", "80 or 443");
    assert_eq!(said(&allowed, "quay.io/a", INSECURE), "", "80 or 443");
    assert_eq!(said(&allowed, "x.io/a", INSECURE), forbidden("x.io", shown));
    assert_eq!(said(&list(&["docker.io"]), "index.docker.io/a/b", ""), "", "one registry");
    assert_eq!(said(&list(&[]), "x.io/a", ""), "", "an empty list allows all");
}

/// I174: of more than five entries the first four are shown; the path of a repository never matches.
#[test]
fn i174_a_long_list_is_cut_and_a_path_never_matches() {
    let allowed = list(&["a.io", "b.io", "c.io", "d.io", "quay.io/team", "f.io"]);
    assert_eq!(
        said(&allowed, "quay.io/team/app", ""),
        forbidden("quay.io", r#""a.io:443", "b.io:443", "c.io:443", "d.io:443", and 2 more ..."#)
    );
}

/// I174: the whole repository of a stream is checked as well, with port 80 where the stream is insecure.
#[test]
fn i174_the_repository_of_a_stream_is_checked() {
    let file = |allowed: &[&str], head: &str| {
        let text = with_spec("  dockerImageRepository: r.io/team/app\n");
        let file = read(&text.replace("{name: web}", head), list(allowed));
        let said: Vec<_> = file.forbidden.iter().map(|f| f.diagnostic.message.clone()).collect();
        said.join("; ")
    };
    assert_eq!(
        file(&["quay.io"], "{name: web}"),
        "spec.dockerImageRepository: Forbidden: registry \"r.io\" not allowed by whitelist: \"quay.io:443\""
    );
    let insecure = "{name: web, annotations: {openshift.io/image.insecureRepository: 'true'}}";
    assert_eq!(file(&["r.io:80"], insecure), "");
    assert!(file(&["r.io:443"], insecure).contains("not allowed"));
}

/// I174: the integrated registry is always allowed.
#[test]
fn i174_the_integrated_registry_is_always_allowed() {
    let entries = vec!["quay.io".parse().unwrap()];
    let allowed = AllowedRegistries::new(entries, Some("registry.example.com:5000".into()));
    assert_eq!(said(&allowed, "registry.example.com:5000/shop/web", ""), "");
    let shown = "\"registry.example.com:5000\", \"quay.io:443\"";
    assert_eq!(said(&allowed, "x.io/a", ""), forbidden("x.io", shown));
    let address = "registry.example.com:5000".to_owned();
    let integrated =
        IntegratedRegistry { address, public_address: None, mode: RegistryMode::Managed };
    assert!(integrated.repository(&"shop/web".parse().unwrap()).starts_with("registry"));
}

/// I174: a stream that names another registry is invalid at that commit and keeps its last valid version (law 9).
#[test]
fn i174_such_a_stream_keeps_its_last_valid_version() {
    let mut world = World::with(Policy { allowed_registries: list(&["r.io"]), ..World::policy() });
    world.commit("is web latest=r.io/web:1,scheduled\nis other a=quay.io/x:1");
    assert!(world.records().contains("!other:absent"), "{:?}", world.journal);
    world.resolve("r.io/web:1", "a");
    world.records();
    world.commit("is web latest=quay.io/web:1,scheduled");
    let records = world.records();
    assert!(records.contains("!web:kept"), "{records}");
    let rejected = &world.engine.observed().adopted.as_ref().unwrap().rejected[0];
    assert_eq!(rejected.rule, "I174");
    assert_eq!(
        rejected.message,
        "spec.tags[latest].from.name: Forbidden: registry \"quay.io\" not allowed by whitelist: \"r.io:443\""
    );
    assert!(rejected.position.line > 1);
    world.nudge("shop/web:latest");
    assert_eq!(world.checks()[0].image.to_string(), "r.io/web:1");
    world.restart();
    assert!(!world.records().contains("CommitAdopted"), "and after a start");
    world.commit("is web latest=r.io/web:2,scheduled");
    assert!(!world.records().contains('!'));
}

/// I174: what a stream has already stays admissible when the list shrinks: by its repository, also with another tag, also
/// after a start; what is new does not.
#[test]
fn i174_what_is_recorded_stays_when_the_list_shrinks() {
    let mut world = World::with(Policy { allowed_registries: list(&["r.io"]), ..World::policy() });
    world.engine.set_policy(World::policy());
    world.commit("is web a=quay.io/web:1,scheduled");
    world.resolve("quay.io/web:1", "a");
    world.records();
    allow(&mut world, &["r.io"]);
    assert_eq!(world.records(), "", "nothing changed");
    world.commit("is web a=quay.io/web:1,scheduled b=quay.io/web:2");
    let records = world.records();
    assert!(!records.contains('!'), "{records}");
    world.restart();
    let stream = world.engine.desired().streams.values().next().unwrap();
    assert_eq!(stream.tags.len(), 2);
    world.commit("is web a=r.io/web:1");
    assert!(!world.records().contains('!'));
    world.commit("is web a=quay.io/web:1");
    assert!(!world.records().contains('!'), "it stands in the history of the tag");
    world.commit("is web a=quay.io/web:1 c=quay.io/another:1");
    assert!(world.records().contains("!web:kept"));
    world.commit("is other a=quay.io/web:1\nis web a=quay.io/web:1");
    assert!(world.records().contains("!other:absent"), "each stream for itself");
}

/// I174: a daemon that is started with a shorter list keeps what it took over before, also where its cache is lost.
#[test]
fn i174_a_start_with_a_shorter_list_keeps_what_was_there() {
    let stream = |name: &str| {
        with_tag("{name: t, reference: true, from: {kind: DockerImage, name: quay.io/a/b}}")
            .replace("{name: web}", &format!("{{name: {name}}}"))
    };
    let repo = Repo::new();
    repo.write("web.yaml", stream("web")).commit("first");
    let mut host = Host::new(repo.path(), "");
    let adopted = |host: &Host, count: usize| {
        let is_one = |fact: &Fact| matches!(fact, Fact::CommitAdopted(_));
        eventually("the commit", || (host.count(is_one) >= count).then_some(()));
        let records = host.records();
        let last = records.into_iter().rev().find(|record| is_one(&record.fact)).unwrap().fact;
        let Fact::CommitAdopted(adopted) = last else { unreachable!() };
        adopted.rejected.iter().map(|r| r.position.path.clone()).collect::<Vec<_>>().join(" ")
    };
    host.start();
    assert_eq!(adopted(&host, 1), "");
    assert!(host.stop().success());
    host.configure(|text| format!("{text}\n[imports]\nallowed_registries = [\"r.io\"]\n"));
    host.start();
    repo.write("new.yaml", stream("new")).commit("second");
    assert_eq!(adopted(&host, 2), "new.yaml", "{}", host.story());
    assert!(host.stop().success());
    std::fs::remove_dir_all(host.state().join("cache")).unwrap();
    host.start();
    repo.write("web.yaml", stream("web") + "# more\n").commit("third");
    assert_eq!(adopted(&host, 3), "new.yaml", "{}", host.story());
    assert!(host.stop().success());
}

/// I174: an import that somebody asks for is checked as it is asked; a schedule goes on.
#[test]
fn i174_an_order_to_import_is_refused() {
    let mut world = World::new();
    world.commit("is web a=quay.io/web:1,scheduled b=plain.io/web:1,insecure c=r.io/web:1");
    world.resolve_all("a");
    allow(&mut world, &["r.io"]);
    let order = |tag: &str| {
        let (stream, tags) = ("shop/web".parse().unwrap(), vec![tag.parse().unwrap()]);
        Request::Import(ImportOrder { stream, tags, repository: false, commit: None })
    };
    for (tag, registry) in [("a", "quay.io:443"), ("b", "plain.io:80")] {
        let why = format!(
            "refused: importing images from registry \"{registry}\" is forbidden: registry \"{registry}\" not allowed by whitelist: \"r.io:443\""
        );
        assert_eq!(world.ask(order(tag)), why);
    }
    world.order(order("c"));
    world.resolve("r.io/web:1", "b");
    assert_eq!(world.answer(), "done");
    world.advance(1_000);
    assert!(world.pending().contains("quay.io/web:1"), "{}", world.pending());
}

/// I174: OpenShift's own block is taken; `check` shows the stream with its line, and no command writes such a reference.
#[test]
fn i174_check_shows_the_line_and_no_command_writes_one() {
    let repo = Repo::new();
    let text = with_tag("{name: t, from: {kind: DockerImage, name: quay.io/a/b}}")
        + "  - {name: u, from: {kind: DockerImage, name: x.io/a/b}}\n";
    repo.write("web.yaml", &text).commit("first");
    let toml = "[[compat.imagePolicyConfig.allowedRegistriesForImport]]\ndomainName = \"r.io\"\n\
        [[compat.imagePolicyConfig.allowedRegistriesForImport]]\ndomainName = \"plain.io\"\ninsecure = true\n";
    let host = Host::new(repo.path(), toml);
    let output = host.run(&["check", &repo.path().display().to_string()]);
    let out = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{out}");
    for part in [
        "web.yaml:6",
        "spec.tags[t].from.name: Forbidden: registry \"quay.io\" not allowed by whitelist: \"r.io:443\", \"plain.io:80\"",
        "web.yaml:7",
        "spec.tags[u].from.name: Forbidden: registry \"x.io\"",
        "imports.allowed_registries",
    ] {
        assert!(out.contains(part), "no `{part}` in: {out}");
    }
    let shop = Checkout::of("web.yaml", &text);
    shop.host.configure(|text| format!("{text}\n[imports]\nallowed_registries = [\"r.io\"]\n"));
    let said = shop.refuses(&["tag", "z.io/web:1", "web:1"]);
    assert!(said.contains("Forbidden: registry \"z.io\" not allowed by whitelist"), "{said}");
    shop.says(&["tag", "r.io/web:1", "web:1"]);
    shop.says(&["tag", "quay.io/a/b:2", "web:2"]);
}
