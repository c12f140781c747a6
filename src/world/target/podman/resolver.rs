//! What the name server of a network says, which is not always what stands in its table: it reads that when it comes to
//! it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};
use tokio::net::UdpSocket;

/// How long one question waits for its answer: while aardvark-dns reads its table, it loses some.
const ANSWER: Duration = Duration::from_millis(200);

/// Bytes of an answer that are read, as many as resolvers offer to take (RFC 6891, section 6.2.5).
const BYTES_MAX: usize = 4096;

/// Asks once for the addresses of a name; there are none of a name that is not known.
pub(super) async fn ask(
    server: SocketAddr,
    name: &str,
    is_v6: bool,
) -> Result<BTreeSet<IpAddr>, String> {
    let kind = if is_v6 { TYPE::AAAA } else { TYPE::A };
    // One socket asks one thing: nobody else's answer comes to it.
    let mut packet = Packet::new_query(1);
    let name = Name::new(name).map_err(|error| error.to_string())?;
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    let question = packet.build_bytes_vec().map_err(|error| error.to_string())?;
    let asked = async {
        let any: IpAddr = if server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut bytes = vec![0; BYTES_MAX];
        let length = socket.recv(&mut bytes).await?;
        bytes.truncate(length);
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = tokio::time::timeout(ANSWER, asked).await;
    let bytes = bytes.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    let answer = Packet::parse(&bytes).map_err(|error| error.to_string())?;
    let addresses = answer.answers.iter().filter_map(|record| {
        if let RData::A(found) = &record.rdata {
            Some(IpAddr::V4(found.address.into()))
        } else if let RData::AAAA(found) = &record.rdata {
            Some(IpAddr::V6(found.address.into()))
        } else {
            None
        }
    });
    Ok(addresses.collect())
}
