//! A rollout from step to step, with hooks that say when they run, and a real podman (rules R15, R16, R4, X48, D39b, D45).

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tidegate::fact::{Fact, Outcome, RolloutStep};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::registry::{Fault, FaultProxy, write};
use crate::support::shop::{ENDED, End, READY, Web, end_of, import, last_steps};

use RolloutStep::{
    Checking, MidHook, PostHook, PreHook, Pulling, RollingBack, StartingNew, StoppingOld,
};

fn manifests(registry: &str, web: Web<'_>) -> String {
    let annotations = "tidegate.dev/verify: 'false'";
    Web { annotations, config_change: true, grace: 1, ..web }.yaml(registry)
}

struct Course {
    podman: Podman,
    host: Host,
    /// A folder of the host that pods mount.
    data: PathBuf,
    _repo: Repo,
    rollouts: usize,
}

impl Course {
    /// A shop that is closed; `written` gets the folder that pods may mount.
    fn closed(manifests: impl FnOnce(&str, &str) -> String) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let data = podman.beside("data");
        std::fs::create_dir(&data).unwrap();
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.between().display()
        );
        let repo = Repo::new();
        let text = manifests(&podman.registry.address(), &data.display().to_string());
        repo.write("web.yaml", text).commit("the shop");
        let host = Host::new(repo.path(), &toml);
        Some(Self { podman, host, data, _repo: repo, rollouts: 0 })
    }

    /// The same, opened.
    fn open(manifests: impl FnOnce(&str, &str) -> String) -> Option<Self> {
        let mut course = Self::closed(manifests)?;
        course.host.start();
        Some(course)
    }

    fn moves(&self, version: &str, program: Program) {
        self.podman.push("shop/web:latest", version, program);
        import(&self.host, "web");
    }

    fn ends(&mut self) -> End {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.host.story()), || {
            end_of(self.host.records(), wanted)
        })
    }

    fn completes(&mut self) {
        let end = self.ends();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }

    /// The steps of the last rollout.
    fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.host.records())
    }

    fn started(&self) -> usize {
        self.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
    }

    fn runs(&self) -> String {
        let look = ["exec", "web-0-main", "/bin/busybox", "cat", "/www/index.html"];
        self.podman.run(&look)
    }

    /// The pods that run; what hooks left behind ended, and stays until the next rollout.
    fn pods(&self) -> String {
        let all = self.podman.run(&["pod", "ps", "--format", "{{.Name}} {{.Status}}"]);
        let run =
            all.lines().filter(|line| !(line.contains("-hook-") && line.ends_with(" Exited")));
        run.collect::<Vec<_>>().join("\n")
    }

    /// What hooks wrote into a file.
    fn said(&self, file: &str) -> String {
        std::fs::read_to_string(self.data.join(file)).unwrap_or_default()
    }

    fn lets_go(&self, file: &str) {
        write(&self.data.join(file), "");
    }
}

/// A hook that runs a line of a shell, which has the folder `/data`.
fn hook(name: &str, policy: &str, line: &str) -> String {
    let exec = format!("{{command: [/bin/sh, -c, '{line}'], volumes: [data]}}");
    format!("{name}: {{failurePolicy: {policy}, execNewPod: {exec}}}")
}

/// A `Recreate` with all hooks, each of which says so when it begins, waits for a file, and says when it ends.
fn with_gates(registry: &str, data: &str) -> String {
    let gate = |name: &str| {
        let line = format!(
            "read v < /www/index.html; echo {name} $v begins >> /data/said; \
             while ! test -e /data/$v-{name}; do busybox usleep 100000; done; \
             echo {name} $v ends >> /data/said"
        );
        hook(name, "Abort", &line)
    };
    let params = ["pre", "mid", "post"].map(gate).join(", ");
    let spec =
        format!("strategy: {{type: Recreate, recreateParams: {{timeoutSeconds: 8, {params}}}}}");
    manifests(
        registry,
        Web { spec: &spec, pod: &volume(data), container: &mounted(), ..Web::default() },
    )
}

fn volume(data: &str) -> String {
    format!("volumes: [{{name: data, hostPath: {{path: {data:?}}}}}]")
}

fn mounted() -> String {
    format!("volumeMounts: [{{name: data, mountPath: /data}}]\n{READY}")
}

