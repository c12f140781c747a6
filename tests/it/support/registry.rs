//! A real registry as a child process, and a proxy in front of it that counts and breaks.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::names::Digest;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Options of a [`DockerRegistry`].
#[derive(Default)]
pub(crate) struct Options {
    /// User and password of HTTP basic authentication; needs `htpasswd`.
    pub(crate) basic: Option<(&'static str, &'static str)>,
    /// Serve TLS with a certificate of an own authority, [`DockerRegistry::ca_file`]; needs
    /// `openssl`.
    pub(crate) tls: bool,
    /// With `tls`, want a certificate of that authority from clients: [`DockerRegistry::identity`].
    pub(crate) clients: bool,
    /// Take manifests whose layers are elsewhere.
    pub(crate) foreign_layers: bool,
    /// The token server that it sends clients to: its address, and the certificate that signs its tokens.
    pub(crate) tokens: Option<(String, std::path::PathBuf)>,
    /// Where it posts what happens, and the token that it shows there.
    pub(crate) notifies: Option<(String, &'static str)>,
    /// The address of the registry that it is a pull-through cache of.
    pub(crate) caches: Option<String>,
}

/// Debian's `docker-registry` on a free port; ends, with its data, when dropped.
pub(crate) struct DockerRegistry {
    child: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    base: String,
    login: Option<(&'static str, &'static str)>,
}

impl DockerRegistry {
    /// Starts an open registry; `None` where it is to be skipped (see [`super::need`]).
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&Options::default())
    }

    pub(crate) fn start_with(options: &Options) -> Option<Self> {
        super::need("docker-registry")?;
        if options.basic.is_some() {
            super::need("htpasswd")?;
        }
        if options.tls {
            super::need("openssl")?;
        }
        // Another process may take the port between our look and the start.
        (0..5).find_map(|_| Self::try_start(options)).or_else(|| panic!("docker-registry"))
    }

    fn try_start(options: &Options) -> Option<Self> {
        tidegate::world::tls::init();
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = dir.path().join("config.yml");
        write(&config, &configuration(dir.path(), address, options).to_string());
        let child = serve_registry(dir.path());
        let scheme = if options.tls { "https" } else { "http" };
        let mut http = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy();
        if options.clients {
            let [certificate, key] = ["tls.crt", "tls.key"].map(|name| dir.path().join(name));
            let pem = [key, certificate].map(|path| std::fs::read(path).unwrap()).concat();
            http = http.identity(reqwest::Identity::from_pem(&pem).unwrap());
        }
        let http = http.build().unwrap();
        let (base, login) = (format!("{scheme}://{address}"), options.basic);
        let mut registry = Self { child, dir, address, http, base, login };
        registry.wait().then_some(registry)
    }

    /// Takes the registry away; its data stay.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Brings it back on the same port, with the same data.
    pub(crate) fn start_again(&mut self) {
        // Somebody's connection may have got the port meanwhile: those are short.
        for _ in 0..10 {
            self.child = serve_registry(self.dir.path());
            if self.wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{} is taken by now", self.address);
    }

    /// The same with other options, such as a token server that whoever filled it did not need.
    pub(crate) fn start_again_with(&mut self, options: &Options) {
        self.stop();
        let config = configuration(self.dir.path(), self.address, options);
        write(&self.dir.path().join("config.yml"), &config.to_string());
        self.login = options.basic;
        self.start_again();
    }

    fn wait(&mut self) -> bool {
        for _ in 0..800 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("docker-registry does not answer on {}", self.address)
    }

    /// What it logged; one with TLS logs each request.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// As an image reference begins: `127.0.0.1:41234`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// The authority of its certificate, with [`Options::tls`].
    pub(crate) fn ca_file(&self) -> std::path::PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// A certificate of that authority and its key.
    pub(crate) fn identity(&self) -> [std::path::PathBuf; 2] {
        ["tls.crt", "tls.key"].map(|name| self.dir.path().join(name))
    }

    /// Pushes an image for linux/amd64 that differs with `seed`, under a tag.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, seed: &str) -> Digest {
        let manifest = self.image(repository, seed, "amd64").await;
        self.put_manifest(repository, tag, OCI_MANIFEST, &manifest).await
    }

    /// Pushes an index of one image for each architecture of linux, and entries that cannot run.
    pub(crate) async fn push_index(
        &self,
        repository: &str,
        tag: &str,
        seed: &str,
        architectures: &[&str],
    ) -> (Digest, BTreeMap<String, Digest>) {
        let mut entries = Vec::new();
        let mut images = BTreeMap::new();
        for architecture in architectures {
            let body = self.image(repository, seed, architecture).await;
            let digest = Digest::of(&body);
            self.put_manifest(repository, &digest.to_string(), OCI_MANIFEST, &body).await;
            // "unknown/unknown" is how buildkit marks an attestation.
            let os = if *architecture == "unknown" { "unknown" } else { "linux" };
            entries.push(json!({
                "mediaType": OCI_MANIFEST, "digest": digest, "size": body.len(),
                "platform": {"os": os, "architecture": architecture},
            }));
            images.insert((*architecture).to_owned(), digest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        let index = index.to_string().into_bytes();
        (self.put_manifest(repository, tag, OCI_INDEX, &index).await, images)
    }

    /// Points a tag at what another tag or digest of the repository is.
    pub(crate) async fn move_tag(&self, repository: &str, tag: &str, to: &str) -> Digest {
        let answer = self.get_manifest(repository, to).await;
        let kind = answer.headers()[reqwest::header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = answer.bytes().await.unwrap();
        self.put_manifest(repository, tag, &kind, &body).await
    }

    /// The bytes of a manifest.
    pub(crate) async fn manifest(&self, repository: &str, of: &str) -> Vec<u8> {
        self.get_manifest(repository, of).await.bytes().await.unwrap().to_vec()
    }

    /// How the registry answers who asks for a manifest.
    pub(crate) async fn status(&self, repository: &str, of: &str) -> u16 {
        let path = format!("{repository}/manifests/{of}");
        let request = self.request(reqwest::Method::GET, &path);
        let request = request.header(reqwest::header::ACCEPT, OCI_MANIFEST);
        request.send().await.unwrap().status().as_u16()
    }

    async fn get_manifest(&self, repository: &str, of: &str) -> reqwest::Response {
        let path = format!("{repository}/manifests/{of}");
        let answer = self
            .request(reqwest::Method::GET, &path)
            .header(reqwest::header::ACCEPT, format!("{OCI_MANIFEST}, {OCI_INDEX}"));
        answer.send().await.unwrap().error_for_status().unwrap()
    }

    /// Deletes an image, and with it every tag that points at it.
    pub(crate) async fn delete(&self, repository: &str, digest: &Digest) {
        let path = format!("{repository}/manifests/{digest}");
        let answer = self.request(reqwest::Method::DELETE, &path).send().await.unwrap();
        answer.error_for_status().unwrap();
    }

    async fn image(&self, repository: &str, seed: &str, architecture: &str) -> Vec<u8> {
        let layer = format!("layer {seed} {architecture}").into_bytes();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": {"seed": seed}, "Env": ["A=b"], "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
        });
        let config = config.to_string().into_bytes();
        for blob in [&layer, &config] {
            self.put_blob(repository, blob).await;
        }
        let part = |kind: &str, blob: &[u8]| {
            let (digest, size) = (Digest::of(blob), blob.len());
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": part(OCI_CONFIG, &config), "layers": [part(OCI_LAYER, &layer)],
        });
        manifest.to_string().into_bytes()
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        kind: &str,
        body: &[u8],
    ) -> Digest {
        let path = format!("{repository}/manifests/{reference}");
        let request = self.request(reqwest::Method::PUT, &path).body(body.to_vec());
        let request = request.header(reqwest::header::CONTENT_TYPE, kind);
        request.send().await.unwrap().error_for_status().unwrap();
        Digest::of(body)
    }

    pub(crate) async fn put_blob(&self, repository: &str, blob: &[u8]) {
        let path = format!("{repository}/blobs/uploads/");
        let answer = self.request(reqwest::Method::POST, &path).send().await.unwrap();
        let place = answer.error_for_status().unwrap().headers()["location"].clone();
        let mut place: url::Url = place.to_str().unwrap().parse().unwrap();
        place.query_pairs_mut().append_pair("digest", &Digest::of(blob).to_string());
        let mut request = self.http.put(place.as_str()).body(blob.to_vec());
        if let Some((user, password)) = self.login {
            request = request.basic_auth(user, Some(password));
        }
        request.send().await.unwrap().error_for_status().unwrap();
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/v2/{path}", self.base));
        match self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn serve_registry(dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    // It takes every REGISTRY_* variable as a setting.
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(dir.join("config.yml")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("OTEL_TRACES_EXPORTER", "none").stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn configuration(dir: &Path, address: SocketAddr, options: &Options) -> Value {
    let mut config = json!({
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": dir.join("data")},
            "delete": {"enabled": true},
            "maintenance": {"uploadpurging": {"enabled": false}},
        },
        "http": {"addr": address.to_string(), "secret": "test"},
    });
    if let Some((user, password)) = options.basic {
        let line = run(dir, "htpasswd", &["-Bbn", "-C", "5", user, password]);
        write(&dir.join("htpasswd"), &line);
        config["auth"] = json!({"htpasswd": {"realm": "test", "path": dir.join("htpasswd")}});
    }
    if let Some((realm, certificate)) = &options.tokens {
        config["auth"] = json!({"token": {
            "realm": realm, "service": super::token::SERVICE, "issuer": super::token::ISSUER,
            "rootcertbundle": certificate,
        }});
    }
    if let Some((url, token)) = &options.notifies {
        let headers = json!({"Authorization": [format!("Bearer {token}")]});
        config["notifications"] = json!({"endpoints": [
            {"name": "hook", "url": url, "headers": headers, "timeout": "5s", "threshold": 3, "backoff": "1s"},
        ]});
    }
    if let Some(source) = &options.caches {
        config["proxy"] = json!({"remoteurl": format!("http://{source}")});
    }
    if options.foreign_layers {
        config["validation"] = json!({"disabled": true});
    }
    if options.tls {
        config["log"] = json!({"level": "error"});
        make_certificates(dir, "DNS:localhost,IP:127.0.0.1", 2);
        config["http"]["tls"] =
            json!({"certificate": dir.join("tls.crt"), "key": dir.join("tls.key")});
    }
    if options.clients {
        config["http"]["tls"]["clientcas"] = json!([dir.join("ca.crt")]);
    }
    config
}

/// Makes an authority, `ca.crt`, and its certificate for these names, good for some days: `tls.crt` with `tls.key`.
pub(crate) fn make_certificates(dir: &Path, names: &str, days: i32) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let ca = "req -x509 -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt -addext \
              basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign";
    let request = "req -new -subj /CN=localhost -keyout tls.key -out tls.csr";
    let sign = format!(
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -out tls.crt \
         -extfile names"
    );
    write(&dir.join("names"), &format!("subjectAltName={names}"));
    for line in [format!("{ca} {key}"), format!("{request} {key}"), sign] {
        run(dir, "openssl", &line.split_whitespace().collect::<Vec<_>>());
    }
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// What a request to a [`FaultProxy`] is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// What a [`FaultProxy`] does instead of passing an answer on.
pub(crate) enum Fault {
    /// This answer: status, more headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The true answer with another digest header, or with none.
    StateDigest(Option<Digest>),
    /// Nothing, until the client gives up.
    Hang,
    /// The connection closes.
    Drop,
    /// The true answer, of which a little comes at a time.
    Slow,
    /// Its beginning, and then nothing until the client gives up.
    Stuck,
}

/// How the body of an answer comes.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Full,
    Slow,
    Stuck,
}

/// Bytes that come at a time, or ever.
const LITTLE: usize = 32 * 1024;

type Rule = Box<dyn Fn(&Seen) -> Option<Fault> + Send>;

/// A proxy for a registry, plain HTTP, without logins.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
}

