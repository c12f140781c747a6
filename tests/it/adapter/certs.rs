//! Certificates of one registry in folders as podman and docker have them, and proxies from the environment (rule I178).

use std::path::Path;

use tidegate::action::Check;
use tidegate::world::registry::RegistryConfig;

use super::logins::CANARY;
use super::registry::{Ours, check, quick};
use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, FaultProxy, Options, write};

/// A registry that wants a certificate of its clients, and where one is found for it.
fn closed(folder: &Path) -> Option<DockerRegistry> {
    let options = Options { tls: true, clients: true, ..Options::default() };
    let registry = DockerRegistry::start_with(&options)?;
    let own = folder.join(registry.address());
    std::fs::create_dir_all(&own).unwrap();
    let [certificate, key] = registry.identity();
    std::fs::copy(registry.ca_file(), own.join("ca.crt")).unwrap();
    std::fs::copy(certificate, own.join("client.cert")).unwrap();
    std::fs::copy(key, own.join("client.key")).unwrap();
    Some(registry)
}

/// A host with nothing but its settings.
fn host(toml: &str) -> Host {
    let repo = Repo::new();
    repo.write("empty.yaml", "").commit("nothing");
    Host::new(repo.path(), toml)
}

#[tokio::test]
async fn i178_a_registry_is_shown_the_certificate_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = closed(folder.path()) else { return };
    let digest = registry.push_image("web", "1", "a").await;
    let at = registry.address();
    let secure = || Check { insecure: false, ..check(&format!("{at}/web:1")) };
    let with = || {
        let certs_folders = vec![folder.path().join("none"), folder.path().to_owned()];
        Ours::new(RegistryConfig { certs_folders, ..quick() })
    };
    let without = Ours::new(quick()).ask(secure(), None).await.unwrap_err();
    assert!(without.message.contains("no secure connection to"), "{without:?}");
    assert_eq!(with().ask(secure(), None).await.unwrap().probed, digest);
    let log = registry.log();
    assert!(log.contains("HEAD /v2/web/manifests/1 HTTP/2.0"), "TLS is asked by HTTP/2: {log}");
    let careless = Check { insecure: true, ..secure() };
    assert_eq!(with().ask(careless, None).await.unwrap().probed, digest);
    // What is wrong is told with its file and its registry, and mended it counts at the next attempt.
    let own = folder.path().join(&at);
    let key = std::fs::read_to_string(own.join("client.key")).unwrap();
    let ours = with();
    let other = DockerRegistry::start().unwrap();
    other.push_image("web", "1", "a").await;
    let broken = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}!\n-----END PRIVATE KEY-----\n");
    for (text, told) in [
        (None, "client.cert` has no key beside it (`.key`)"),
        (Some(&broken), "client.key` is not a PEM file of a key without a passphrase"),
    ] {
        std::fs::remove_file(own.join("client.key")).unwrap();
        if let Some(text) = text {
            write(&own.join("client.key"), text);
        }
        let failure = ours.ask(secure(), None).await.unwrap_err();
        let start = format!("cannot ask `{at}`: `{}/", own.display());
        assert!(failure.message.contains(&start) && failure.message.contains(told), "{failure:?}");
        assert!(failure.transient && !failure.message.contains(CANARY), "{failure:?}");
        let fine = check(&format!("{}/web:1", other.address()));
        assert_eq!(ours.ask(fine, None).await.unwrap().probed, digest);
        write(&own.join("client.key"), "");
    }
    write(&own.join("client.key"), &key);
    write(&own.join("more.crt"), &format!("{CANARY}\n"));
    let failure = ours.ask(secure(), None).await.unwrap_err();
    assert!(failure.message.contains("more.crt` is not a PEM file of certificates"), "{failure:?}");
    std::fs::remove_file(own.join("more.crt")).unwrap();
    assert_eq!(ours.ask(secure(), None).await.unwrap().probed, digest);
}

#[test]
fn i178_the_users_folder_of_certificates_is_looked_into_by_itself() {
    let host = host("");
    let Some(registry) = closed(&host.path(".config/containers/certs.d")) else { return };
    wait(registry.push_image("web", "1", "a"));
    let image = format!("{}/web:1", registry.address());
    let text = host.text(&["auth", "check", &image]);
    assert!(text.contains("/web: accepted"), "{text}");
}

/// Asks for an image with these variables; returns the exit code and what was printed.
fn ask(host: &Host, image: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = host.tidegate(&["auth", "check", image]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains(CANARY), "law 10: {text}");
    (output.status.code(), text)
}

#[test]
fn registries_are_reached_through_the_proxy_of_the_environment_and_not_where_it_says_so() {
    let Some(plain) = DockerRegistry::start() else { return };
    let host = host(&format!("[registries.\"{}\"]\ninsecure = true\n", plain.address()));
    let Some(closed) = closed(&host.path(".config/containers/certs.d")) else { return };
    let proxy = FaultProxy::start(&plain.address());
    let url = format!("http://anna:{CANARY}@{}", proxy.address());
    for (registry, asked) in [
        (&plain, format!("HEAD http://{}/v2/web/manifests/1", plain.address())),
        (&closed, format!("CONNECT {}", closed.address())),
    ] {
        wait(registry.push_image("web", "1", "a"));
        let image = format!("{}/web:1", registry.address());
        let through = [("HTTP_PROXY", url.as_str()), ("HTTPS_PROXY", url.as_str())];
        let (code, text) = ask(&host, &image, &through);
        let seen = proxy.requests();
        assert_eq!(code, Some(0), "{text}");
        assert!(seen.contains(&asked), "{seen:?}");
        let past = [&through[..], &[("NO_PROXY", "example.com,127.0.0.1")]].concat();
        let (code, text) = ask(&host, &image, &past);
        assert_eq!((code, proxy.requests()), (Some(0), Vec::new()), "{text}");
    }
    // One that is not there is told without its password.
    let gone = format!("http://anna:{CANARY}@127.0.0.1:1");
    let image = format!("{}/web:1", closed.address());
    let (code, text) = ask(&host, &image, &[("HTTPS_PROXY", gone.as_str())]);
    assert!(code == Some(4) && text.contains("no answer"), "{text}");
}