/// T25: a host that goes down while a hook runs makes no success of it.
#[test]
fn t025_a_hook_that_the_host_cut_short_has_not_succeeded() {
    let Some(mut course) = Course::open(with_gates) else { return };
    eventually("the hook", || (course.said("said") == "pre v1 begins\n").then_some(()));
    course.host.kill();
    course.podman.loses_power();
    course.host.start();
    let (outcome, reason, _) = course.ends();
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.ends_with("the host went down while it ran"), "{reason}");
    assert_eq!(course.said("said"), "pre v1 begins\n");
}

/// T25: a host that goes down while what was started is looked at says nothing about that: it is started again.
#[test]
fn t025_a_host_that_goes_down_while_a_rollout_is_checked_is_no_verdict() {
    let is_ready = |registry: &str, data: &str| {
        let probe = "exec: {command: [/bin/busybox, test, -e, /data/ready]}";
        let container = format!(
            "volumeMounts: [{{name: data, mountPath: /data}}]\nreadinessProbe: {{{probe}, periodSeconds: 1}}"
        );
        manifests(registry, Web { pod: &volume(data), container: &container, ..Web::default() })
    };
    let Some(mut course) = Course::open(is_ready) else { return };
    course.host.wait_for(
        "it is looked at",
        |fact| matches!(fact, Fact::RolloutStepped(now) if now.step == Checking),
    );
    course.host.kill();
    course.podman.loses_power();
    course.host.start();
    course.lets_go("ready");
    course.completes();
    assert_eq!((course.started(), course.runs()), (1, "v1".to_owned()));
    assert_eq!(course.pods(), "web-0 Running");
}

/// R15: the old instance is gone before the new one is there, also one that does not end by itself; what fails then is
/// replaced by what ran before.
#[test]
fn r015_recreate_ends_the_old_one_before_the_new_one_starts() {
    let Some(mut course) = Course::open(with_gates) else { return };
    for gate in ["pre", "mid", "post"] {
        for version in ["v1", "v2", "v3"] {
            course.lets_go(&format!("{version}-{gate}"));
        }
    }
    course.completes();
    assert_eq!(course.steps(), [Pulling, PreHook, MidHook, StartingNew, Checking, PostHook]);
    // What is played, and which instances run in that moment.
    let played = course.podman.beside("played");
    let lines = format!(
        "if [ \"$1 $2\" = 'kube play' ]; then\n\
           name=$(grep -o '\"name\":\"web-[^\"]*\"' /dev/stdin | head -n 1)\n\
           echo \"$name $({} ps --format '{{{{.Names}}}}' | grep -c main)\" >> {}\n\
         fi\n",
        course.podman.program().display(),
        played.display()
    );
    course.podman.puts_between(&lines);
    course.moves("v2", Program::IgnoresTerm);
    course.completes();
    let steps = [Pulling, PreHook, StoppingOld, MidHook, StartingNew, Checking, PostHook];
    assert_eq!(course.steps(), steps);
    let seen = std::fs::read_to_string(&played).unwrap();
    // The first is made, and never started.
    let wanted = [
        ("web-check", 1),
        ("web-2-hook-pre", 1),
        ("web-2-hook-mid", 0),
        ("web-0", 0),
        ("web-2-hook-post", 1),
    ];
    let wanted = wanted.map(|(name, running)| format!("\"name\":\"{name}\" {running}\n"));
    assert_eq!(seen, wanted.concat());
    assert_eq!(course.runs(), "v2");

    course.moves("v3", Program::NeverReady);
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    let steps = [Pulling, PreHook, StoppingOld, MidHook, StartingNew, Checking, RollingBack];
    assert_eq!(course.steps(), steps);
    assert_eq!((course.runs().as_str(), course.pods().as_str()), ("v2", "web-0 Running"));
    assert!(!course.said("said").contains("post v3"), "{}", course.said("said"));
}

