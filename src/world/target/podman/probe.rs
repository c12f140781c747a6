//! One question to a container: is it ready? Asked inside the pod's own network, as a rootless pod has no other (R5).

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::program::{Podman, Trouble};
use crate::pods::{Handler, Probe};
use crate::time::Span;

/// Bytes of an answer that are read: its first line.
const HEAD_BYTES_MAX: u64 = 4096;

/// Where a pod is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// A process in its network.
    pub(super) pid: u32,
    /// Its address there.
    pub(super) address: IpAddr,
}

/// Asks once: whether it is ready, and why not.
pub(super) async fn ask(
    podman: &Podman<'_>,
    place: &Place,
    container: &str,
    probe: &Probe,
) -> Result<(), Trouble> {
    let timeout = probe.timeout;
    let (port, path) = match &probe.handler {
        Handler::Exec { command } => {
            let mut arguments = vec!["exec", container];
            arguments.extend(command.iter().map(String::as_str));
            let asked = podman.look(&arguments, timeout.max(Duration::from_secs(1))).await;
            return match asked {
                Ok(_) => Ok(()),
                Err(Trouble::Refused(why) | Trouble::Passing(why)) => {
                    Err(Trouble::Refused(format!("exec {}: {why}", command.join(" "))))
                }
                Err(Trouble::Cancelled) => Err(Trouble::Cancelled),
            };
        }
        Handler::Http { port, path, headers, .. } => (*port, Some((path.clone(), headers.clone()))),
        Handler::Tcp { port } => (*port, None),
    };
    let to = SocketAddr::new(place.address, port);
    let what = path
        .as_ref()
        .map_or_else(|| format!("tcp {to}"), |(path, _)| format!("GET http://{to}{path}"));
    let asked = async {
        let stream = connect(place.pid, to, timeout).await?;
        match &path {
            Some((path, headers)) => get(stream, to, path, headers).await,
            None => Ok(()),
        }
    };
    let answered = tokio::time::timeout(timeout, asked).await;
    let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {}", Span(timeout))));
    answered.map_err(|why| Trouble::Refused(format!("{what}: {why}")))
}

/// A connection that is made in the network of a process.
async fn connect(
    pid: u32,
    to: SocketAddr,
    timeout: Duration,
) -> Result<tokio::net::TcpStream, String> {
    let connected = move || {
        let space = format!("/proc/{pid}/ns/net");
        let space =
            File::open(&space).map_err(|error| format!("cannot open `{space}`: {error}"))?;
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| format!("cannot enter the network of the pod: {error}"))?;
        let stream = TcpStream::connect_timeout(&to, timeout).map_err(|error| error.to_string())?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok::<_, String>(stream)
    };
    // A thread of its own: it leaves the network that the other threads are in, for ever.
    let joined = tokio::task::spawn_blocking(move || std::thread::spawn(connected).join());
    let stream = match joined.await {
        Ok(Ok(connected)) => connected?,
        Ok(Err(_)) => return Err("the probe broke off".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    tokio::net::TcpStream::from_std(stream).map_err(|error| error.to_string())
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
