//! What fuzz targets do with what buildah is given.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::builds::{
    Edits, Injection, Provenance, S2i, Script, UidRanges, assemble_user, edit, environment,
    ignored, images_read, kept_secrets, log_snippet, script_plan,
};
use tidegate::fact::SourceRevision;

/// Lines `%%WORD VALUE` and the rest; in a value `\n` is a line break.
fn split(text: &str) -> (Vec<(&str, String)>, String) {
    let (mut words, mut rest) = (Vec::new(), String::new());
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("%%") {
            Some(line) => {
                let line = line.trim_end_matches('\n');
                let (word, value) = line.split_once(' ').unwrap_or((line, ""));
                words.push((word, value.replace("\\n", "\n")));
            }
            None => rest.push_str(line),
        }
    }
    (words, rest)
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn one_line(text: &str) {
    assert!(!text.is_empty() && text.len() < 5_000 && !text.contains('\n'), "{text:?}");
}

/// A Dockerfile, and what is changed in it: `%%from`, `%%image`, `%%env`, `%%label`, `%%arg`.
///
/// Without changes it stays as it is. What is added reads no image, and whatever is read can be replaced.
pub(crate) fn containerfile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (words, text) = split(text);
    let mut edits = Edits::default();
    let (mut args, mut images) = (BTreeMap::new(), BTreeMap::new());
    for (word, value) in words {
        match word {
            "from" => edits.from = Some(value),
            "env" => edits.env.push(pair(&value)),
            "image" => images.extend([pair(&value)]),
            "label" => edits.end_labels.extend([pair(&value)]),
            "arg" => args.extend([pair(&value)]),
            _ => {}
        }
    }
    edits.end_env = edits.env.iter().cloned().collect();
    let plain = match edit(&text, &Edits::default()) {
        Ok(same) => same,
        Err(why) => {
            one_line(&why.to_string());
            assert!(edit(&text, &edits).is_err());
            return;
        }
    };
    assert_eq!(plain, text, "nothing is changed");
    let read = images_read(&text, &args).expect("it has a `FROM`");
    let from = edits.from.take();
    match edit(&text, &edits) {
        Ok(edited) => {
            assert_eq!(images_read(&edited, &args).as_ref(), Ok(&read), "{edited}");
            assert_eq!(edit(&edited, &Edits::default()).as_ref(), Ok(&edited));
        }
        Err(why) => one_line(&why.to_string()),
    }
    let names = read.iter().map(|one| (one.written.clone(), "pinned:1".to_owned()));
    let pins = Edits { images: names.collect(), ..edits.clone() };
    if let Ok(edited) = edit(&text, &pins) {
        let left = images_read(&edited, &args).expect("it has a `FROM`");
        assert!(left.iter().all(|one| one.written == "pinned:1"), "{left:?}");
    }
    let edits = Edits { from, images, ..edits };
    assert_eq!(edit(&text, &edits), edit(&text, &edits), "changing it twice");
}