/// R16, D40.1, D40.3: a hook has the image of the new revision, its environment over that of the container, the volumes
/// that it names and the network of the workload; under `Retry` it runs until it succeeds.
#[test]
fn r016_a_hook_is_a_container_beside_the_workload() {
    let open = |registry: &str, data: &str| {
        let say = "read v < /www/index.html; test -e /other && other=mounted; \
                   echo $v $COLOUR $SHAPE $OPENSHIFT_DEPLOYMENT_NAME $OPENSHIFT_DEPLOYMENT_NAMESPACE $other >> /data/said; \
                   test $(busybox grep -c $v /data/said) = 2";
        let fetch = "busybox wget -q -O /data/page http://web:8080/ && test -s /data/page";
        let pre =
            format!("[/bin/sh, -c, '{say}'], env: [{{name: COLOUR, value: red}}], volumes: [data]");
        let pre = format!("pre: {{failurePolicy: Retry, execNewPod: {{command: {pre}}}}}");
        let post = hook("post", "Retry", fetch);
        let spec = format!(
            "strategy: {{type: Rolling, rollingParams: {{timeoutSeconds: 8, {pre}, {post}}}}}"
        );
        let pod = format!(
            "volumes:\n- {{name: data, hostPath: {{path: {data:?}}}}}\n- {{name: other, emptyDir: {{}}}}"
        );
        let container = format!(
            "env: [{{name: COLOUR, value: blue}}, {{name: SHAPE, value: round}}]\n\
             volumeMounts: [{{name: data, mountPath: /data}}, {{name: other, mountPath: /other}}]\n{READY}"
        );
        manifests(registry, Web { spec: &spec, pod: &pod, container: &container, ..Web::default() })
    };
    let Some(mut course) = Course::closed(open) else { return };
    course.host.configure(|text| text.replace("[routes]", "network = \"shop\"\n[routes]"));
    course.podman.run(&["network", "create", "shop"]);
    course.host.start();
    course.completes();
    let once = "v1 red round web-1 shop\n";
    assert_eq!(course.said("said"), once.repeat(2), "it failed, and ran again");
    let told = "completed successfully; before that it failed once: exit status 1";
    let is_told =
        |fact: &Fact| matches!(fact, Fact::RolloutStepped(step) if step.note.ends_with(told));
    assert_eq!(course.host.count(is_told), 1, "{}", course.host.story());
    assert_eq!(course.said("page").trim(), "v1");
    course.moves("v2", Program::Healthy);
    course.completes();
    let again = "v2 red round web-2 shop\n";
    assert_eq!(course.said("said"), once.repeat(2) + &again.repeat(2));
    assert_eq!(course.said("page").trim(), "v2");
    assert_eq!(course.pods(), "web-0 Running");
    let all = course.podman.run(&["pod", "ps", "--format", "{{.Name}}"]);
    assert!(!all.contains("web-1-hook-"), "what hooks left goes with the next rollout: {all}");
}

/// R4, D40.4, X46: a hook that a kill met is joined and runs once; one that met it while the old revision was put back
/// puts it back once.
#[test]
fn r004_x046_a_kill_at_each_hook_and_while_putting_back_converges_once() {
    let Some(mut course) = Course::open(with_gates) else { return };
    let gates = [("pre", PreHook), ("mid", MidHook), ("post", PostHook)];
    let go = |course: &Course, version: &str| {
        for (gate, _) in gates {
            course.lets_go(&format!("{version}-{gate}"));
        }
    };
    go(&course, "v1");
    course.completes();
    for (revision, (gate, step)) in (2..).zip(gates) {
        let version = format!("v{revision}");
        for (other, _) in gates.iter().filter(|(other, _)| *other != gate) {
            course.lets_go(&format!("{version}-{other}"));
        }
        course.moves(&version, Program::Healthy);
        let begins = format!("{gate} {version} begins");
        eventually(&begins, || course.said("said").contains(&begins).then_some(()));
        assert_eq!(course.steps().last(), Some(&step));
        course.host.kill();
        course.host.start();
        go(&course, &version);
        course.completes();
        assert_eq!((course.runs(), course.started()), (version.clone(), revision), "{gate}: once");
        let said = course.said("said");
        for (hook, _) in gates {
            for word in ["begins", "ends"] {
                let line = format!("{hook} {version} {word}\n");
                assert_eq!(said.matches(&line).count(), 1, "killed at {gate}: {line} in {said}");
            }
        }
        assert_eq!(course.pods(), "web-0 Running", "{gate}");
    }
    go(&course, "v5");
    course.moves("v5", Program::NeverReady);
    eventually("it is put back", || (course.steps().last() == Some(&RollingBack)).then_some(()));
    course.host.kill();
    course.host.start();
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("not healthy within 8s: "), "{reason}");
    assert_eq!((course.runs().as_str(), course.pods().as_str()), ("v4", "web-0 Running"));
    assert_eq!(course.started(), 5, "once");
}

