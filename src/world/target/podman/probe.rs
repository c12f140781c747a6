//! One question to a container: is it ready? Asked inside the pod's own network, as a rootless pod has no other (R5).

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::program::{Podman, Trouble};
use super::unshared;
use crate::pods::{Handler, Probe};
use crate::time::Span;

/// Bytes of an answer that are read: its first line.
const HEAD_BYTES_MAX: u64 = 4096;

/// Bytes of an answer of gRPC that are read: it has two.
const ANSWER_BYTES_MAX: usize = 64;

/// Where a pod is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// A process in its network.
    pub(super) pid: u32,
    /// Its address there.
    pub(super) address: IpAddr,
}

/// What is asked in the network of a pod, so that another process can ask it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// A process in that network.
    pid: u32,
    address: IpAddr,
    pub(super) timeout: Duration,
    handler: Handler,
}

/// Asks once: whether it is ready, and why not.
pub(super) async fn ask(
    podman: &Podman<'_>,
    place: &Place,
    container: &str,
    probe: &Probe,
) -> Result<(), Trouble> {
    let timeout = probe.timeout;
    let handler = match &probe.handler {
        Handler::Exec { command } => {
            let mut arguments = vec!["exec", container];
            arguments.extend(command.iter().map(String::as_str));
            return run(podman, &arguments, timeout, &format!("exec {}", command.join(" "))).await;
        }
        Handler::HealthCheck { .. } => {
            let arguments = ["healthcheck", "run", container];
            return run(podman, &arguments, timeout, "podman healthcheck run").await;
        }
        handler @ (Handler::Tcp { .. } | Handler::Http { .. } | Handler::Grpc { .. }) => {
            handler.clone()
        }
    };
    let question = Question { pid: place.pid, address: place.address, timeout, handler };
    let answered = match rustix::process::geteuid().is_root() {
        true => question.ask().await,
        false => unshared::ask(podman, &question).await?,
    };
    answered.map_err(|why| Trouble::Refused(format!("{}: {why}", question.what())))
}

impl Question {
    /// What it is called in messages.
    fn what(&self) -> String {
        let at = |port: u16| SocketAddr::new(self.address, port);
        match &self.handler {
            Handler::Tcp { port } => format!("tcp {}", at(*port)),
            Handler::Http { port, path, tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                format!("GET {scheme}://{}{path}", at(*port))
            }
            Handler::Grpc { port, service } => {
                format!("grpc {} {service}", at(*port)).trim_end().to_owned()
            }
            Handler::Exec { .. } | Handler::HealthCheck { .. } => "podman".to_owned(),
        }
    }

    /// Asks from this process, which may enter the network.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let (timeout, pid) = (self.timeout, self.pid);
        let at = |port: u16| SocketAddr::new(self.address, port);
        let asked = async {
            match &self.handler {
                Handler::Tcp { port } => connect(pid, at(*port), timeout).await.map(drop),
                Handler::Http { port, path, headers, tls: false } => {
                    let to = at(*port);
                    get(connect(pid, to, timeout).await?, to, path, headers).await
                }
                Handler::Http { port, path, headers, tls: true } => {
                    let (url, headers) = (format!("https://{}{path}", at(*port)), headers.clone());
                    inside(pid, move || https(url, headers)).await
                }
                Handler::Grpc { port, service } => {
                    let url = format!("http://{}/grpc.health.v1.Health/Check", at(*port));
                    let service = service.clone();
                    inside(pid, move || grpc(url, service)).await
                }
                Handler::Exec { .. } | Handler::HealthCheck { .. } => {
                    Err("podman asks that".to_owned())
                }
            }
        };
        let asked = tokio::time::timeout(timeout, asked).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {}", Span(timeout))))
    }
}

/// Asks podman to run something in the container.
async fn run(
    podman: &Podman<'_>,
    arguments: &[&str],
    timeout: Duration,
    what: &str,
) -> Result<(), Trouble> {
    match podman.look(arguments, timeout.max(Duration::from_secs(1))).await {
        Ok(_) => Ok(()),
        Err(Trouble::Refused(why) | Trouble::Passing(why)) => {
            Err(Trouble::Refused(format!("{what}: {why}")))
        }
        Err(Trouble::Cancelled) => Err(Trouble::Cancelled),
    }
}

/// Does something in the network of a process, with a runtime of its own.
async fn inside<W, F>(pid: u32, work: W) -> Result<(), String>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = Result<(), String>>,
{
    let asked = move || {
        enter(pid)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(work())
    };
    in_a_thread(asked).await
}

async fn https(url: String, headers: Vec<(String, String)>) -> Result<(), String> {
    // Whoever answers is in the pod: the kubelet does not look at the certificate, either.
    let client = client().danger_accept_invalid_certs(true).build();
    let mut request = client.map_err(|error| cause(&error))?.get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| cause(&error))?;
    match answer.status().as_u16() {
        200..400 => Ok(()),
        status => Err(format!("status {status}")),
    }
}

/// `SERVING` of gRPC's health protocol, as its first field is written.
const SERVING: [u8; 2] = [0x08, 0x01];

