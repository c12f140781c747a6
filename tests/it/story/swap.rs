//! What clients see while one revision takes the place of another, and when it turns out to be none (rule R13).

use std::thread::JoinHandle;

use tidegate::fact::RolloutStep::{
    Checking, Pulling, RollingBack, StartingNew, StoppingOld, Verifying,
};

use crate::support::client::{self, LOOK};
use crate::support::daemon::eventually;
use crate::support::git::program;
use crate::support::podman::{Podman, Program};
use crate::support::shop::Web;
use crate::support::stand::Stand;

/// Loads something that takes its time: as long as the connection is there.
const LOADS: &str = "
look; busybox wget -q -O /tmp/loaded http://$a:8080/cgi-bin/slow";

/// What is healthy while it is tried, and not in its place, unless it is an early version.
fn manifests(podman: &Podman) -> String {
    let slow = "#!/bin/sh\necho 'Content-Type: text/plain'; echo\nread v < /www/index.html\n\
                echo $v begins; while [ ! -e /tmp/enough ]; do echo part; busybox usleep 100000; done; echo whole\n";
    std::fs::create_dir_all(podman.beside("root/www/cgi-bin")).unwrap();
    program(&podman.beside("root/www/cgi-bin/slow"), slow);
    let healthy = "read v < /www/index.html; test $v != v3 || test $(busybox hostname) = web-check";
    let probe = format!(
        "readinessProbe: {{exec: {{command: [/bin/sh, -c, '{healthy}']}}, periodSeconds: 1, timeoutSeconds: 5, initialDelaySeconds: 2}}"
    );
    let web = Web {
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}",
        grace: 20,
        container: &probe,
        ..Web::default()
    };
    web.yaml(&podman.registry.address())
}

/// A client that loads something, in a thread; it has begun.
fn load(podman: &Podman) -> JoinHandle<bool> {
    let line = format!("{LOOK}{LOADS}");
    let mut command = std::process::Command::new(podman.program());
    command.args(["exec", "client", "/bin/sh", "-c", &line]);
    let loading = std::thread::spawn(move || command.output().unwrap().status.success());
    eventually("the first part", || (loaded(podman).starts_with("v1 begins")).then_some(()));
    loading
}

/// What it has of it.
fn loaded(podman: &Podman) -> String {
    podman.run(&["exec", "client", "/bin/sh", "-c", "busybox cat /tmp/loaded || busybox true"])
}

/// R13, 2, 5 and 7: what is tried has no name; a download goes on to its end while what serves it is replaced; and where
/// the new revision fails in its place, the name goes back, and no client sees a failure.
#[test]
fn r013_a_swap_breaks_no_download_and_one_that_fails_gives_the_name_back() {
    let Some(mut stand) = Stand::open(Program::Healthy, |_| String::new()) else { return };
    // The image with the slow page is another than the first.
    stand.repo.write("web.yaml", manifests(&stand.podman));
    stand.podman.push("shop/web:latest", "v1", Program::Healthy);
    stand.host.configure(|text| text.replace("[routes]", "network = \"shop\"\n[routes]"));
    stand.podman.run(&["network", "create", "shop"]);
    stand.begin();
    client::start(&stand.podman);
    let seen = |stand: &Stand, version: &str| client::until_served(&stand.podman, version);

    let loading = load(&stand.podman);
    stand.moves("v2", Program::Healthy);
    stand.until(2, Verifying);
    // It has two seconds to show that it is ready, in which it is seen.
    eventually("the pod that is tried", || {
        let is_there = stand.pods().iter().any(|pod| pod == "web-check Running");
        let (leads, steps) = (client::named(), stand.steps());
        assert_eq!(steps.last(), Some(&Verifying), "it was over before it was seen");
        is_there.then(|| assert_eq!(leads, ["web-0"], "what is only tried has no name"))
    });
    stand.until(2, StoppingOld);
    seen(&stand, "v2");
    assert!(!loading.is_finished(), "others are led elsewhere, and it goes on");
    stand.inside("web-0-main", "echo > /tmp/enough");
    assert!(loading.join().unwrap(), "{}", loaded(&stand.podman));
    stand.completes();
    let loaded = loaded(&stand.podman);
    assert!(loaded.starts_with("v1 begins\n") && loaded.ends_with("part\nwhole"), "{loaded}");
    assert_eq!(client::named(), ["web-0"]);
    seen(&stand, "v2");

    stand.moves("v3", Program::Healthy);
    let why = stand.fails();
    assert!(why.contains("container web-0-main is not ready: exec"), "{why}");
    assert_eq!(
        stand.steps(),
        [Pulling, Verifying, StoppingOld, StartingNew, Checking, RollingBack]
    );
    assert_eq!(client::named(), ["web-0"]);
    assert_eq!(stand.pods(), ["web-0 Running"]);
    assert_eq!(stand.inside("web-0-main", "busybox cat /www/index.html"), "v2");
    seen(&stand, "v2");
    let all = client::seen(&stand.podman);
    assert!(all.contains("v3"), "it had the name while it was tried and healthy");
    assert!(!all.contains("FAILED"), "{all}");
}