/// D38: where it is enabled, a program of the user's own is the rollout: it runs once, its end is that of the rollout, and
/// what it prints is the log.
#[test]
fn d038_a_program_of_the_users_own_is_the_rollout() {
    let open = |registry: &str, _: &str| {
        let line = "echo $WHERE $OPENSHIFT_DEPLOYMENT_NAME $ROLLOUT_IMAGES; \
                    read v < /www/index.html; test $v != v2";
        let spec = format!(
            "strategy: {{type: Custom, customParams: {{image: '{registry}/shop/tool:1', command: [/bin/sh, -c, '{line}'], \
             environment: [{{name: WHERE, value: there}}]}}}}"
        );
        manifests(registry, Web { spec: &spec, ..Web::default() })
    };
    let Some(mut course) = Course::closed(open) else { return };
    course.podman.push("shop/tool:1", "v1", Program::Healthy);
    course.host.configure(|text| format!("custom_strategies = true\n{text}"));
    course.host.start();
    course.completes();
    assert_eq!(course.steps(), [Pulling, PreHook, StartingNew, Checking]);
    assert_eq!(course.pods(), "web-1-deploy Exited", "what it starts is its own affair");
    let logs = course.host.text(&["logs", "-n", "shop", "web-1-deploy"]);
    assert!(logs.starts_with("there web-1 main=") && logs.contains("@sha256:"), "{logs}");
    let status = course.host.text(&["rollout", "status", "-n", "shop", "dc/web"]);
    assert!(status.contains("successfully rolled out"), "{status}");

    // It is not pinned, and what is there is not pulled again.
    let tool = format!("{}/shop/tool:1", course.podman.registry.address());
    course.podman.run(&["rmi", "--force", &tool]);
    course.podman.push("shop/tool:1", "v2", Program::Healthy);
    course.moves("v2", Program::Healthy);
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(reason, "the program of strategy Custom failed: exit status 1");
}

/// R4: what was waited for before a kill counts after it. The note that is left says how long that was; it is made to say
/// that nothing is left of the ten minutes.
#[test]
fn r004_after_a_kill_the_rest_of_the_deadline_is_left() {
    let open = |registry: &str, _: &str| manifests(registry, Web::default());
    let Some(mut course) = Course::open(open) else { return };
    course.completes();
    course.moves("v2", Program::NeverReady);
    let locks = course.host.state().join("locks");
    let noted = || {
        let files = std::fs::read_dir(&locks).unwrap().map(|file| file.unwrap().path());
        let mut found = files.filter(|path| path.extension().is_some_and(|end| end == "waited"));
        let path = found.next()?;
        let text = std::fs::read_to_string(&path).unwrap();
        let (waited, whose) = text.split_once(' ')?;
        Some((path, waited.parse::<u64>().unwrap(), whose.to_owned()))
    };
    let (_, first, _) = eventually("a note", noted);
    eventually("another", || noted().filter(|(_, waited, _)| *waited > first));
    course.host.kill();
    let (path, _, whose) = noted().unwrap();
    std::fs::write(&path, format!("600000 {whose}")).unwrap();
    course.host.start();
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("not healthy within 10m: "), "{reason}");
    assert!(noted().is_none(), "what is over leaves no note");
    assert_eq!(course.runs(), "v1");
}

/// X48: without a probe that says more, what has to run for `minReadySeconds` is watched for as long.
#[test]
fn x048_a_crash_that_comes_late_is_seen_within_the_time_that_it_has_to_run() {
    let open = |registry: &str, _: &str| {
        let spec =
            "minReadySeconds: 13\nstrategy: {type: Rolling, rollingParams: {timeoutSeconds: 60}}";
        manifests(registry, Web { spec, container: "", ..Web::default() })
    };
    let Some(mut course) = Course::open(open) else { return };
    course.completes();
    course.moves("v2", Program::Crashes(11));
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(ENDED.contains(&reason.as_str()), "{reason}");
    assert_eq!((course.runs().as_str(), course.pods().as_str()), ("v1", "web-0 Running"));
}

