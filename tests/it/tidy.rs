//! The code base is tested, too: layering, sizes, rules, examples, commands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

/// Lines of code of a file before its test module: comments and blank lines do not count.
const FILE_LINES_MAX: usize = 500;

/// Lines of code of a function.
const FUNCTION_LINES_MAX: usize = 70;

/// Columns of code; what rustfmt cannot break, such as a string, may be longer.
const CODE_WIDTH: usize = 100;

/// Columns of a comment.
const COMMENT_WIDTH: usize = 124;

const VOCABULARY: &[&str] = &[
    "action",
    "api",
    "builds",
    "dense",
    "fact",
    "limits",
    "names",
    "pods",
    "policy",
    "reference",
    "sabotage",
    "secret",
    "time",
];

/// The core, from below: each row may use itself and the rows before it. Where a row has several modules that must not
/// use each other, they stand in rows of `APART`.
const CORE: &[&[&str]] = &[
    VOCABULARY,
    &["desired", "observed", "hook"],
    &["effective"],
    &["plan", "admit"],
    &["engine", "report", "oc"],
    &["edit"],
    &["scaffold"],
];

/// The shell, from below, in the same way; all of it stands on the core, and on the journal but for the world.
const SHELL: &[&[&str]] = &[
    &["world"],
    &["config", "telemetry"],
    &["daemon", "control", "listener"],
    &["cli"],
    &["main", "lib"],
];

/// Arrows that the rows would allow and the drawing has not.
const APART: &[(&str, &str)] = &[
    ("observed", "desired"),
    ("desired", "hook"),
    ("observed", "hook"),
    ("hook", "desired"),
    ("hook", "observed"),
    ("desired", "observed"),
    ("plan", "admit"),
    ("engine", "report"),
    ("oc", "desired"),
    ("oc", "observed"),
    ("oc", "effective"),
    ("oc", "plan"),
    ("oc", "engine"),
    ("edit", "engine"),
    ("edit", "plan"),
    ("scaffold", "engine"),
    ("scaffold", "plan"),
    ("scaffold", "report"),
];

