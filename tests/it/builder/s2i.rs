//! The Source strategy, with a builder image that is a shell and four scripts.

use tidegate::action::BuildRequest;
use tidegate::fact::{BuildEnd, BuildUse};
use tidegate::pods::SourceKind;

use crate::support::builder::{Image, Workshop, from, used};
use crate::support::git::Repo;
use crate::support::registry::{Fault, FaultProxy};

const ASSEMBLE: &str = "#!/bin/sh\necho \"assembling as $(id -u)\"\ncp -r /tmp/src/. /opt/app-root/src/\n\
    if [ -d /tmp/artifacts ]; then cp /tmp/artifacts/cache /opt/app-root/cache; echo restored; fi\n\
    echo \"$(cat /opt/app-root/cache 2>/dev/null)x\" > /opt/app-root/cache\n\
    [ ! -e /opt/app-root/src/token/key ] || echo \"token of $(wc -c < /opt/app-root/src/token/key) bytes\"\n\
    [ ! -e /opt/app-root/src/broken ] || { echo 'it is broken'; sleep 1; exit 3; }\n    sleep 1\n";

struct Shop {
    shop: Workshop,
    builder: String,
    repo: Repo,
}

impl Shop {
    fn open() -> Option<Self> {
        let shop = Workshop::open()?;
        let base = shop.base("base/shell:1");
        let dir = shop.podman.beside("s2i");
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        let scripts = [
            ("assemble", ASSEMBLE),
            ("run", "#!/bin/sh\necho \"running $(cat /opt/app-root/src/app) $GREETING\"\n"),
            ("save-artifacts", "#!/bin/sh\ncd /opt/app-root && tar -cf - cache\n"),
            ("usage", "#!/bin/sh\necho usage\n"),
        ];
        for (name, text) in scripts {
            crate::support::git::program(&dir.join("bin").join(name), text);
        }
        let dockerfile = format!(
            "FROM {base}\nCOPY bin /usr/libexec/s2i\nRUN /bin/busybox --install -s /bin && mkdir -p /opt/app-root/src /etc /tmp \
             && chmod 1777 /tmp /opt/app-root /opt/app-root/src && echo 'default:x:1001:0::/opt/app-root/src:/bin/sh' > /etc/passwd\n\
             LABEL io.openshift.s2i.scripts-url=image:///usr/libexec/s2i\nWORKDIR /opt/app-root/src\nUSER 1001\n"
        );
        std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
        let image = format!("{}/base/s2i:1", shop.podman.registry.address());
        shop.podman.buildah_run(&["build", "--quiet", "--tag", &image, dir.to_str().unwrap()]);
        shop.podman.buildah_run(&["push", "--quiet", &image]);
        let builder = shop.pinned("base/s2i:1");
        let repo = Repo::new();
        repo.write("app", "one").write("notes/todo", "much").write(".s2iignore", "notes\n");
        repo.write(".s2i/environment", "GREETING=hello\nnonsense\n").commit("one");
        Some(Self { shop, builder, repo })
    }

    fn spec(&self, strategy: &str, more: &str) -> String {
        format!(
            "source: {{git: {{uri: '{}'}}{more}}}\nstrategy: {{sourceStrategy: {{from: {{kind: DockerImage, name: x}}{strategy}}}}}\n\
             output: {{imageLabels: [{{name: tier, value: front}}]}}",
            self.repo.address()
        )
    }

    fn makes(&self, spec: &str, change: impl FnOnce(&mut BuildRequest)) -> Image {
        self.shop.makes(spec, |request| {
            request.images = from(&self.builder);
            change(request);
        })
    }
}

#[test]
fn b045_b046_b047_b049_sources_are_assembled_by_the_scripts_of_the_builder_image() {
    let Some(shop) = Shop::open() else { return };
    let image = shop.makes(&shop.spec(", env: [{name: MODE, value: fast}]", ""), |_| {});
    assert!(image.log.contains("assembling as 1001"), "{}", image.log);
    assert!(image.log.contains("warning: .s2i/environment:2 is left out"), "{}", image.log);
    let env = image.env();
    for wanted in ["GREETING=hello", "MODE=fast", "OPENSHIFT_BUILD_NAME=web-1"] {
        assert!(env.contains(&wanted), "{env:?}");
    }
    assert_eq!(image.config["Cmd"].as_array().unwrap().last().unwrap(), "/usr/libexec/s2i/run");
    assert_eq!((&image.config["User"], image.label("tier")), (&"1001".into(), Some("front")));
    let head = shop.repo.head().to_string();
    assert_eq!(image.label("io.openshift.build.commit.id"), Some(head.as_str()));
    assert_eq!(image.label("io.openshift.build.image"), Some(shop.builder.as_str()));
    assert_eq!(image.label("io.openshift.build.name"), None);
    let prints = |command: &str| shop.shop.prints(&image, command);
    assert_eq!(prints("/usr/libexec/s2i/run"), "running one hello");
    assert_eq!(prints("stat -c %u:%g /tmp/src/app; ls /tmp/src"), "1001:0\napp");
    assert!(prints("ls -a /tmp/src").contains(".s2iignore"));
}

