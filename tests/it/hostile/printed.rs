//! Hostile output of podman, systemd and the generator of units: it is no verdict about an image, nothing is told as done,
//! and of what was printed nothing reaches a terminal or a record that could do harm there.

use tidegate::fact::{Fact, Outcome, RolloutStep};
use tidegate::pods::Look;

use super::host::{Fake, SECRET};
use super::{Row, faults};
use crate::support::podman::Program;
use crate::support::shop::Web;
use crate::support::stand::Stand;

use RolloutStep::{Checking, PreHook, Pulling, StartingNew, StoppingOld};

/// A command, what it prints, a step that asks for it, and what comes of that.
type Printed = (&'static str, Vec<u8>, RolloutStep, &'static str);

/// What no reader of JSON takes, and how it is told.
fn no_json() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let secret = format!("[{{\"Id\": 1, \"Env\": \"password={SECRET}\\u001b[2J\"}}]");
    let long = [b"[{\"Id\": \"".to_vec(), b"x".repeat(10 << 20)].concat();
    vec![
        ("nothing", Vec::new(), "printed nothing"),
        ("blanks", b" \n\r\n".to_vec(), "printed nothing"),
        ("half of it", b"[{\"Id\": \"main\", \"Name\"".to_vec(), "JSON that breaks off"),
        ("a text of 10 MB", b"too much ".repeat(1 << 20), "no JSON"),
        ("a word of 10 MB", long, "JSON that breaks off"),
        ("bytes", vec![0xff, 0xfe, 0, 27, b'[', b'2', b'J'], "no JSON"),
        ("a terminal's escapes", format!("\x1b]0;owned\x07{SECRET}").into_bytes(), "no JSON"),
        ("deep nesting", b"[".repeat(100_000), " JSON"),
        ("a number", b"7".to_vec(), "JSON of another shape"),
        ("a secret of another type", secret.into_bytes(), "JSON of another shape"),
    ]
}