/// Words that the core must not know.
const OUTSIDE: &[&str] =
    &["tokio", "std::fs", "std::env", "std::net", "std::process", "SystemTime", "Instant::now"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` whose name ends with `end`, with its text.
fn files(folder: &str, end: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_owned(), text);
            }
        }
    }
    found
}

/// Both source folders.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut all = files("src", ".rs");
    assert!(!all.is_empty(), "no sources found");
    all.append(&mut files("tests", ".rs"));
    all
}

/// The text of a file before its test module.
fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The top module of a file under `src/`.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The top modules that a text names, `depth` modules below the root: by `crate::`, alone or in braces, or by as many
/// `super::` as lead to the root.
fn used(text: &str, depth: usize) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let up = "super::".repeat(depth);
    let named = code.split("crate::").skip(1);
    let above = code.split(up.as_str()).skip(1).filter(|rest| !rest.starts_with("super::"));
    named.chain(above).flat_map(names).collect()
}

/// The names that a path goes on with: one, or those of a group in braces.
fn names(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(word(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if c == '}' && depth == 0 && start == at + 1 {
            break;
        }
    }
    names
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let text = "use crate::{fact::{Fact, Record}, plan};\nuse super::super::world;\n// crate::no\nuse super::x;";
    let found: Vec<_> = used(text, 2).into_iter().collect();
    assert_eq!(found, ["fact", "plan", "world"]);
}

/// How high a module of the shell stands.
fn shell(module: &str) -> Option<usize> {
    let place = SHELL.iter().position(|row| row.contains(&module));
    Some(place.unwrap_or_else(|| panic!("`{module}` stands in no row of the drawing")))
}

fn row(module: &str) -> Option<usize> {
    CORE.iter().position(|row| row.contains(&module))
}

/// Whether the drawing of the architecture page has an arrow from one module to another.
fn may_use(from: &str, to: &str) -> bool {
    if from == to || to.is_empty() {
        return true;
    }
    match (row(from), row(to)) {
        _ if APART.contains(&(from, to)) => false,
        (Some(from), Some(to)) => to <= from,
        (Some(_), None) => false,
        // The journal stands on the core, the world on its vocabulary only; the rest of the shell sees everything.
        (None, core) => match from {
            "journal" => core.is_some(),
            "world" => VOCABULARY.contains(&to),
            _ => core.is_some() || to == "journal" || shell(to) <= shell(from),
        },
    }
}

#[test]
fn every_arrow_between_modules_is_in_the_drawing() {
    let mut wrong = Vec::new();
    for (path, text) in files("src", ".rs") {
        let from = module(&path);
        let text = before_tests(&text);
        let depth = path.components().count() - 1;
        let arrows = used(text, depth).into_iter().filter(|to| !may_use(&from, to));
        wrong.extend(arrows.map(|to| format!("{}: {from} uses {to}", path.display())));
        if row(&from).is_some() {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let words =
                OUTSIDE.iter().filter(|word| code.clone().any(|line| line.contains(**word)));
            wrong.extend(words.map(|word| format!("{}: the core uses {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let before = before_tests(&text).lines().filter(|line| is_code(line)).count();
        // A suite is as long as its rules are many.
        if path.starts_with("src") && before > FILE_LINES_MAX {
            wrong.push(format!("{}: {before} lines", path.display()));
        }
        for (line, length) in functions(&text) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{line}: a function of {length} lines", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// First line and lines of code of every function; rustfmt ends each at the indentation where it began.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let is_function = |line: &str| {
        let words: Vec<_> = line.split_whitespace().take(4).collect();
        let head = words.iter().take_while(|word| **word != "fn").count();
        head < words.len()
            && words[..head].iter().all(|w| ["const", "async"].contains(w) || w.starts_with("pub"))
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let indent = line.len() - line.trim_start().len();
        let ends = |line: &str| {
            let own = line.len() - line.trim_start().len();
            own == indent && (line.trim_start().starts_with('}') || line.ends_with(';'))
        };
        if line.ends_with(['}', ';']) {
            continue; // all on one line
        }
        let end = lines[at + 1..].iter().position(|line| ends(line)).map_or(0, |n| n + 2);
        // The signature does not count, as in clippy's `too_many_lines`.
        let head = lines[at..].iter().position(|line| line.ends_with('{')).map_or(1, |n| n + 1);
        let body = at + head..(at + end).saturating_sub(1).max(at + head);
        let length = lines[body].iter().filter(|line| is_code(line)).count();
        found.push((at + 1, length));
    }
    found
}

#[test]
fn lines_fit_and_open_ends_have_a_number() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            let width = if comment { COMMENT_WIDTH } else { CODE_WIDTH };
            let long = line.chars().count() > width && (comment || !line.contains('"'));
            // A string that goes on over several lines has no quote on its inner ones.
            let inner = !comment && (line.ends_with('\\') || !line.contains([';', '(', '{', '=']));
            // What tests expect of a message is as wide as the message; rustfmt keeps their code narrow.
            let test = path.starts_with("tests") || path.ends_with("tests.rs");
            if long && !inner && (comment || !test) {
                wrong.push(format!("{}:{}: too wide", path.display(), at + 1));
            }
            let open = ["TO", "FIX"].iter().zip(["DO", "ME"]).any(|(a, b)| {
                let word = format!("{a}{b}");
                line.contains(&word) && !line.contains(&format!("{word}(#"))
            });
            if open {
                wrong.push(format!("{}:{}: no issue number", path.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is read of manifests is cached in a format that does not name its fields: one that is left out moves all others.
#[test]
fn what_is_cached_leaves_no_field_out() {
    let of_manifests =
        |path: &Path| path.starts_with("src/desired") || path.ends_with("src/desired.rs");
    let skips = |text: &String| before_tests(text).contains("skip_serializing_if");
    let files = sources().into_iter().filter(|(path, text)| of_manifests(path) && skips(text));
    let wrong: Vec<_> = files.map(|(path, _)| path.display().to_string()).collect();
    assert!(wrong.is_empty(), "skip_serializing_if in {}", wrong.join(", "));
}

/// `i043_...` is I43, `y011_...` is Y11, `d014_6_...` is D14.6, `d021a_...` is D21a, `i197_1_...` is I197.1, and
/// `d003_x005_...` is D3 and X5.
fn rules_of(function: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let mut words = function.split('_').peekable();
    while let Some(word) = words.next_if(|word| is_rule(word)) {
        let number = word[1..4].trim_start_matches('0');
        let part = words.next_if(|part| part.bytes().all(|c| c.is_ascii_digit()));
        let part = part.map_or_else(String::new, |p| format!(".{}", p.trim_start_matches('0')));
        rules.push(format!("{}{number}{}{part}", word[..1].to_ascii_uppercase(), &word[4..]));
    }
    rules
}

fn is_rule(word: &str) -> bool {
    let digits = word.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    word.starts_with(['b', 'c', 'd', 'i', 'l', 'n', 'r', 't', 'x', 'y']) && digits == 3
}

/// The rules that tests are named by, in `rules.txt` and in the tests there, both ways.
#[test]
fn the_list_of_rules_is_the_list_of_tests() {
    let mut tested = BTreeSet::new();
    for text in files("tests/it/spec", ".rs").values() {
        let names = text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("async ").strip_prefix("fn "));
        let names = names.map(|line| line.split('(').next().unwrap());
        tested.extend(names.flat_map(rules_of));
    }
    let list = fs::read_to_string(root().join("tests/it/spec/rules.txt")).unwrap();
    let listed: BTreeSet<_> = list.lines().map(str::trim).map(str::to_owned).collect();
    let untested: Vec<_> = listed.difference(&tested).collect();
    let unlisted: Vec<_> = tested.difference(&listed).collect();
    assert!(untested.is_empty(), "in rules.txt and not tested: {untested:?}");
    assert!(unlisted.is_empty(), "tested and not in rules.txt: {unlisted:?}");
}

#[test]
fn every_example_is_played() {
    let tests: String = files("tests/it", ".rs").into_values().collect();
    for entry in fs::read_dir(root().join("examples")).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(tests.contains(&name), "no test plays examples/{name}");
        }
    }
}

#[test]
fn the_readme_names_every_command() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else { return };
    for command in tidegate::cli::Arguments::command().get_subcommands() {
        let name = command.get_name();
        let hidden = command.is_hide_set() || name == "help";
        let named =
            readme.contains(&format!("tidegate {name}")) || readme.contains(&format!("`{name}`"));
        assert!(hidden || named, "README.md does not mention `tidegate {name}`");
    }
}

/// `fuzz/run` builds with `--locked`: a dependency that came in without it would be found at the end of a long run only.
#[test]
fn the_lock_file_of_the_fuzz_targets_fits() {
    let read = |path: &str| -> toml::Table {
        fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
    };
    let manifest = read("Cargo.toml");
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let renamed = |value: &toml::Value| Some(value.get("package")?.as_str()?.to_owned());
    let wanted: BTreeSet<String> = dependencies
        .iter()
        .map(|(name, value)| renamed(value).unwrap_or_else(|| name.clone()))
        .collect();
    let lock = read("fuzz/Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"].as_str() == Some("tidegate"));
    let locked = ours.unwrap()["dependencies"].as_array().unwrap();
    // `name`, or `name version` where there are several.
    let locked: BTreeSet<String> = locked
        .iter()
        .filter_map(|text| text.as_str()?.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(locked, wanted, "run `cargo metadata` in `fuzz` and commit its lock file");
}
