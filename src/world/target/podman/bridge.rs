//! The bridge of a network keeps its hardware address.
//!
//! By default the kernel gives a bridge the lowest one of what is plugged into it. So with netavark before 1.9, which sets
//! it for good, any pod that comes or goes may change it, and who looked it up before reaches nobody there, not even the
//! name server, until that is looked up again: most of a minute.

use std::net::IpAddr;
use std::path::Path;

use super::names::gateway;
use super::program::{Call, Podman, Trouble};
use super::read;
use crate::limits::PODMAN_LOOK_TIMEOUT;

/// What `ip -json address show` says of a link.
#[derive(serde::Deserialize)]
struct Link {
    #[serde(rename = "ifname")]
    name: String,
    /// Its hardware address.
    #[serde(default)]
    address: String,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(serde::Deserialize)]
struct Address {
    local: Option<IpAddr>,
}

impl Podman<'_> {
    /// Sets the hardware address that the bridge of a network has, which makes it stay. There is no bridge before a pod is
    /// there.
    ///
    /// Pods can run without it: what stands in the way is told in the log.
    pub(super) async fn keep_bridge(&self, network: &str) -> Result<(), Trouble> {
        let Some(gateway) = gateway(network) else { return Ok(()) };
        let ip = async |arguments: &[&str]| -> Result<String, Trouble> {
            let call = Call::of(Path::new("ip"), arguments);
            self.look_by(call, PODMAN_LOOK_TIMEOUT).await?.said(&call)
        };
        let kept = async {
            let said = ip(&["-json", "address", "show"]).await?;
            let Some((name, address)) = bridge(&said, gateway)? else { return Ok(()) };
            ip(&["link", "set", "dev", &name, "address", &address]).await.map(drop)
        };
        match kept.await {
            Err(Trouble::Refused(why) | Trouble::Passing(why)) => {
                tracing::warn!(network, why, "its bridge may change its hardware address");
                Ok(())
            }
            done => done,
        }
    }
}

/// Name and hardware address of the link that has an address.
pub(super) fn bridge(said: &str, gateway: IpAddr) -> Result<Option<(String, String)>, Trouble> {
    let links: Vec<Link> = read::json("ip -json address show", said)?;
    let has = |link: &Link| link.addr_info.iter().any(|address| address.local == Some(gateway));
    let found = links.into_iter().find(|link| has(link) && !link.address.is_empty());
    Ok(found.map(|link| (link.name, link.address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_is_the_link_that_has_the_address_of_the_gateway() {
        let said = r#"[{"ifname":"lo","address":"00:00:00:00:00:00","addr_info":[{"local":"127.0.0.1"}]},
            {"ifname":"podman1","address":"26:ba:24:a8:d3:85","addr_info":[{"family":"inet","local":"10.89.0.1"},{"local":"fe80::1"}]}]"#;
        let found = bridge(said, "10.89.0.1".parse().unwrap()).unwrap();
        assert_eq!(found, Some(("podman1".into(), "26:ba:24:a8:d3:85".into())));
        assert_eq!(bridge(said, "10.89.1.1".parse().unwrap()).unwrap(), None);
        assert!(bridge("odd", "10.89.0.1".parse().unwrap()).is_err());
    }
}
