//! Images made and moved by the tools that people use, buildah and skopeo: both formats, many layers, an index.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::need;
use crate::support::registry::DockerRegistry;

const LAYERS: usize = 10;
const LABEL_BYTES: usize = 2048;

/// A buildah with a store of its own.
struct Tools {
    dir: tempfile::TempDir,
}

impl Tools {
    fn new() -> Option<Self> {
        need("buildah")?;
        need("skopeo")?;
        Some(Self { dir: tempfile::tempdir().unwrap() })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        // What the host configures must not decide what this does, and its store stays as it is.
        command
            .env("STORAGE_DRIVER", "vfs")
            .env("BUILDAH_ISOLATION", "chroot")
            .env("HOME", self.dir.path());
        if program == "buildah" {
            for (flag, name) in [("--root", "store"), ("--runroot", "run")] {
                command.arg(flag).arg(self.dir.path().join(name));
            }
        }
        let output = command.args(arguments).current_dir(self.dir.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An image of many layers with a large label.
    fn build(&self, name: &str, seed: &str, platform: &str) {
        let mut lines = vec!["FROM scratch".to_owned()];
        for layer in 0..LAYERS {
            std::fs::write(self.dir.path().join(format!("f{layer}")), format!("{seed} {layer}"))
                .unwrap();
            lines.push(format!("COPY f{layer} /f{layer}"));
        }
        lines.push(format!("LABEL seed={seed} large={}", "x".repeat(LABEL_BYTES)));
        std::fs::write(self.dir.path().join("Containerfile"), lines.join("\n")).unwrap();
        self.run("buildah", &["bud", "-q", "--layers", "--platform", platform, "-t", name, "."]);
    }

    fn copy(&self, from: &str, to: &str, format: &str) {
        let (from, to) = (format!("docker://{from}"), format!("docker://{to}"));
        let open = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        self.run("skopeo", &["copy", "-q", open[0], open[1], "--format", format, &from, &to]);
    }
}

fn host(repo: &Path) -> Host {
    let mut host = Host::new(repo, "");
    host.start();
    host
}

/// An image as `get image -o json` prints it.
fn image(host: &Host, digest: &str) -> Value {
    serde_json::from_str(&host.text(&["get", "image", digest, "-o", "json"])).unwrap()
}

fn imported(host: &Host, count: usize) -> String {
    eventually("the import", || {
        let records = host.records().into_iter();
        let images: Vec<_> = records
            .filter_map(|record| match record.fact {
                Fact::TagImported(imported) => imported.event.image,
                _ => None,
            })
            .collect();
        (images.len() == count).then(|| images[count - 1].to_string())
    })
}

fn check(host: &Host) {
    let question = tidegate::control::Question::CheckTag("shop/web:latest".parse().unwrap());
    eventually("the daemon", || host.ask(&question));
}

#[test]
fn an_image_of_ten_layers_is_shown_whole_in_both_formats_as_skopeo_moves_its_tag() {
    let (Some(tools), Some(registry)) = (Tools::new(), DockerRegistry::start()) else { return };
    let name = format!("{}/team/web:latest", registry.address());
    let staged = format!("{}/team/web:staged", registry.address());
    tools.build(&staged, "one", "linux/amd64");
    tools.run("buildah", &["push", "-q", "--tls-verify=false", &staged]);
    tools.copy(&staged, &name, "oci");
    let repo = Repo::new();
    repo.write("web.yaml", super::web_and_app(&registry.address(), "Source")).commit("web");
    let host = host(repo.path());
    let first = imported(&host, 1);
    let shown = image(&host, &first);
    assert_eq!(shown["dockerImageManifestMediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(shown["dockerImageLayers"].as_array().unwrap().len(), LAYERS);
    let labels = &shown["dockerImageMetadata"]["Config"]["Labels"];
    assert_eq!(labels["large"].as_str().unwrap().len(), LABEL_BYTES);
    let text = host.text(&["describe", "image", &first]);
    assert!(text.contains("seed=one") && text.contains(&"x".repeat(LABEL_BYTES)), "{text}");
    // The same image in the other format is another digest, and so another item of the history.
    tools.copy(&staged, &name, "v2s2");
    check(&host);
    let second = imported(&host, 2);
    assert_ne!(first, second);
    let shown = image(&host, &second);
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(shown["dockerImageManifestMediaType"], kind);
    assert_eq!(shown["dockerImageLayers"].as_array().unwrap().len(), LAYERS);
}

#[test]
fn an_index_that_buildah_pushes_gives_the_image_of_the_platform() {
    let (Some(tools), Some(registry)) = (Tools::new(), DockerRegistry::start()) else { return };
    tools.run("buildah", &["manifest", "create", "list"]);
    for platform in ["linux/arm64", "linux/amd64"] {
        let name = format!("localhost/{}", platform.replace('/', "-"));
        tools.build(&name, platform, platform);
        tools.run("buildah", &["manifest", "add", "list", &name]);
    }
    let to = format!("docker://{}/team/web:latest", registry.address());
    tools.run("buildah", &["manifest", "push", "-q", "--all", "--tls-verify=false", "list", &to]);
    let index = wait(registry.manifest("team/web", "latest"));
    let repo = Repo::new();
    repo.write("web.yaml", super::web_and_app(&registry.address(), "Source")).commit("web");
    let host = host(repo.path());
    let digest = imported(&host, 1);
    let index: Value = serde_json::from_slice(&index).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{index}");
    let own = entries.iter().find(|entry| entry["platform"]["architecture"] == "amd64").unwrap();
    assert_eq!(own["digest"], digest);
    let shown = image(&host, &digest);
    assert_eq!(shown["dockerImageMetadata"]["Config"]["Labels"]["seed"], "linux/amd64");
}
