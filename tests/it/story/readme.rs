//! The README says what there is.

use super::play::project;

fn readme() -> String {
    std::fs::read_to_string(project().join("README.md")).unwrap()
}

#[test]
fn readme_lists_every_key_with_its_default() {
    let readme = readme();
    for key in tidegate::config::KEYS {
        let row = format!("| `{}` | {} | {} | {} |", key.pattern, key.takes, key.default, key.help);
        assert!(readme.contains(&row), "add to the table of keys in README.md:\n{row}");
    }
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let readme = readme();
    for link in readme.split("](").skip(1) {
        let path = link.split(')').next().unwrap();
        assert!(project().join(path).exists(), "README.md links to `{path}`");
    }
}
