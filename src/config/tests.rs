//! Tests of the whole; those of the parts are with them.

use super::*;
use crate::names::ObjectKey;
use crate::policy::{Counted, CrossNamespace, OnInvalid, RegistryMode, Transport};
use crate::world::build::Isolation;

mod openshift;

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::io::Write::write_all(&mut std::fs::File::create(file).unwrap(), text.as_bytes()).unwrap();
    folder
}

fn load_text(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
    let folder = folder(text);
    let environment = Environment {
        variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        work_folder: folder.path().to_owned(),
    };
    let arguments = SettingArguments {
        set: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ..SettingArguments::default()
    };
    let shown =
        |error: ConfigError| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    load_with(&arguments.flags(None), &environment).map_err(shown)
}

fn errors(text: &str) -> String {
    load_text(text, &[], &[]).unwrap_err()
}

fn setting<'a>(config: &'a Config, key: &str) -> &'a Setting {
    config.settings.iter().find(|setting| setting.key == key).unwrap()
}

const FULL: &str = include_str!("full.toml");

#[test]
fn all_tags_of_a_repository_are_minus_one() {
    let limit = |text: &str| {
        let text = format!("[imports]\nmax_images_bulk_imported_per_repository = {text}\n");
        load_text(&text, &[], &[]).map(|config| config.policy.tag_limit.tags())
    };
    assert_eq!(limit("-1").unwrap(), usize::MAX);
    assert_eq!(limit("7").unwrap(), 7);
    let error = limit("0").unwrap_err().to_string();
    assert!(error.contains("expected a number of tags, `-1` for all"), "{error}");
}

#[test]
fn every_key_is_read() {
    let config = load_text(FULL, &[], &[]).unwrap();
    let base = config.file.clone().unwrap().parent().unwrap().to_owned();
    assert_eq!(config.state_dir, base.join("state"));
    assert_eq!(config.control_socket, base.join("c.sock"));
    assert_eq!(config.source.repository, base.join("../manifests").display().to_string());
    assert_eq!(config.source.paths, ["apps", "infra/base"]);
    assert_eq!([config.source.poll, config.source.timeout].map(|span| span.as_secs()), [30, 120]);
    assert_eq!(config.source.ssh_command.as_deref(), Some("ssh -F /etc/tidegate/ssh"));
    assert_eq!(config.registries.ca_files["localhost:5000"], base.join("ca.pem"));
    let policy = &config.policy;
    let namespace = policy.default_namespace.as_str();
    assert_eq!((policy.on_invalid, namespace), (OnInvalid::Refuse, "shop"));
    assert_eq!(policy.platform.to_string(), "linux/arm64");
    assert_eq!(policy.namespaces["apps/web"].as_str(), "web");
    assert_eq!(policy.parameters["apps/db.yaml"]["SIZE"], "3.10");
    assert_eq!(policy.import_interval, Duration::from_secs(300));
    assert!(!policy.scheduled_imports && policy.strict_openshift && policy.custom_strategies);
    assert_eq!(policy.settle, Duration::from_secs(3));
    let open = CrossNamespace::From(["openshift".parse().unwrap()].into());
    assert_eq!(policy.cross_namespace, open);
    let in_flight = (policy.checks_in_flight_max, policy.rollouts_in_flight_max);
    assert_eq!((in_flight, policy.prune_objects_max), ((8, 1), 0));
    assert!(policy.insecure_registries.contains("localhost:5000"));
    let limit = policy.registry_limits["localhost:5000"];
    assert_eq!((limit.to_string().as_str(), limit.counted), ("600/1h", Counted::All));
    assert_eq!((limit.reserved(), limit.assumed), (60, false));
    let rates = (policy.registry_rates["localhost:5000"].get(), policy.scheduled_per_minute);
    assert_eq!((rates.0, rates.1.map(u32::from)), (30, Some(60)));
    let integrated = policy.integrated_registry.as_ref().unwrap();
    assert_eq!(integrated.mode, RegistryMode::PullThrough);
    assert_eq!(integrated.public_address.as_deref(), Some("images.example.com"));
    let stream = "shop/web".parse().unwrap();
    assert_eq!(integrated.repository(&stream), "registry.example.com:5000/shop/web");
    assert_eq!(policy.image_size_limits, [("web".parse().unwrap(), 500 << 20)].into());
    assert_eq!(policy.routes.default.as_ref().unwrap().as_str(), "script");
    assert_eq!(policy.routes.namespaces[&"web".parse().unwrap()].as_str(), "hook");
    let object: ObjectKey = "DeploymentConfig/shop/web".parse().unwrap();
    assert_eq!(policy.routes.objects[&object].as_str(), "none");
    let script: TargetName = "script".parse().unwrap();
    assert_eq!(policy.targets[&script], Duration::from_secs(120));
    let TargetConfig::Exec(exec) = &config.targets[&script] else { panic!("not exec") };
    assert_eq!(exec.program, base.join("roll-out"));
    assert_eq!(config.log.format, LogFormat::Json);
    let builder = &config.builder;
    assert_eq!((&builder.buildah, builder.isolation), (&base.join("buildah"), Isolation::Oci));
    assert_eq!(builder.log_bytes_max, 1 << 20);
    let listener = config.listener.as_ref().unwrap();
    assert_eq!(listener.address, ListenAddress::Unix(base.join("hooks.sock")));
    let registry = &listener.hooks["registry"];
    assert_eq!(registry.secret.as_ref().unwrap().0, base.join("registry.secret"));
    assert_eq!(registry.hook.header, "x-token");
    assert_eq!(registry.hook.registry.as_deref(), Some("registry.example.com:5000"));
    assert!(listener.hooks["open"].secret.is_none());
    // Every pattern of the table is set above, so none can be forgotten by the reader.
    for doc in KEYS {
        let pattern: Vec<&str> = doc.pattern.split('.').collect();
        let is_set = config.settings.iter().any(|setting| {
            let path =
                setting.key.split('"').enumerate().map(|(index, part)| {
                    if index % 2 == 1 { "*".to_owned() } else { part.to_owned() }
                });
            let path = path.collect::<String>();
            let path: Vec<&str> = path.split('.').collect();
            path.len() == pattern.len()
                && path
                    .iter()
                    .zip(&pattern)
                    .all(|(own, own_pattern)| *own_pattern == "*" || own == own_pattern)
        });
        // OpenShift's own block sets keys of ours; it has a test of its own.
        assert!(is_set || doc.pattern.starts_with("compat."), "{}", doc.pattern);
    }
}

