//! Which pods a workload's name leads to in its network, and that none loses a connection by it (rule R13).
//!
//! Podman gives names when a pod starts and takes them back when it ends; in between it can do neither without a new
//! address for the pod. So the table of the network's name server is changed here as netavark changes it: under its
//! lock, then a signal; and the server is asked, for it is what it says that clients go by. What podman itself knows stays
//! as it is: a pod that it starts again has all its names again.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::program::{Podman, Trouble};
use super::resolver;

/// Where netavark keeps what it knows, for all that root runs.
const NETAVARK: &str = "/run/containers/networks";

/// How often the table is looked at while a pod starts: it is changed before the server has read what podman wrote.
const WATCH: Duration = Duration::from_millis(1);

/// How long names may take to lead elsewhere. Podman has the lock of the table for a moment, and the server reads it in
/// another.
const LEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may say something else before it is told once more.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// How often it is asked.
const ASK: Duration = Duration::from_millis(20);

/// The port of a name server.
const DNS: u16 = 53;

/// How long after a name is withdrawn somebody may still come who asked for it before.
const LATE: Duration = Duration::from_secs(1);

/// How often connections are counted.
const COUNT: Duration = Duration::from_millis(100);

/// The names of one workload in its network.
pub(super) struct Names {
    folder: PathBuf,
    table: PathBuf,
    names: Vec<String>,
}

impl Names {
    /// None where there is no table: no network of its own, no name server, or another one.
    pub(super) fn of(network: Option<&str>, names: Vec<String>) -> Option<Self> {
        let folder = PathBuf::from(NETAVARK);
        let table = folder.join("aardvark-dns").join(network?);
        table.exists().then_some(Self { folder, table, names })
    }

    /// Makes the names lead to some pods and away from others, told by the containers that hold their networks: in one
    /// change, so that they lead somewhere at any time. They do when the server says so.
    pub(super) async fn lead(&self, to: &[String], away: &[String]) -> Result<(), Trouble> {
        let until = Instant::now() + LEAD_TIMEOUT;
        loop {
            let changed = self.change(|id, _| (to.contains(id), away.contains(id)));
            let heard = match changed.map_err(|error| self.cannot(&error))? {
                Done::Gone => return Ok(()),
                Done::Locked => {
                    let lock = self.folder.join("aardvark.lock");
                    Err(format!("`{}` is locked for too long", lock.display()))
                }
                Done::Stands(table) => {
                    let server = self.server(&table).map_err(|error| self.cannot(&error))?;
                    let wanted =
                        Wanted { to: addresses(&table, to), away: addresses(&table, away) };
                    self.hears(server, &wanted).await
                }
            };
            match heard {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= until => return Err(Trouble::Passing(why)),
                Err(_) => {}
            }
            tokio::time::sleep_until(Instant::now() + WATCH).await;
        }
    }

    fn cannot(&self, error: &io::Error) -> Trouble {
        let table = self.table.display();
        let names = self.names.join("`, `");
        Trouble::Passing(format!("cannot say in `{table}` whom `{names}` leads to: {error}"))
    }

    /// Asks the server until it says what is wanted of each name, and tells it once more if it does not come to that.
    async fn hears(&self, server: SocketAddr, wanted: &Wanted) -> Result<(), String> {
        let until = Instant::now() + TELL_AGAIN;
        let is_v6 = wanted.to.iter().chain(&wanted.away).all(IpAddr::is_ipv6);
        if wanted.to.is_empty() && wanted.away.is_empty() {
            return Ok(());
        }
        let mut names = self.names.iter().peekable();
        while let Some(name) = names.peek() {
            let said = resolver::ask(server, name, is_v6).await;
            if said.as_ref().is_ok_and(|said| wanted.is_met_by(said, is_v6)) {
                names.next();
                continue;
            }
            if Instant::now() >= until {
                self.tell().map_err(|error| error.to_string())?;
                return Err(wanted.missed(server, name, said));
            }
            tokio::time::sleep_until(Instant::now() + ASK).await;
        }
        Ok(())
    }