#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Printed>> {
    let mut rows = Vec::new();
    let commands = [
        ("podman.pod-ps", StartingNew, "podman pod ps"),
        ("podman.pod-inspect", StartingNew, "podman pod inspect"),
        ("podman.container-inspect", StartingNew, "podman container inspect"),
        ("podman.ps", StoppingOld, "podman ps"),
    ];
    for (command, step, shown) in commands {
        for (name, said, how) in no_json() {
            // A list of anything is read, one after the other.
            let is_list = command == "podman.pod-ps" && how == "JSON of another shape" && name != "a number";
            let how = if is_list { "a pod without a name" } else { how };
            rows.push(Row::new(name, (command, said, step, "transient"), &[shown, how]));
        }
    }
    let row = |name, command, said: &[u8], step, end, says: &[&'static str]| {
        Row::new(name, (command, said.to_vec(), step, end), says)
    };
    let status = |status: &str| {
        let state = serde_json::json!({"Running": false, "Status": status, "ExitCode": 3});
        let all = serde_json::json!([{"Id": "main", "Name": "web-0-main", "State": state}, {"Id": "infra", "Name": "i", "State": {}}]);
        all.to_string().into_bytes()
    };
    let (inspect, pod, show) = ("podman.container-inspect", "podman.pod-inspect", "systemctl.show");
    rows.extend([
        row("a list of nothing known", "podman.pod-ps", b"[null, 3, {}]", StartingNew, "transient", &["podman pod ps", "without a name"]),
        row("pods without a name", "podman.pod-ps", b"[{\"Name\": null, \"Labels\": null}]", StartingNew, "transient", &["without a name"]),
        row("no pod, of one that was asked for", pod, b"[]", StartingNew, "transient", &["podman pod inspect tells of 0 of 1"]),
        row("a pod that is nothing", pod, b"{}", StartingNew, "transient", &["podman pod inspect", "another shape"]),
        row("a pod of nulls", pod, b"{\"Id\": null, \"Containers\": null}", StartingNew, "transient", &["podman pod inspect"]),
        row("no container, of two", inspect, b"[]", StartingNew, "transient", &["podman container inspect does not tell of main"]),
        row("one container, of two", inspect, b"[{\"Id\": \"infra\", \"Name\": \"i\", \"State\": {}}]", Checking, "transient", &["does not tell of main"]),
        row("containers of nulls", inspect, b"[{\"Id\": null, \"Name\": null, \"State\": null}]", StartingNew, "transient", &["another shape"]),
        row("a state with escapes", inspect, &status("\u{1b}[2Jdead\u{7}"), Checking, "failed", &["container web-0-main is ", "[2Jdead"]),
        row("a state with a secret", inspect, &status(&format!("password={SECRET}")), Checking, "failed", &["password=***"]),
        row("a state of 1 MB", inspect, &status(&"x".repeat(1 << 20)), Checking, "failed", &["container web-0-main is xxx"]),
        row("a platform of two lines", "podman.info", b"linux/amd64\nlinux/s390x\n", Pulling, "transient", &["podman info printed what is no platform"]),
        row("a platform with escapes", "podman.image-inspect", b"linux/\x1b[2J", Pulling, "transient", &["podman image inspect printed what is no platform"]),
        row("a platform of 10 MB", "podman.info", &b"x".repeat(10 << 20), Pulling, "transient", &["podman info"]),
        row("an end without a word", "podman.wait", b"", PreHook, "transient", &["podman does not say how container web-7-hook-pre-lifecycle ended"]),
        row("an end of two", "podman.wait", b"0\n0\n", PreHook, "transient", &["does not say how container"]),
        row("an end with escapes", "podman.wait", b"\x1b[2J0", PreHook, "transient", &["does not say how container"]),
        row("an end of 10 MB", "podman.wait", &b"9".repeat(10 << 20), PreHook, "transient", &["does not say how container"]),
        row("an end that is another", "podman.wait", b"-1\n", PreHook, "failed", &["pre hook failed: exit status -1"]),
        row("a service without a word", show, b"", StartingNew, "transient", &["systemctl show does not say"]),
        row("a service that is something", show, b"\x1b[2J\nActiveState\n=active\n", StartingNew, "transient", &["systemctl show does not say"]),
        row("a service in 10 MB", show, &b"x=y\n".repeat(3 << 20), StartingNew, "transient", &["systemctl show does not say"]),
        row("a generator without a word", "generator", b"", Pulling, "failed", &["no service can be made of the unit", "said nothing"]),
        row("a generator of another service", "generator", b"---we.service---\n---web.service", Pulling, "failed", &["no service can be made"]),
    ]);
    rows
}

fn is_of_units(command: &str) -> bool {
    command.starts_with("systemctl") || command == "generator"
}

/// What is wrong with what is told.
fn harm(name: &str, told: &str) -> Option<String> {
    let told = told.trim_end();
    if told.contains(SECRET) || told.contains(char::is_control) || told.chars().count() > 1_000 {
        return Some(format!("{name}: it tells {told:.200?}"));
    }
    None
}