#[test]
fn without_a_file_everything_has_its_default() {
    let empty = tempfile::tempdir().unwrap();
    let environment =
        Environment { work_folder: empty.path().to_owned(), ..Environment::default() };
    let config = load_with(&Flags::default(), &environment).unwrap();
    let mut expected = Policy::default();
    expected.targets.insert("none".parse().unwrap(), crate::limits::ROLLOUT_TIMEOUT);
    assert_eq!(config.policy, expected);
    assert_eq!(config.state_dir, Path::new("/var/lib/tidegate"));
    assert_eq!(config.control_socket, Path::new("/run/tidegate/control.sock"));
    assert!(config.settings.iter().all(|setting| setting.origin == Origin::Default));
    let asked = Flags { config: Some("other.toml".into()), ..Flags::default() };
    assert!(matches!(load_with(&asked, &environment), Err(ConfigError::Read { .. })));
}

#[test]
fn a_flag_beats_a_variable_beats_the_file() {
    let text = "[imports]\ninterval = \"5m\"\n[rollouts]\nin_flight = 3\n[log]\nlevel = \"warn\"\n";
    let variables = [("TIDEGATE_IMPORTS__INTERVAL", "6m"), ("TIDEGATE_ROLLOUTS__IN_FLIGHT", "4")];
    let config = load_text(text, &variables, &["imports.interval=7m"]).unwrap();
    assert_eq!(config.policy.import_interval, Duration::from_secs(420));
    assert_eq!(config.policy.rollouts_in_flight_max, 4);
    assert_eq!(setting(&config, "imports.interval").origin.to_string(), "flag --set");
    let variable = &setting(&config, "rollouts.in_flight").origin;
    assert_eq!(variable.to_string(), "env TIDEGATE_ROLLOUTS__IN_FLIGHT");
    let Origin::File { line, .. } = &setting(&config, "log.level").origin else {
        panic!("no file")
    };
    assert_eq!(*line, 6);
    assert_eq!(setting(&config, "source.branch").origin.to_string(), "default");
    let log = load_text(text, &[("TIDEGATE_LOG", "debug")], &[]).unwrap();
    assert_eq!(log.log.level, "debug");
    let host = load_text("", &[], &["registries.\"localhost:5000\".insecure=true"]).unwrap();
    assert!(host.policy.insecure_registries.contains("localhost:5000"));
}