    /// Takes the names from a pod as soon as it gets them; goes on until nobody waits for it any more.
    pub(super) async fn withhold(&self, pod: &str) {
        loop {
            // What cannot be changed now is looked at once more in a moment, and told when it is changed at last.
            drop(self.change(|_, names| (false, names.contains(pod))));
            tokio::time::sleep_until(Instant::now() + WATCH).await;
        }
    }

    /// Changes the table, if the lock is free: each pod gets or loses the names as `wanted` says of its container and of
    /// what it is called.
    fn change(
        &self,
        wanted: impl Fn(&String, &BTreeSet<&str>) -> (bool, bool),
    ) -> io::Result<Done> {
        let mut options = OpenOptions::new();
        let lock = options.create(true).write(true).truncate(false);
        let lock = lock.open(self.folder.join("aardvark.lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Done::Locked),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let changed = self.change_locked(wanted);
        lock.unlock()?;
        changed
    }

    fn change_locked(
        &self,
        wanted: impl Fn(&String, &BTreeSet<&str>) -> (bool, bool),
    ) -> io::Result<Done> {
        let read = || match std::fs::read_to_string(&self.table) {
            // The last pod of the network went, and with it whatever had a name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            table => table.map(Some),
        };
        let Some(table) = read()? else { return Ok(Done::Gone) };
        let changed = edited(&table, &self.names, wanted);
        // Whoever takes a pod out of it writes it anew, line by line, and does not ask for the lock.
        if !table.ends_with('\n') || read()?.as_deref() != Some(&table) {
            return Ok(Done::Locked);
        }
        let Some(changed) = changed else { return Ok(Done::Stands(table)) };
        // Beside the folder of the tables: whatever is in it is read as a table.
        let new = self.folder.join("tidegate.tmp");
        // Not synced: it is gone at the next start of the host, like all that it speaks of.
        File::create(&new)?.write_all(changed.as_bytes())?;
        std::fs::rename(&new, &self.table)?;
        self.tell()?;
        Ok(Done::Stands(changed))
    }

    /// Where the name server of the network listens: at the first address of its table.
    fn server(&self, table: &str) -> io::Result<SocketAddr> {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", self.process()?.as_raw_pid()))?;
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        let port = arguments.split('\0').skip_while(|word| *word != "-p").nth(1);
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(DNS);
        let address = first_address(table);
        let address = address.ok_or_else(|| io::Error::other("it begins with no address"))?;
        Ok((address, port).into())
    }

    /// Tells the name server to read its tables again.
    fn tell(&self) -> io::Result<()> {
        kill_process(self.process()?, Signal::HUP).map_err(io::Error::from)
    }

    /// The process of the name server.
    fn process(&self) -> io::Result<Pid> {
        let dead = "the name server does not run; `podman network reload --all` starts it";
        let file = self.table.with_file_name("aardvark.pid");
        let pid = std::fs::read_to_string(&file).map_err(|_| io::Error::other(dead))?;
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("`aardvark.pid` names no process"))?;
        let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid()));
        if name.unwrap_or_default().trim() != "aardvark-dns" {
            return Err(io::Error::other(dead));
        }
        Ok(pid)
    }
}

/// What became of a change of the table.
enum Done {
    /// Somebody else writes it.
    Locked,
    /// There is none.
    Gone,
    /// It says what was wanted.
    Stands(String),
}

/// What the server is to say of a name.
struct Wanted {
    to: BTreeSet<IpAddr>,
    away: BTreeSet<IpAddr>,
}

impl Wanted {
    /// Only addresses of the kind that was asked for are said.
    fn is_met_by(&self, said: &BTreeSet<IpAddr>, is_v6: bool) -> bool {
        let mut to = self.to.iter().filter(|address| address.is_ipv6() == is_v6);
        to.all(|address| said.contains(address)) && self.away.is_disjoint(said)
    }