/// D39b, R6: available is what is ready for `minReadySeconds`; what is so now and then never is, and has no more time than
/// `timeoutSeconds` for it.
#[test]
fn d039b_ready_now_and_then_is_not_available() {
    let open = |registry: &str, data: &str| {
        // Ready at every second look, from the second revision on.
        let look = "read v < /www/index.html; test $v = v1 && exit 0; echo look >> /data/looks; \
                    test $(($(busybox grep -c look /data/looks) % 2)) = 1";
        let probe = format!(
            "readinessProbe: {{exec: {{command: [/bin/sh, -c, '{look}']}}, periodSeconds: 1, failureThreshold: 1}}"
        );
        let container = format!("volumeMounts: [{{name: data, mountPath: /data}}]\n{probe}");
        let spec =
            "minReadySeconds: 5\nstrategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}";
        manifests(
            registry,
            Web { spec, pod: &volume(data), container: &container, ..Web::default() },
        )
    };
    let Some(mut course) = Course::open(open) else { return };
    course.completes();
    course.moves("v2", Program::Healthy);
    let (outcome, reason, rolled_back) = course.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(
        reason.starts_with("not healthy within 8s: container web-0-main is not ready: exec"),
        "{reason}"
    );
    assert!(course.said("looks").lines().count() > 2, "it was ready more than once");
    assert_eq!(course.runs(), "v1");
}

/// R6, X49: a pull may take longer than `timeoutSeconds` while something comes; one that gets nothing for as long is ended
/// and begun again.
#[test]
fn r006_x049_a_slow_pull_goes_on_and_one_that_stands_still_is_begun_again() {
    let open = |registry: &str, _: &str| {
        let spec = "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 6}}";
        manifests(registry, Web { spec, ..Web::default() })
    };
    let Some(mut course) = Course::open(open) else { return };
    course.completes();
    let proxy = FaultProxy::start(&course.podman.registry.address());
    let pulls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&pulls);
    let order = std::sync::atomic::Ordering::SeqCst;
    proxy.break_with(move |seen| {
        if seen.path == "/v2/" {
            counted.fetch_add(1, order);
        }
        let is_first = counted.load(order) == 1;
        let pace = if is_first { Fault::Stuck } else { Fault::Slow };
        seen.path.contains("/blobs/").then_some(pace)
    });
    course.podman.pulls_through(&proxy.address());
    // Slow, it takes some nine seconds or more.
    course.podman.weighs(2_000_000);
    course.moves("v2", Program::Healthy);
    course.completes();
    assert_eq!((pulls.load(order), course.runs().as_str()), (2, "v2"));
    assert_eq!(course.steps()[0], RolloutStep::Pulling);
}

/// D45: who watches from a terminal sees each step when it is taken, and the end.
#[test]
fn d045_on_a_terminal_each_step_is_told_as_it_comes() {
    let Some(mut course) = Course::open(with_gates) else { return };
    if crate::support::need("script").is_none() {
        return;
    }
    for gate in ["pre", "mid", "post"] {
        course.lets_go(&format!("v1-{gate}"));
    }
    course.completes();
    course.moves("v2", Program::Healthy);
    eventually("the hook before", || course.said("said").contains("pre v2 begins").then_some(()));

    let watch = course.host.tidegate(&["rollout", "status", "dc/web", "-n", "shop", "-w"]);
    let words: Vec<_> = watch.get_args().map(|word| word.to_str().unwrap()).collect();
    let line = format!("{} {}", watch.get_program().to_str().unwrap(), words.join(" "));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear();
    terminal.envs(watch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |wanted: &str| {
        let mut seen = Vec::new();
        for line in shown.by_ref().map_while(Result::ok) {
            seen.push(line.trim_end().to_owned());
            if line.contains(wanted) {
                return seen.join("\n");
            }
        }
        panic!("no {wanted} in {seen:?}")
    };
    // Each is told while the hook after it waits for us: nothing is kept back for the end.
    until("revision 2: PreHook");
    course.lets_go("v2-pre");
    let told = until("revision 2: MidHook");
    assert!(told.contains("The pre-hook for rc shop/web-2 completed successfully"), "{told}");
    assert!(told.contains("revision 2: StoppingOld"), "{told}");
    course.lets_go("v2-mid");
    let told = until("revision 2: PostHook");
    for part in ["StartingNew", "Checking", "  healthy after "] {
        assert!(told.contains(part), "{part} in {told}");
    }
    course.lets_go("v2-post");
    until("replication controller \"web-2\" successfully rolled out");
    assert!(child.wait().unwrap().success());
    course.completes();
}