#[test]
fn the_folders_of_systemd_are_defaults() {
    let credentials = tempfile::tempdir().unwrap();
    for name in ["auth.json", "hook.secret", "other"] {
        std::fs::File::create(credentials.path().join(name)).unwrap();
    }
    let variables = [
        ("STATE_DIRECTORY", "/var/lib/private/tidegate:/var/lib/more"),
        ("RUNTIME_DIRECTORY", "/run/tg"),
        ("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap()),
    ];
    let text = "[targets.hook]\nkind = \"webhook\"\nurl = \"http://localhost/\"\n\
                [targets.b]\nkind = \"webhook\"\nurl = \"http://localhost/\"\nsecret_file = \"other\"\n";
    let config = load_text(text, &variables, &[]).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/private/tidegate"));
    assert_eq!(config.control_socket, Path::new("/run/tg/control.sock"));
    assert_eq!(config.registries.auth_files, [credentials.path().join("auth.json")]);
    for (name, file) in [("hook", "hook.secret"), ("b", "other")] {
        let target = &config.targets[&name.parse::<TargetName>().unwrap()];
        let TargetConfig::Webhook(hook) = target else { panic!("no webhook") };
        assert_eq!(hook.secret.as_ref().unwrap().0, credentials.path().join(file));
    }
    // Set by hand, daemon and commands agree without RUNTIME_DIRECTORY.
    let own = load_text("state_dir = \"/srv/tg\"", &variables, &[]).unwrap();
    assert_eq!(own.control_socket, Path::new("/srv/tg/control.sock"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let text = "[imports]\nintervall = \"5m\"\n\n[import]\nmode = \"Legacy\"\n[quux]\na = 1\n\
                [targets.hook]\nkind = \"none\"\ncomand = [\"x\"]\n[source.branch]\nx = 1\n";
    insta::assert_snapshot!(errors(text), @r"
    DIR/tidegate.toml:2: `imports.intervall`: is not known; did you mean `imports.interval`?
    DIR/tidegate.toml:4: `import`: is not a section; did you mean `imports`?
    DIR/tidegate.toml:6: `quux`: is not a section; `tidegate config --keys` lists all keys
    DIR/tidegate.toml:10: `targets.hook.comand`: is not known; did you mean `targets.hook.command`?
    DIR/tidegate.toml:11: `source.branch`: is not a section; `tidegate config --keys` lists all keys
    ");
    insta::assert_snapshot!(load_text("", &[("TIDEGATE_IMPORTS__INTERVALL", "5m")], &[]).unwrap_err(), @"env TIDEGATE_IMPORTS__INTERVALL: `TIDEGATE_IMPORTS__INTERVALL`: is not a variable of any key; did you mean `TIDEGATE_IMPORTS__INTERVAL`?");
    insta::assert_snapshot!(load_text("", &[], &["imports.intervl=1m"]).unwrap_err(), @"flag --set: `imports.intervl`: is not known; did you mean `imports.interval`?");
    // What Kubernetes sets for a service of our name is not ours; a slip is at least told.
    let variables = [("TIDEGATE_PORT_80_TCP", "tcp://10.0.0.1:80"), ("TIDEGATE_STATEDIR", "x")];
    let config = load_text("", &variables, &[]).unwrap();
    insta::assert_snapshot!(config.warnings.join("\n"), @"variable `TIDEGATE_STATEDIR` is not known; did you mean `TIDEGATE_STATE_DIR`?");
}

#[test]
fn a_wrong_value_is_refused_with_its_line_and_what_to_do() {
    let text = r#"default_platform = "arm"
strict_openshift = "yes"
[source]
poll = 30
paths = "apps"
on_invalid = "ignore"
[source.namespaces]
"x" = "Web"
[imports]
interval = "5s"
[registries]
checks_in_flight = 0
[targets.a]
[targets.b]
kind = "webhook"
command = ["x"]
[targets.c]
kind = "exec"
[targets.d]
kind = "docker"
[targets.e]
kind = "webhook"
url = "ftp://host/"
[targets.f]
kind = "webhook"
url = "https://me:pw@host/"
headers = { Host = "x", "a b" = "y" }
[routes]
default = "hook"
[routes.objects]
"ImageStream/a/b" = "none"
"Route/a/b" = "none"
[log]
level = "loud=x"
"#;
    insta::assert_snapshot!(errors(text), @r#"
    DIR/tidegate.toml:1: `default_platform`: `arm` is not a platform: write it like `linux/arm64`
    DIR/tidegate.toml:2: `strict_openshift`: expected true or false, found the text "yes"
    DIR/tidegate.toml:4: `source.poll`: a span needs a unit: write "30s" or "30m"
    DIR/tidegate.toml:5: `source.paths`: expected a list like ["a", "b"], found the text "apps"
    DIR/tidegate.toml:6: `source.on_invalid`: `ignore` is not one of `hold`, `refuse`
    DIR/tidegate.toml:8: `source.namespaces.x`: `Web` is not a namespace: a namespace has lower-case letters, digits and `-`, and no `-` at either end (RFC 1123 label)
    DIR/tidegate.toml:10: `imports.interval`: `5s` is too short: write at least "10s"
    DIR/tidegate.toml:12: `registries.checks_in_flight`: expected a number of at least 1, found the number 0
    DIR/tidegate.toml:13: `targets.a`: needs a `kind`: `none`, `exec`, `webhook`, `podman` or `quadlet`
    DIR/tidegate.toml:14: `targets.b`: a webhook target needs `url`, like "https://host/hook"
    DIR/tidegate.toml:16: `targets.b.command`: has no meaning for this kind of target: remove it
    DIR/tidegate.toml:17: `targets.c`: an exec target needs `command`, like ["/usr/local/bin/roll-out"]
    DIR/tidegate.toml:20: `targets.d.kind`: `docker` is not one of `none`, `exec`, `webhook`, `podman`, `quadlet`
    DIR/tidegate.toml:23: `targets.e.url`: expected an http or https URL, found `ftp`
    DIR/tidegate.toml:26: `targets.f.url`: put no password into the URL: use `headers` or `secret_file`
    DIR/tidegate.toml:27: `targets.f.headers.Host`: this header is Tidegate's own
    DIR/tidegate.toml:27: `targets.f.headers."a b"`: `a b` is not the name of a header
    DIR/tidegate.toml:29: `routes.default`: there is no target `hook`: there are `a`, `b`, `c`, `d`, `e`, `f`, `none`
    DIR/tidegate.toml:31: `routes.objects."ImageStream/a/b"`: no `ImageStream` is ever rolled out: remove it
    DIR/tidegate.toml:32: `routes.objects."Route/a/b"`: `Route` is not a kind: Tidegate does not act on it
    DIR/tidegate.toml:34: `log.level`: `loud=x` is not a level or filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    "#);
}

#[test]
fn what_is_no_toml_names_its_line() {
    insta::assert_snapshot!(errors("[imports]\ninterval = 5m\n"), @"DIR/tidegate.toml:2: string values must be quoted, expected literal string");
    insta::assert_snapshot!(errors("a = 1\na = 2\n"), @"DIR/tidegate.toml:2: duplicate key");
}

#[test]
fn no_secret_is_shown_or_hashed() {
    let text = format!("{FULL}\n").replace("../manifests", "https://bot:hunter2@git.example.com/m");
    let config = load_text(&text, &[], &[]).unwrap();
    let shown =
        format!("{:?}", config.settings) + &format!("{:?} {:?}", config.source, config.targets);
    assert!(!shown.contains("hunter2") && !shown.contains("token=abc"), "{shown}");
    assert_eq!(setting(&config, "targets.hook.headers.Authorization").value, "***");
    assert_eq!(config.source.repository, "https://bot:hunter2@git.example.com/m");
}

#[test]
fn the_hash_follows_values_and_not_where_they_stand() {
    let file = load_text("[log]\nlevel = \"warn\"\n", &[], &[]).unwrap();
    let flag = load_text("", &[], &["log.level=warn"]).unwrap();
    assert_eq!(file.adopted().hash, flag.adopted().hash);
    assert_ne!(file.adopted().hash, load_text("", &[], &[]).unwrap().adopted().hash);
}

#[test]
fn logins_are_looked_for_where_podman_and_docker_keep_them_in_their_order() {
    let files = |variables: &[(&str, &str)]| {
        let files = load_text("", variables, &[]).unwrap().registries.auth_files;
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
    };
    let home = ("HOME", "/home/anna");
    let own = ["/home/anna/.config/containers/auth.json", "/home/anna/.docker/config.json"];
    assert_eq!(files(&[]), [""; 0]);
    assert_eq!(files(&[home]), own);
    let all = files(&[home, ("XDG_RUNTIME_DIR", "/run/user/7"), ("DOCKER_CONFIG", "/docker")]);
    let run = "/run/user/7/containers/auth.json";
    assert_eq!(all, [run, own[0], "/docker/config.json", own[1]]);
    let named = files(&[home, ("REGISTRY_AUTH_FILE", "/elsewhere/auth.json")]);
    assert_eq!(named, ["/elsewhere/auth.json"]);
    let settings = load_text(FULL, &[home], &[]).unwrap().registries;
    assert!(matches!(&settings.certs_folders[..], [own] if own.ends_with("certs.d")));
    let secrets = settings.secrets.unwrap();
    assert!(secrets.path.ends_with("secrets") && secrets.default_namespace.as_str() == "shop");
}

#[test]
fn docker_hub_has_a_limit_until_another_is_given() {
    let limits = |text: &str| {
        let limits = load_text(text, &[], &[]).map(|config| config.policy.registry_limits);
        limits.map(|limits| {
            limits
                .iter()
                .map(|(host, limit)| format!("{host} {limit}"))
                .collect::<Vec<_>>()
                .join(", ")
        })
    };
    assert_eq!(limits("").unwrap(), "registry-1.docker.io 100/6h");
    let own = "[registries.\"docker.io\"]\nlimit = \"200/6h\"\n[registries.\"quay.io\"]\nlimit = \"5/1s\"\n";
    assert_eq!(limits(own).unwrap(), "quay.io 5/1s, registry-1.docker.io 200/6h");
    assert_eq!(limits("[registries.\"docker.io\"]\nlimit = \"none\"\n").unwrap(), "");
    let wrong = limits("[registries.\"docker.io\"]\nlimit = \"many\"\n").unwrap_err();
    let expected = "`many` is no limit: a limit is a number of requests and a time, like \"100/6h\", or \"none\"";
    assert!(wrong.contains(expected), "{wrong}");
}

#[test]
fn registries_conf_is_where_podman_looks_unless_it_is_named() {
    let conf = |text: &str, variables: &[(&str, &str)]| {
        let settings = load_text(text, variables, &[]).unwrap().registries;
        let folders: Vec<_> =
            settings.conf_folders.iter().map(|path| path.display().to_string()).collect();
        (settings.conf, folders.join(" "))
    };
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".config/containers");
    let home = ("HOME", home.path().to_str().unwrap());
    let folders = format!("/etc/containers/registries.conf.d {}/registries.conf.d", own.display());
    assert_eq!(conf("", &[home]).1, folders);
    std::fs::create_dir_all(&own).unwrap();
    std::fs::File::create(own.join("registries.conf")).unwrap();
    assert_eq!(conf("", &[home]), (Some(own.join("registries.conf")), folders));
    let variable = ("CONTAINERS_REGISTRIES_CONF", "/x/r.conf");
    assert_eq!(conf("", &[home, variable]), (Some("/x/r.conf".into()), "/x/r.conf.d".into()));
    let named = "[registries]\nconf = \"/y/r.conf\"\n";
    assert_eq!(conf(named, &[home, variable]), (Some("/y/r.conf".into()), "/y/r.conf.d".into()));
    let config = load_text("", &[home], &["registries.short_names=registries.conf"]).unwrap();
    assert_eq!(config.registries.short_names, ShortNames::RegistriesConf);
}

#[test]
fn allowed_registries_are_taken_from_either_key() {
    let block = "[compat.imagePolicyConfig]\nallowedRegistriesForImport = [{domainName = \"quay.io\"}, \
        {DomainName = \"plain.io\", Insecure = true}, {domainName = \"r.io:5000\", insecure = true}]\n";
    let config = load_text(block, &[], &[]).unwrap();
    let shown =
        config.policy.allowed_registries.admit(&"x.io/a".parse().unwrap(), Transport::Secure);
    assert!(shown.unwrap_err().ends_with(r#""quay.io:443", "plain.io:80", "r.io:5000""#));
    let ours = format!("{block}[imports]\nallowed_registries = [\"x.io\", \"quay.io/team\"]\n");
    let config = load_text(&ours, &[], &[]).unwrap();
    let admit = |image: &str| {
        config.policy.allowed_registries.admit(&image.parse().unwrap(), Transport::Secure)
    };
    assert!(admit("x.io/a").is_ok() && admit("quay.io/team/a").is_err());
    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert!(warning.contains("`quay.io/team` never matches"), "{warning}");
}

#[test]
fn a_listener_is_off_unless_it_is_set_and_every_hook_has_a_secret() {
    assert!(load_text("", &[], &[]).unwrap().listener.is_none());
    let hook = |rest: &str| {
        format!("[listener]\naddress = \"127.0.0.1:8077\"\n[listener.hooks.a]\n{rest}")
    };
    let text = hook("kind = \"quay\"\n");
    insta::assert_snapshot!(errors(&text), @"DIR/tidegate.toml:3: `listener.hooks.a`: needs a secret: write `secret_file`, or hand `a.secret` over as a credential of systemd");
    let text = hook("kind = \"notify-push\"\nsecret = \"none\"\n");
    insta::assert_snapshot!(errors(&text), @"DIR/tidegate.toml:5: `listener.hooks.a.secret`: who may say what a tag is has to prove itself: write `secret_file` instead");
    let text = hook("kind = \"generic\"\nsecret = \"hunter2\"\n");
    let told = errors(&text);
    assert!(
        told.contains("`listener.hooks.a.secret`: a secret does not stand in this file"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    let text = hook("kind = \"generic\"\nsecret = \"none\"\n").replace("127.0.0.1", "0.0.0.0");
    assert!(errors(&text).contains("others than this host reach the listener"));
    // A credential of systemd is a secret as well, and one of the file is for another kind.
    let credentials = tempfile::tempdir().unwrap();
    let path = credentials.path().join("a.secret");
    std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), b"x").unwrap();
    let folder = credentials.path().display().to_string();
    let variables = [("CREDENTIALS_DIRECTORY", folder.as_str())];
    let config = load_text(&hook("kind = \"quay\"\n"), &variables, &[]).unwrap();
    let hooks = config.listener.unwrap().hooks;
    assert_eq!(hooks["a"].secret.as_ref().unwrap().0, path);
}

#[test]
fn a_listener_that_others_reach_is_warned_of_and_hooks_without_one_as_well() {
    let text = "[listener]\naddress = \"[::]:8077\"\n[listener.hooks.a]\nkind = \"github\"\nsecret_file = \"s\"\n";
    let config = load_text(text, &[], &[]).unwrap();
    assert!(config.warnings[0].contains("there is no TLS"), "{:?}", config.warnings);
    let config = load_text(&text.replace("address", "#"), &[], &[]).unwrap();
    assert!(config.listener.is_none());
    assert!(
        config.warnings[0].contains("nothing listens for these hooks"),
        "{:?}",
        config.warnings
    );
}