/// A build of the Source strategy, a line `%%WORD VALUE` for each part; the rest is a `.s2iignore`, an environment and a log.
///
/// Its Dockerfile reads the images that it is of and no other, has the instructions that it has to have and no other, and
/// is one that can be changed.
pub(crate) fn s2i(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (words, rest) = split(text);
    files(&words, &rest);
    let mut build = S2i::default();
    let mut revision = SourceRevision::default();
    for (word, value) in words {
        match word {
            "builder" => build.builder.reference = value,
            "user" => build.builder.user = value,
            "folder" => build.builder.work_folder = value,
            "variable" => build.builder.env.push(value),
            "label" => build.builder.labels.extend([pair(&value)]),
            "scripts" => build.scripts = Some(value),
            "uploaded" => {
                let script = Script::ALL.into_iter().find(|script| script.as_str() == value);
                build.uploaded.extend(script);
            }
            "previous" => build.previous = Some(value),
            "env" => build.env.push(pair(&value)),
            "output-label" => build.image_labels.extend([pair(&value)]),
            "name" => build.provenance.name = value,
            "source" => build.provenance.source = Some(value),
            "reference" => build.provenance.reference = Some(value),
            "context" => build.provenance.context_dir = Some(value),
            "message" => revision.message = value,
            "author" => revision.author = value,
            "secret" | "config" => {
                let files = vec!["a".to_owned(), value.clone()];
                build.injections.push(Injection {
                    is_secret: word == "secret",
                    destination: value,
                    files,
                });
            }
            "uids" => build.allowed_uids = UidRanges::parse(&value).unwrap_or_default(),
            _ => {}
        }
    }
    build.environment = environment(&rest).values;
    build.provenance.revision = Some(revision);
    is_without_login(&build.provenance);
    let text = match build.dockerfile() {
        Ok(text) => text,
        Err(why) => return one_line(&why.to_string()),
    };
    assert!(build.allowed_uids.allow(&assemble_user(&build.builder)));
    script_plan(build.scripts.as_deref(), &build.builder).expect("there are scripts");
    let read = images_read(&text, &BTreeMap::new()).expect("it has a `FROM`");
    let mut images: Vec<&String> =
        build.previous.iter().chain([&build.builder.reference]).collect();
    images.dedup();
    images.retain(|image| *image != "scratch");
    let found: Vec<&String> = read.iter().map(|one| &one.written).collect();
    // A builder image can be called as the stage before it.
    let is_stage = build.previous.is_some() && found.len() < images.len();
    assert!(found == images || is_stage, "{text}");
    assert_eq!(edit(&text, &Edits::default()).as_ref(), Ok(&text));
    has_its_instructions(&build, &text);
}

fn has_its_instructions(build: &S2i, text: &str) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut is_inside = false;
    for line in text.lines() {
        let word = line.split(' ').next().unwrap_or_default();
        if !is_inside && !line.starts_with('#') {
            *counts.entry(word).or_default() += 1;
        }
        is_inside = line.ends_with('\\') && !line.starts_with('#');
    }
    let stages = 1 + usize::from(build.previous.is_some());
    let secrets = build.injections.iter().any(|one| one.is_secret);
    assert_eq!(counts.remove("FROM"), Some(stages), "{text}");
    assert_eq!(counts.remove("LABEL"), Some(1), "{text}");
    assert!(counts.remove("ENV").is_none_or(|count| count == 1), "{text}");
    assert_eq!(counts.remove("CMD"), Some(1), "{text}");
    let runs = 1 + usize::from(secrets) + 2 * (stages - 1);
    assert_eq!(counts.remove("RUN"), Some(runs), "{text}");
    assert!(counts.remove("USER").is_none_or(|count| count == stages), "{text}");
    assert!(counts.remove("COPY").is_some_and(|count| count > build.injections.len()), "{text}");
    assert!(counts.is_empty(), "{counts:?} {text}");
}

/// Everywhere but behind the host, there is no `@` that something stands before.
fn is_without_login(provenance: &Provenance) {
    let env = provenance.env();
    let Some(source) = env.get("OPENSHIFT_BUILD_SOURCE") else { return };
    if let Some((scheme, rest)) = source.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let login = host.rsplit_once('@').map_or("", |(login, _)| login);
        let is_ssh = scheme.to_ascii_lowercase().contains("ssh");
        assert!(login.is_empty() || is_ssh && !login.contains(':'), "{source}");
    }
}

/// Files of the sources that are ignored are among them; what is read of the environment can be a variable.
fn files(words: &[(&str, String)], rest: &str) {
    let paths = words.iter().filter(|(word, _)| *word == "path");
    let paths: BTreeSet<String> = paths.map(|(_, value)| value.clone()).collect();
    let gone = ignored(rest, &paths);
    assert!(gone.is_subset(&paths));
    assert_eq!(ignored(rest, &paths), gone, "ignoring twice");
    let read = environment(rest);
    let names: Vec<_> = read.values.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| !name.contains(|c: char| c.is_whitespace() || c == '=')));
    assert!(kept_secrets(names.iter().copied()).len() <= names.len());
    let snippet = log_snippet(rest);
    assert!(snippet.split('\n').count() <= 5);
    assert!(snippet.split('\n').all(|line| line.chars().count() <= 120));
}
