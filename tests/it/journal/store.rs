//! Large values beside the journal.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tidegate::journal::{ObjectStore, StoreError};
use tidegate::names::ContentHash;

use super::{SMALL, journal_of, open_with, put, shown};

fn path_of(root: &tempfile::TempDir, hash: &ContentHash) -> PathBuf {
    let text = hash.to_string();
    root.path().join("objects").join(&text[..2]).join(&text[2..])
}

#[test]
fn a_value_is_kept_under_its_hash_for_its_owner_only() {
    let root = journal_of(SMALL, &[]);
    let (journal, _) = open_with(root.path(), SMALL).unwrap();
    let store = journal.objects();
    let hash = store.put(b"metadata").unwrap();
    assert_eq!(hash, ContentHash::of(b"metadata"));
    assert_eq!(store.put(b"metadata").unwrap(), hash);
    assert_eq!(store.get(&hash).unwrap(), b"metadata");
    assert!(store.contains(&hash).unwrap());
    assert!(!store.contains(&ContentHash::of(b"other")).unwrap());
    let path = path_of(&root, &hash);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let siblings = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(siblings, 1, "nothing is left behind");
}

#[test]
fn several_values_are_kept_at_once_from_several_threads() {
    let root = journal_of(SMALL, &[]);
    let store = ObjectStore::at(root.path());
    let values: Vec<_> = (0..40).map(|n| format!("value {}", n % 30).into_bytes()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for hash in store.clone().put_many(&values).unwrap() {
                    store.get(&hash).unwrap();
                }
            });
        }
    });
    assert_eq!(store.put_many(&values).unwrap()[35], ContentHash::of(b"value 5"));
}

#[test]
fn a_damaged_value_is_named_and_mended_by_putting_it_again() {
    let root = journal_of(SMALL, &[]);
    let store = ObjectStore::at(root.path());
    let hash = store.put(b"metadata").unwrap();
    put(&path_of(&root, &hash), b"Metadata");
    let error = store.get(&hash).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }));
    let text = shown(&error, root.path());
    assert!(text.starts_with("object `<state>/objects/") && text.contains("damaged"), "{text}");
    store.put(b"metadata").unwrap();
    assert_eq!(store.get(&hash).unwrap(), b"metadata");
}

#[test]
fn a_missing_value_is_named() {
    let root = journal_of(SMALL, &[]);
    let hash = ContentHash::of(b"metadata");
    let error = ObjectStore::at(root.path()).get(&hash).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }));
    assert!(error.to_string().contains(&hash.to_string()));
}
