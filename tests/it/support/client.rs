//! Somebody in a network of podman's who asks for the workload `web` by its name, again and again.

use super::daemon::eventually;
use super::podman::Podman;

/// The network.
pub(crate) const NETWORK: &str = "shop";

/// Looks up the name, into `$a`.
///
/// As resolvers do, it repeats a question that gets no answer: while aardvark-dns reads its table anew, which podman has it
/// do as well, it loses some. It asks for one kind of address only: with two questions, one of them lost, it would come to
/// know the other answer when that is seconds old.
pub(crate) const LOOK: &str = "look() {
  for again in 1 2 3 4 5 6 7 8 9 10; do
    a=$(busybox nslookup -type=a web | busybox awk '/^Name:/ {n = 1} n && /^Address/ {print $NF; exit}')
    [ -n \"$a\" ] && break
    busybox usleep 100000
  done
}
";

const ASKS: &str = "while :; do
  look
  busybox wget -q -O - http://$a:8080/ || echo \"FAILED '$a'\"
  echo
  busybox usleep 20000
done";

/// Starts the client, from the image that the workload has; it has no end.
pub(crate) fn start(podman: &Podman) {
    let format = ["container", "inspect", "--format", "{{.ImageName}}", "web-0-main"];
    let image = podman.run(&format);
    let run = ["run", "--detach", "--name", "client", "--network", NETWORK, &image];
    podman.run(&[&run[..], &["/bin/sh", "-c", &format!("{LOOK}{ASKS}")]].concat());
    until_served(podman, "v1");
}

/// Waits until it was served a version.
pub(crate) fn until_served(podman: &Podman, version: &str) {
    eventually(&format!("{version} in the network"), || {
        let last = podman.run(&["logs", "--tail", "4", "client"]);
        last.lines().any(|line| line == version).then_some(())
    });
}

/// What it saw.
pub(crate) fn seen(podman: &Podman) -> String {
    podman.run(&["logs", "client"])
}

/// Which pods have the name of the workload, in their order.
pub(crate) fn named() -> Vec<String> {
    let table = format!("/run/containers/networks/aardvark-dns/{NETWORK}");
    let table = std::fs::read_to_string(table).unwrap();
    let names = table.lines().filter_map(|line| line.split(' ').nth(3));
    let names = names.map(|names| names.split(',').collect::<Vec<_>>());
    let ours = names.filter(|names| names.contains(&"web"));
    let mut ours: Vec<String> = ours.map(|names| names[0].to_owned()).collect();
    ours.sort_unstable();
    ours
}