    fn missed(
        &self,
        server: SocketAddr,
        name: &str,
        said: Result<BTreeSet<IpAddr>, String>,
    ) -> String {
        let list = |addresses: &BTreeSet<IpAddr>| match addresses.is_empty() {
            true => "nothing".to_owned(),
            false => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
        };
        let said = said.map_or_else(|why| why, |said| format!("it says {}", list(&said)));
        let to = match (self.to.is_empty(), self.away.is_empty()) {
            (true, _) => format!("away from {}", list(&self.away)),
            (false, true) => format!("to {}", list(&self.to)),
            (false, false) => format!("to {} and away from {}", list(&self.to), list(&self.away)),
        };
        format!("the name server at {server} does not lead `{name}` {to}: {said}")
    }
}

/// The first address of the bridge of a network; none where it has no name server, or no pod.
pub(super) fn gateway(network: &str) -> Option<IpAddr> {
    let table = Path::new(NETAVARK).join("aardvark-dns").join(network);
    first_address(&std::fs::read_to_string(table).ok()?)
}

fn first_address(table: &str) -> Option<IpAddr> {
    table.lines().next()?.split([',', ' ']).next()?.parse().ok()
}

/// The addresses of some containers in a table.
fn addresses(table: &str, of: &[String]) -> BTreeSet<IpAddr> {
    let lines = table.lines().skip(1).map(|line| line.split(' ').collect::<Vec<_>>());
    let lines =
        lines.filter(|fields| fields.first().is_some_and(|id| of.iter().any(|of| of == id)));
    let found = lines.flat_map(|fields| {
        let addresses = fields.into_iter().skip(1).take(2).flat_map(|kind| kind.split(','));
        addresses.filter_map(|address| address.parse().ok()).collect::<Vec<_>>()
    });
    found.collect()
}

/// A table in which pods have got and lost names; none if that changes nothing.
///
/// After the line of the addresses that are listened on, each line is a pod: its container, addresses of each kind, its
/// names, and servers that it asks for other names.
fn edited(
    table: &str,
    names: &[String],
    wanted: impl Fn(&String, &BTreeSet<&str>) -> (bool, bool),
) -> Option<String> {
    let mut changed = false;
    let mut lines = table.lines();
    let mut new: Vec<String> = lines.next().map(str::to_owned).into_iter().collect();
    for line in lines {
        let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let [id, _, _, called, ..] = fields.as_mut_slice() else {
            new.push(line.to_owned());
            continue;
        };
        let known: BTreeSet<&str> = called.split(',').collect();
        let (gets, loses) = wanted(id, &known);
        let mut list: Vec<&str> = called.split(',').filter(|name| !name.is_empty()).collect();
        for name in names {
            if loses {
                list.retain(|known| known != name);
            } else if gets && !list.contains(&name.as_str()) {
                list.push(name);
            }
        }
        let list = list.join(",");
        if list != *called {
            changed = true;
            *called = list;
        }
        new.push(fields.join(" "));
    }
    changed.then(|| new.join("\n") + "\n")
}

/// What each reader makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> [String; 4] {
    let (own, aaa, bbb) = (["web".to_owned()], "aaa".to_owned(), "bbb".to_owned());
    let moved = |table: &str| {
        let changed = edited(table, &own, |id, _| (*id == bbb, *id == aaa));
        changed.filter(|_| table.ends_with('\n'))
    };
    let changed = moved(text);
    let again = changed.as_deref().and_then(moved);
    let addresses = addresses(text, &[aaa.clone(), bbb.clone()]);
    [
        format!("{:?} {addresses:?}", first_address(text)),
        changed.unwrap_or_default(),
        again.unwrap_or_default(),
        connected(text).to_string(),
    ]
}