#[test]
fn hostile_output_is_no_verdict_and_no_success() {
    let hosts = [false, true].map(Fake::new);
    let steps = [&[Pulling, PreHook, StoppingOld, StartingNew][..], &[Pulling, StartingNew]];
    for (host, steps) in hosts.iter().zip(steps) {
        for step in steps {
            let (end, told) = host.step(*step);
            assert_eq!(end, "stepped", "where nothing is wrong: {told}");
        }
        assert!(host.look().astray.is_empty(), "{:?}", host.look());
    }
    let mut wrong = Vec::new();
    for row in rows() {
        let (command, said, step, end) = &row.input;
        let host = &hosts[usize::from(is_of_units(command))];
        host.says(command, said);
        let (came, told) = host.step(*step);
        let name = format!("{command}: {}", row.name);
        if came != *end {
            wrong.push(format!("{name}: {came} in place of {end}: {told:.200}"));
        }
        wrong.extend(row.check(&told));
        wrong.extend(harm(&name, &told));
        wrong.extend(looks(&name, host));
        host.is_well();
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

/// What is wrong with what is told to somebody who asks what runs: it is as it was rolled out, or nobody knows.
fn looks(name: &str, host: &Fake) -> Option<String> {
    let looked = host.look();
    let look = looked.looks.values().next().unwrap();
    let astray: Vec<&str> = looked.astray.values().map(|astray| astray.why.as_str()).collect();
    let told = match look {
        Look::Silent(why) if astray != [format!("cannot look at what runs: {why}")] => {
            return Some(format!("{name}: silent, and {astray:?}"));
        }
        Look::Silent(_) => astray.concat(),
        Look::Seen { pods, .. } => format!("{pods:?} {}", astray.concat()),
    };
    if told.contains("is gone") {
        return Some(format!("{name}: who asks is told {told:.200}"));
    }
    match look {
        Look::Silent(_) => harm(name, &told),
        Look::Seen { .. } => told.contains(char::is_control).then(|| format!("{name}: {told:?}")),
    }
}

/// With a real podman, between which and the daemon somebody stands: the daemon goes on, and a single answer of that kind
/// costs a second attempt and no more.
#[test]
fn a_daemon_goes_on_whatever_podman_prints() {
    let manifests = |podman: &crate::support::podman::Podman| {
        let annotations = "tidegate.dev/verify: 'false', tidegate.dev/retry: '2'";
        Web { annotations, grace: 1, ..Web::default() }.yaml(&podman.registry.address())
    };
    let Some(mut stand) = Stand::open(Program::Healthy, manifests) else { return };
    stand.begin();
    let said = stand.podman.beside("garbage");
    let prints = |when: &str, command: &str| {
        let said = said.display();
        format!("if {when} [ \"$1 $2\" = '{command}' ]; then cat {said}; exit 0; fi\n")
    };
    let mut wrong = Vec::new();
    let pods = stand.pods();
    for (command, how) in [("pod ps", "podman pod ps"), ("container inspect", "container inspect")]
    {
        stand.podman.puts_between(&prints("", command));
        for (name, bytes, _) in no_json() {
            std::fs::write(&said, bytes).unwrap();
            let status = stand.host.text(&["status"]);
            let row = Row::new(name, (), &["NotRunning", "cannot look at what runs: ", how]);
            wrong.extend(row.check(&status));
            wrong.extend(status.contains(SECRET).then(|| format!("{name}: {status}")));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    stand.podman.puts_between("");
    assert!(!stand.host.text(&["status"]).contains("NotRunning"));
    assert_eq!((stand.pods(), started(&stand)), (pods, 1), "it was looked at, and no more");

    let commands = ["pod ps", "pod inspect", "container inspect", "image inspect"];
    for (rollout, command) in (2..).zip(commands) {
        let once = stand.podman.beside(&format!("once-{rollout}"));
        std::fs::write(&said, [0xff, 0, 27, b'[', b'{', b'"']).unwrap();
        let when =
            format!("[ \"$1 $2\" = '{command}' ] && mkdir {} 2>/dev/null &&", once.display());
        stand.podman.puts_between(&prints(&when, command));
        stand.moves(&format!("v{rollout}"), Program::Healthy);
        stand.completes();
        assert!(once.exists(), "{command} was asked");
        assert_eq!(
            stand.inside("web-0-main", "busybox cat /www/index.html"),
            format!("v{rollout}")
        );
        assert_eq!(started(&stand), rollout, "{command}: once");
    }

    // What goes on for ever is told in the end, and what ran before was not touched.
    let before = stand.pod_id("web-0");
    stand.podman.puts_between(&prints("", "image inspect"));
    stand.moves("v6", Program::Healthy);
    let (outcome, why, rolled_back) = stand.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{why}");
    let end = "podman image inspect printed what is no platform";
    assert_eq!(why, format!("Pulling failed in 3 attempts: {end}"));
    assert_eq!(stand.pod_id("web-0"), before);
    stand.podman.puts_between("");
    stand.host.text(&["release", "dc/web", "-n", "shop"]);
    stand.completes();
    assert_eq!(stand.inside("web-0-main", "busybox cat /www/index.html"), "v6");
    assert!(stand.host.stop().success(), "{}", stand.host.story());
}

fn started(stand: &Stand) -> usize {
    stand.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
}
