//! A sender of webhooks, byte by byte.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::daemon::eventually;

/// A port of loopback that is free, for a daemon that is started later.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Connects as soon as somebody listens.
pub(crate) fn connect(address: &str) -> TcpStream {
    eventually("the listener", || TcpStream::connect(address).ok())
}

/// Sends bytes and gives back all that is answered, without the time of day.
pub(crate) fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // It may have answered and gone before all of it was sent.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).replace("\r\n", "\n");
    let lines = answer.split('\n').filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A request with a body.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: hooks\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

/// Posts a notice, and gives back the status.
pub(crate) fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let answer = send(address, &request("POST", path, headers, body.as_bytes()));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}
