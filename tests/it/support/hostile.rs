//! A registry that does what real ones do not do on demand: each test says what it answers, and sees what it was asked.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tidegate::names::Digest;

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The head of an answer in chunks.
pub(crate) const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n";

/// What is asked of a server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    /// The server itself.
    pub(crate) host: String,
}

/// What a server does.
pub(crate) enum Reply {
    /// Sends this and closes.
    Bytes(Vec<u8>),
    /// Sends this, then the other for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends this, then a byte now and then for ever.
    Trickle(Vec<u8>),
    /// Sends this and then nothing, until the client goes.
    Silence(Vec<u8>),
}

type Script = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A server on a free port of loopback; ends when dropped.
pub(crate) struct Hostile {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Script,
    tls: Option<Arc<ServerConfig>>,
    seen: Mutex<Vec<Asked>>,
    sent: AtomicU64,
    ended: AtomicBool,
}

impl Hostile {
    /// Serves plain HTTP. A TLS greeting gets no answer: the client goes on in plain HTTP, where it may.
    pub(crate) fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Box::new(script), None)
    }

    /// Serves HTTPS with the files `tls.crt` and `tls.key` of a folder.
    pub(crate) fn start_tls(
        certificates: &Path,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        tidegate::world::tls::init();
        let certificate = CertificateDer::from_pem_file(certificates.join("tls.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.join("tls.key")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        Self::serve(Box::new(script), Some(Arc::new(config)))
    }

    fn serve(script: Script, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, sent, ended) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        let state = Arc::new(State { script, tls, seen, sent, ended });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let state = Arc::clone(&shared);
                // A client that goes away is no error of the test.
                std::thread::spawn(move || state.accept(stream, address).ok());
            }
        });
        Self { address, state }
    }

    /// As an image reference begins.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked since the last call.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }

    /// The methods alone, since the last call: `HEAD GET GET`.
    pub(crate) fn methods(&self) -> String {
        let methods: Vec<_> = self.seen().into_iter().map(|asked| asked.method).collect();
        methods.join(" ")
    }

    /// How many bytes of endless answers went out.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

trait Talk: Read + Write {}

impl<T: Read + Write> Talk for T {}

impl State {
    fn accept(&self, stream: TcpStream, own: SocketAddr) -> std::io::Result<()> {
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        let Some(config) = &self.tls else {
            let mut stream = stream;
            return self.talk(&mut stream, own);
        };
        let connection =
            ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let done = self.talk(&mut stream, own);
        stream.conn.send_close_notify();
        stream.flush()?;
        done
    }

    fn talk(&self, stream: &mut dyn Talk, own: SocketAddr) -> std::io::Result<()> {
        let Some(asked) = read(stream, own)? else { return Ok(()) };
        self.seen.lock().unwrap().push(asked.clone());
        match (self.script)(&asked) {
            Reply::Bytes(bytes) => {
                // An answer to HEAD has no body.
                let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
                let end = head.filter(|_| asked.method == "HEAD").unwrap_or(bytes.len());
                stream.write_all(&bytes[..end])
            }
            Reply::Endless(first, more) => {
                stream.write_all(&first)?;
                loop {
                    stream.write_all(&more)?;
                    self.sent.fetch_add(more.len() as u64, Ordering::SeqCst);
                }
            }
            Reply::Trickle(first) => {
                stream.write_all(&first)?;
                while !self.ended.load(Ordering::SeqCst) {
                    stream.write_all(b" ")?;
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                Ok(())
            }
            Reply::Silence(first) => {
                stream.write_all(&first)?;
                stream.read_to_end(&mut Vec::new()).map(drop)
            }
        }
    }
}

/// Reads the head of a request; none where what comes is a TLS greeting, or nothing.
fn read(stream: &mut dyn Talk, own: SocketAddr) -> std::io::Result<Option<Asked>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 || (head.is_empty() && buffer[0] == 0x16) {
            return Ok(None);
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authorization = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    Ok(Some(Asked { method, path, authorization, host: own.to_string() }))
}

/// An answer with its length.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let (body, length) = (body.as_ref(), body.as_ref().len());
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    Reply::Bytes([head.as_bytes(), body].concat())
}

/// A manifest, with the digest that it has.
pub(crate) fn manifest(kind: &str, body: impl AsRef<[u8]>) -> Reply {
    let digest = Digest::of(body.as_ref());
    answer("200 OK", &format!("content-type: {kind}\r\ndocker-content-digest: {digest}\r\n"), body)
}

/// The manifest of an image with this config.
pub(crate) fn image(config: &str) -> String {
    let digest = Digest::of(config.as_bytes());
    let config =
        format!(r#"{{"mediaType":"{CONFIG}","digest":"{digest}","size":{}}}"#, config.len());
    format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[]}}"#)
}

/// A manifest for the tag, and this for its config.
pub(crate) fn image_with(asked: &Asked, config: &str, blob: Reply) -> Reply {
    if asked.path.contains("/blobs/") { blob } else { manifest(IMAGE, image(config)) }
}

/// An image that is as it should be, with these headers beside the others.
pub(crate) fn good(asked: &Asked, headers: &str) -> Reply {
    let headers = format!("content-type: {IMAGE}\r\n{headers}");
    match asked.path.contains("/blobs/") {
        true => answer("200 OK", "", "{}"),
        false => answer("200 OK", &headers, image("{}")),
    }
}

pub(crate) fn index_of(digest: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{IMAGE}","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#
    )
}

/// Asks for a token at `/token` of the server itself, and answers there.
pub(crate) fn token(asked: &Asked, answer_of: Reply) -> Reply {
    if asked.path.starts_with("/token") {
        return answer_of;
    }
    wants_token(&format!("http://{}/token", asked.host))
}

/// A refusal that names a token server.
pub(crate) fn wants_token(realm: &str) -> Reply {
    let challenge = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"x\"\r\n");
    answer("401 Unauthorized", &challenge, "")
}

/// A chunk of 32 KiB.
pub(crate) fn chunk() -> Vec<u8> {
    [b"8000\r\n".as_slice(), &vec![b'x'; 0x8000], b"\r\n"].concat()
}