/// Waits until nobody is connected to pods whose name was withdrawn, told by a process in the network of each; at most as
/// long as their programs may take to end.
pub(super) async fn drain(
    podman: &Podman<'_>,
    pids: &[u32],
    grace: Duration,
) -> Result<Duration, Trouble> {
    let began = Instant::now();
    loop {
        let elapsed = began.elapsed();
        let connected: usize = pids.iter().map(|pid| connections(*pid)).sum();
        if elapsed >= grace || connected == 0 && elapsed >= LATE {
            return Ok(elapsed);
        }
        let next = Instant::now() + COUNT;
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = podman.cancel.cancelled() => return Err(Trouble::Cancelled),
        }
    }
}

/// How many connections others have to what listens in the network of a process.
fn connections(pid: u32) -> usize {
    let read = |name: &str| {
        let path = Path::new("/proc").join(pid.to_string()).join("net").join(name);
        // A process that is gone has no connections.
        std::fs::read_to_string(path).unwrap_or_default()
    };
    connected(&format!("{}{}", read("tcp"), read("tcp6")))
}

/// The same of what the kernel says of sockets.
fn connected(sockets: &str) -> usize {
    let sockets = sockets.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (_, port) = words.next()?.rsplit_once(':')?;
        let (from, _) = words.next()?.rsplit_once(':')?;
        Some((port, from, words.next()?))
    });
    let sockets: Vec<(&str, &str, &str)> = sockets.collect();
    let listens = |port: &str| sockets.iter().any(|one| one.0 == port && one.2 == "0A");
    let is_of_itself = |from: &str| {
        let is_v4 = from.len() == 8 || from.starts_with("0000000000000000FFFF0000");
        from == "00000000000000000000000001000000" || is_v4 && from.ends_with("7F")
    };
    // Established, being established, and half closed: there is something to answer.
    let is_open = |state: &str| ["01", "03", "04", "08"].contains(&state);
    let open = |(port, from, state): &&(&str, &str, &str)| {
        is_open(state) && listens(port) && !is_of_itself(from)
    };
    sockets.iter().filter(open).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "10.89.0.1\n\
        aaa 10.89.0.2  web-0,web,aaa\n\
        bbb 10.89.0.3 fd00::3 web-check,bbb 9.9.9.9\n";

    #[test]
    fn a_name_moves_in_one_change_and_nothing_else_does() {
        let names = ["web".to_owned()];
        let changed = edited(TABLE, &names, |id, _| (id == "bbb", id == "aaa")).unwrap();
        let wanted = "10.89.0.1\n\
            aaa 10.89.0.2  web-0,aaa\n\
            bbb 10.89.0.3 fd00::3 web-check,bbb,web 9.9.9.9\n";
        assert_eq!(changed, wanted);
        assert_eq!(edited(&changed, &names, |id, _| (id == "bbb", id == "aaa")), None);
        let withheld = edited(TABLE, &names, |_, names| (false, names.contains("web-0"))).unwrap();
        assert!(withheld.contains("web-0,aaa\n"), "{withheld}");
        assert_eq!(edited("", &names, |_, _| (true, false)), None);
        assert_eq!(edited("10.89.0.1\nodd\n", &names, |_, _| (true, false)), None);
    }

    #[test]
    fn connections_are_those_of_others_to_what_listens() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 00000000:1F90 00000000:0000 0A 0:0\n\
            1: 0200590A:1F90 0100590A:C350 01 0:0\n\
            2: 0200590A:C351 0300590A:1538 01 0:0\n\
            3: 0100007F:1F90 0100007F:C352 01 0:0\n\
            4: 0200590A:1F90 0100590A:C353 06 0:0\n";
        assert_eq!(connected(sockets), 1);
        let six = "0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0\n\
            1: 0000000000000000FFFF00000200590A:1F90 0000000000000000FFFF00000100590A:C350 01 0:0\n\
            2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C350 01 0:0\n";
        assert_eq!(connected(six), 1);
        assert_eq!(connected("odd\n"), 0);
    }
}