#[test]
fn b046_a_script_in_the_sources_comes_before_that_of_the_image() {
    let Some(shop) = Shop::open() else { return };
    shop.repo
        .write(".s2i/bin/assemble", "#!/bin/sh\necho our own; exec /usr/libexec/s2i/assemble\n");
    shop.repo.commit("a script");
    let image = shop.makes(&shop.spec("", ""), |_| {});
    assert!(image.log.contains("our own\nassembling as 1001"), "{}", image.log);
    assert_eq!(shop.shop.prints(&image, "/usr/libexec/s2i/run"), "running one hello");
    let image = shop.makes(&shop.spec(", scripts: 'image:///usr/libexec/s2i'", ""), |_| {});
    assert!(!image.log.contains("our own"), "{}", image.log);
}

#[test]
fn b046_scripts_are_downloaded_from_where_the_manifest_says() {
    let Some(shop) = Shop::open() else { return };
    let server = FaultProxy::start("127.0.0.1:9");
    server.break_with(|seen| {
        let found = seen.path == "/s2i/assemble";
        let script = "#!/bin/sh\necho downloaded; exec /usr/libexec/s2i/assemble\n";
        Some(match found {
            true => Fault::Answer(200, Vec::new(), script.to_owned()),
            false => Fault::Answer(404, Vec::new(), String::new()),
        })
    });
    let scripts = format!(", scripts: 'http://{}/s2i'", server.address());
    let image = shop.makes(&shop.spec(&scripts, ""), |_| {});
    assert!(image.log.contains("downloaded\nassembling as 1001"), "{}", image.log);
    // What is not there comes from the image.
    assert_eq!(shop.shop.prints(&image, "/usr/libexec/s2i/run"), "running one hello");
}

#[test]
fn b046_a_script_in_the_sources_may_be_a_link_to_what_stays_there() {
    let Some(shop) = Shop::open() else { return };
    let script = "#!/bin/sh\necho by a link; exec /usr/libexec/s2i/assemble\n";
    shop.repo.write("tools/assemble", script);
    std::fs::create_dir_all(shop.repo.path().join(".s2i/bin")).unwrap();
    let link = shop.repo.path().join(".s2i/bin/assemble");
    std::os::unix::fs::symlink("../../tools/assemble", link).unwrap();
    shop.repo.commit("a link");
    let image = shop.makes(&shop.spec("", ""), |_| {});
    assert!(image.log.contains("by a link\nassembling as 1001"), "{}", image.log);
    let prints = |command: &str| shop.shop.prints(&image, command);
    assert_eq!(prints("cat tools/assemble"), script.trim_end());
    assert_eq!(prints("ls -A .s2i/bin"), "");
}

#[test]
fn b048_artifacts_of_the_build_before_are_carried_over_where_there_is_one() {
    let Some(shop) = Shop::open() else { return };
    let spec = shop.spec(", incremental: true", "");
    let first = shop.makes(&spec, |_| {});
    assert!(!first.log.contains("restored"), "{}", first.log);
    let address = shop.shop.podman.registry.address();
    let previous = |digest: &str| used(BuildUse::Previous, &format!("{address}/shop/web@{digest}"));
    let second = shop.makes(&spec, |request| {
        request.images.push(previous(&first.digest.to_string()));
    });
    assert!(second.log.contains("restored"), "{}", second.log);
    assert_eq!(shop.shop.prints(&second, "cat /opt/app-root/cache"), "xx");
    let gone = format!("sha256:{}", "0".repeat(64));
    let third = shop.makes(&spec, |request| request.images.push(previous(&gone)));
    assert!(!third.log.contains("restored"), "{}", third.log);
    let fourth = shop.makes(&spec, |request| {
        request.images.push(previous(&first.digest.to_string()));
        request.options.incremental = Some(false);
    });
    assert!(!fourth.log.contains("restored"), "{}", fourth.log);
}

#[test]
fn b049_assemble_that_fails_is_told_as_such() {
    let Some(shop) = Shop::open() else { return };
    shop.repo.write("broken", "").commit("broken");
    let ended = shop.shop.build_with(&shop.spec("", ""), |request| {
        request.images = from(&shop.builder);
    });
    let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
    assert_eq!(why, (BuildEnd::Failed, "AssembleFailed", "Assemble script failed."));
    assert!(ended.log.contains("it is broken"), "{}", ended.log);
}

#[test]
fn b045_a_secret_is_there_for_assemble_and_in_no_layer_and_configuration_stays() {
    let Some(shop) = Shop::open() else { return };
    shop.shop.secret("login", &[("key", "hunter2hunter2")]);
    shop.shop.put(SourceKind::ConfigMap, "settings", &[("mode", "fast")]);
    let spec = shop.spec(
        "",
        ", secrets: [{secret: {name: login}, destinationDir: token}], configMaps: [{configMap: {name: settings}, destinationDir: conf}]",
    );
    let image = shop.makes(&spec, |_| {});
    assert!(image.log.contains("token of 14 bytes"), "{}", image.log);
    let found = shop.shop.prints(&image, "cat token/key; echo; cat conf/mode");
    assert_eq!(found, "fast");
    let address = shop.shop.podman.registry.address();
    let all = shop.shop.podman.beside("all.tar");
    let image = format!("{address}/shop/web@{}", image.digest);
    shop.shop.podman.run(&["save", "--quiet", "--output", all.to_str().unwrap(), &image]);
    let bytes = std::fs::read(all).unwrap();
    assert!(!bytes.windows(14).any(|window| window == b"hunter2hunter2"));
}