struct ProxyState {
    upstream: String,
    seen: Mutex<Vec<Seen>>,
    rule: Mutex<Rule>,
    ended: AtomicBool,
}

impl FaultProxy {
    /// Starts one in front of a registry at `upstream` (`host:port`).
    pub(crate) fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(ProxyState {
            upstream: upstream.to_owned(),
            seen: Mutex::default(),
            rule: Mutex::new(Box::new(|_| None)),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let state = Arc::clone(&shared);
                // A client that goes away is no error of the test.
                std::thread::spawn(move || serve(stream, &state).ok());
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Asked for each request: what to do instead of passing it on.
    pub(crate) fn break_with(&self, rule: impl Fn(&Seen) -> Option<Fault> + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
    }

    /// The requests since the last call, as `HEAD /v2/…`. What is not HTTP (TLS) is not counted.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.state.seen.lock().unwrap());
        seen.into_iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }

    /// The methods alone, since the last call: `HEAD GET GET`.
    pub(crate) fn methods(&self) -> String {
        let words: Vec<String> = self.requests();
        let methods = words.iter().filter_map(|line| line.split(' ').next());
        methods.collect::<Vec<_>>().join(" ")
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

fn serve(mut client: TcpStream, state: &ProxyState) -> std::io::Result<()> {
    let Some(head) = read_head(&mut client)? else {
        // As Go's servers answer a TLS greeting on a plain port.
        return client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nan HTTP server");
    };
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let seen = Seen { method, path, authorization: field("authorization"), body: text };
    state.seen.lock().unwrap().push(seen.clone());
    let fault = (state.rule.lock().unwrap())(&seen);
    let mut pace = Pace::Full;
    let stated = match fault {
        None => None,
        Some(Fault::Slow | Fault::Stuck) => {
            pace = if matches!(fault, Some(Fault::Slow)) { Pace::Slow } else { Pace::Stuck };
            None
        }
        Some(Fault::StateDigest(digest)) => Some(digest),
        Some(Fault::Drop) => return client.shutdown(Shutdown::Both),
        Some(Fault::Hang) => return client.read(&mut [0; 64]).map(|_| ()),
        Some(Fault::Answer(status, headers, body)) => {
            let mut text = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
            for (name, value) in headers {
                text += &format!("{name}: {value}\r\n");
            }
            text += &format!("Content-Length: {}\r\n\r\n", body.len());
            let body = if seen.method == "HEAD" { "" } else { &body };
            return client.write_all((text + body).as_bytes());
        }
    };
    if seen.method == "CONNECT" {
        return tunnel(client, &seen.path);
    }
    let mut upstream = TcpStream::connect(&state.upstream)?;
    // The client's own name of the host, so that an address in an answer leads through the proxy again.
    let host = field("host").unwrap_or_else(|| state.upstream.clone());
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n",
        seen.method, seen.path
    );
    for name in ["accept", "content-type"] {
        if let Some(value) = field(name) {
            request += &format!("{name}: {value}\r\n");
        }
    }
    upstream.write_all((request + "\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let head = read_head(&mut upstream)?.unwrap_or_default();
    let lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    let mut text = String::new();
    for line in lines {
        let digest = line.to_ascii_lowercase().starts_with("docker-content-digest");
        if stated.is_none() || !digest {
            text += &format!("{line}\r\n");
        }
    }
    if let Some(Some(digest)) = stated {
        text += &format!("Docker-Content-Digest: {digest}\r\n");
    }
    client.write_all((text + "\r\n").as_bytes())?;
    pass_on(&mut upstream, &mut client, pace)
}

fn pass_on(from: &mut TcpStream, to: &mut TcpStream, pace: Pace) -> std::io::Result<()> {
    if pace == Pace::Full {
        return std::io::copy(from, to).map(|_| ());
    }
    let mut buffer = vec![0; LITTLE];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        to.write_all(&buffer[..len])?;
        if pace == Pace::Stuck {
            return to.read(&mut [0; 64]).map(|_| ());
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    Ok(())
}

/// Passes everything on, as a proxy does for TLS.
fn tunnel(mut client: TcpStream, to: &str) -> std::io::Result<()> {
    let mut upstream = TcpStream::connect(to)?;
    client.write_all(b"HTTP/1.1 200 x\r\n\r\n")?;
    let (mut sent, mut to) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        std::io::copy(&mut sent, &mut to).ok();
        to.shutdown(Shutdown::Write).ok()
    });
    std::io::copy(&mut upstream, &mut client).map(|_| ())
}

/// Reads up to the empty line; `None` where what comes is a TLS greeting.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        if head.is_empty() && byte[0] == 0x16 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}