async fn grpc(url: String, service: String) -> Result<(), String> {
    let client = client().http2_prior_knowledge().build().map_err(|error| cause(&error))?;
    // Field 1 with its length, which is that of a name; before it, that of the message, which is not compressed.
    let length = u8::try_from(service.len()).ok().filter(|length| *length < 126);
    let length = length.ok_or("the name of the service is too long")?;
    let message = match length {
        0 => Vec::new(),
        length => [&[0x0a, length], service.as_bytes()].concat(),
    };
    let size = u8::try_from(message.len()).unwrap_or(u8::MAX);
    let body = [&[0, 0, 0, 0, size], message.as_slice()].concat();
    let request =
        client.post(url).header("content-type", "application/grpc").header("te", "trailers");
    let answer = request.body(body).send().await.map_err(|error| cause(&error))?;
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let (code, why) = (text("grpc-status"), text("grpc-message").unwrap_or_default());
    if let Some(code) = code.filter(|code| *code != "0") {
        return Err(format!("status {code} {why}").trim_end().to_owned());
    }
    if answer.status() != 200 {
        return Err(format!("HTTP status {}", answer.status().as_u16()));
    }
    let mut answer = answer;
    let mut read = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|error| cause(&error))? {
        read.extend_from_slice(&bytes);
        if read.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    match read.get(5..) {
        Some(message) if message.starts_with(&SERVING) => Ok(()),
        Some(_) => Err("not serving".to_owned()),
        None => Err("the answer has no status".to_owned()),
    }
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("tidegate-probe")
}

/// The innermost reason: the others only repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

/// A connection that is made in the network of a process.
async fn connect(
    pid: u32,
    to: SocketAddr,
    timeout: Duration,
) -> Result<tokio::net::TcpStream, String> {
    let connected = move || {
        enter(pid)?;
        let stream = TcpStream::connect_timeout(&to, timeout).map_err(|error| error.to_string())?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(stream)
    };
    let stream = in_a_thread(connected).await?;
    tokio::net::TcpStream::from_std(stream).map_err(|error| error.to_string())
}

/// Moves this thread into the network of a process, for ever.
fn enter(pid: u32) -> Result<(), String> {
    let space = format!("/proc/{pid}/ns/net");
    let file = File::open(&space).map_err(|error| format!("cannot open `{space}`: {error}"))?;
    // That of the host is entered by nobody but its root; who is in there already needs not.
    let own = fs::metadata("/proc/thread-self/ns/net");
    if let (Ok(there), Ok(own)) = (file.metadata(), own)
        && (there.dev(), there.ino()) == (own.dev(), own.ino())
    {
        return Ok(());
    }
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("cannot enter the network of the pod: {error}"))
}

/// A thread of its own: it leaves the network that the other threads are in.
async fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(move || std::thread::spawn(work).join()).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err("the probe broke off".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn get(
    mut stream: tokio::net::TcpStream,
    to: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nUser-Agent: tidegate-probe\r\nAccept: */*\r\nConnection: close\r\n"
    );
    let host = ("Host".to_owned(), to.to_string());
    let is_named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    for (name, value) in (!is_named).then_some(&host).into_iter().chain(headers) {
        request = format!("{request}{name}: {value}\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    let mut answer = stream.take(HEAD_BYTES_MAX);
    let mut buffer = [0; 512];
    while !head.contains(&b'\n') {
        let count = answer.read(&mut buffer).await.map_err(|error| error.to_string())?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let status = line.split_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok());
    match status.filter(|_| line.starts_with("HTTP/1.")) {
        Some(200..400) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Answers one call over HTTP/2 with frames as they are on the wire: settings, a status of 200, and a message.
    fn serve(message: &'static [u8]) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
            let mut read = vec![0; 4096];
            let mut asked = Vec::new();
            // What it asks for is the name of a service; an answer to the settings may come behind it.
            while !asked.windows(5).any(|found| found == b"\x0a\x03web") {
                let count = stream.read(&mut read).unwrap();
                assert_ne!(count, 0, "it was not asked");
                asked.extend_from_slice(&read[..count]);
            }
            let size = u8::try_from(message.len()).unwrap();
            let headers = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
            let data = [0, 0, size + 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, size];
            stream.write_all(&[&headers, &data[..], message].concat()).unwrap();
            drop(stream.read(&mut read));
        });
        format!("http://{address}/grpc.health.v1.Health/Check")
    }

    #[test]
    fn grpc_is_ready_when_it_says_that_it_serves() {
        crate::world::tls::init();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = |message| runtime.block_on(grpc(serve(message), "web".into()));
        assert_eq!(ask(&[8, 1]), Ok(()));
        assert_eq!(ask(&[8, 2]), Err("not serving".to_owned()));
        assert_eq!(ask(&[]), Err("not serving".to_owned()));
        let nobody = runtime.block_on(grpc("http://127.0.0.1:1/".into(), String::new()));
        assert!(nobody.unwrap_err().contains("refused"));
    }
}
