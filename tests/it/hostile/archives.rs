//! Archives that somebody hands over to be built (`start-build --from-archive`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tar::EntryType::{
    Char, Continuous, Directory, Fifo, GNULongLink, GNULongName, GNUSparse, Link, Regular, Symlink,
    XGlobalHeader, XHeader,
};
use tar::{EntryType, Header};
use tidegate::action::{BuildReport, BuildRequest};
use tidegate::fact::{BinaryInput, BuildOptions};
use tidegate::names::{BuildNumber, ContentHash, Incarnation, ObjectKey, RolloutKey, Seq};
use tidegate::pods::Configs;
use tidegate::time::Timestamp;
use tidegate::world::build::{Builder, BuilderConfig, Isolation};
use tidegate::world::registry::{Registries, RegistryConfig};
use tokio_util::sync::CancellationToken;

use super::{Row, faults};
use crate::support::daemon::wait;

/// A gigabyte, as a size that is claimed.
const GIGABYTE: u64 = 1 << 30;

/// An entry of a tar archive that claims a size, with what there is of it.
fn entry(kind: EntryType, name: &str, target: &str, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    for (field, text) in [(0, name), (157, target)] {
        let bytes = header.as_mut_bytes().iter_mut().skip(field);
        bytes.zip(text.bytes()).for_each(|(place, byte)| *place = byte);
    }
    header.set_cksum();
    let mut bytes = [&header.as_bytes()[..], content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// One that claims what it has.
fn whole(kind: EntryType, name: &str, target: &str, content: &[u8]) -> Vec<u8> {
    entry(kind, name, target, content.len() as u64, content)
}

/// What a gigabyte is claimed of, and some of it comes.
fn bomb(kind: EntryType) -> Vec<u8> {
    let begins = entry(kind, "././@LongLink", "", GIGABYTE, &vec![b'x'; 2 << 20]);
    packed(&begins)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, bytes).unwrap();
    gz.finish().unwrap()
}

/// A zip archive of one entry, with what its directory says of it.
fn zip(name: &str, content: &[u8], claims: u32) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut deflate, content).unwrap();
    let packed = deflate.finish().unwrap();
    let len = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
    let sizes = [&crc.sum().to_le_bytes()[..], &len(packed.len()), &claims.to_le_bytes()].concat();
    let mut bytes =
        [b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0", &sizes[..], &name_len, b"\0\0"].concat();
    bytes.extend([name.as_bytes(), &packed].concat());
    let at = bytes.len();
    bytes.extend([&b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0"[..], &sizes, &name_len].concat());
    bytes.extend([&[0; 16][..], name.as_bytes()].concat());
    let directory = bytes.len() - at;
    bytes.extend(
        [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &len(directory), &len(at), &[0; 2]].concat(),
    );
    bytes
}

pub(super) fn rows() -> Vec<Row<Vec<u8>>> {
    let row = |name, input: Vec<u8>, says: &'static str| Row { name, input, says: vec![says] };
    let outside = "leads outside";
    let long = "is longer than 1048576 bytes";
    let pax = |line: &str| whole(XHeader, "x", "", line.as_bytes());
    vec![
        row("nothing", Vec::new(), "it is no tar, tar.gz or zip archive"),
        row("gzip that is cut off", packed(&[7; 600])[..20].to_vec(), ""),
        row("a name of a gigabyte", bomb(GNULongName), long),
        row("a target of a gigabyte", bomb(GNULongLink), long),
        row("attributes of a gigabyte", bomb(XHeader), long),
        row(
            "a name of a gigabyte, not packed",
            entry(GNULongName, "l", "", GIGABYTE, &vec![b'x'; 2 << 20]),
            long,
        ),
        row(
            "a file of more than all",
            entry(Regular, "a", "", 9 * GIGABYTE, b""),
            "it holds too much",
        ),
        row(
            "attributes of all of more than all",
            entry(XGlobalHeader, "g", "", 9 * GIGABYTE, b""),
            "it holds too much",
        ),
        row(
            "a folder of more than all",
            entry(Directory, "a/", "", 9 * GIGABYTE, b""),
            "it holds too much",
        ),
        row("a file that is cut off", entry(Continuous, "a", "", GIGABYTE, b"x"), ""),
        row("a sparse file without its map", whole(GNUSparse, "a", "", b"x"), ""),
        row(
            "a path of attributes",
            [pax("16 path=../evil\n"), whole(Regular, "a", "", b"x")].concat(),
            outside,
        ),
        row("a name above", whole(Regular, "../evil", "", b"x"), outside),
        row("a link above", whole(Symlink, "a", "../../evil", b""), outside),
        row("a hard link above", whole(Link, "a", "../evil", b""), outside),
        row("a device", whole(Char, "a", "", b""), "a device or another odd thing"),
        row("a pipe", whole(Fifo, "a", "", b""), "a device or another odd thing"),
        row("zip: a name above", zip("../evil", b"x", 1), outside),
        row("zip: more than it says", zip("a", &vec![0; 4 << 20], 1), "is damaged"),
        row("zip: less than it says", zip("a", b"x", u32::MAX), "is damaged"),
    ]
}

#[test]
fn a_hostile_archive_is_refused_and_says_why_and_nothing_of_it_is_elsewhere() {
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(Mutex::new(BTreeMap::<ContentHash, Vec<u8>>::new()));
    let kept = Arc::clone(&store);
    let keep = move |bytes: &[u8]| {
        let hash = ContentHash::of(bytes);
        kept.lock().unwrap().insert(hash, bytes.to_vec());
        Ok(hash)
    };
    let spec = json!({"source": {"binary": {}}, "strategy": {"dockerStrategy": {}}});
    let manifest = json!({"kind": "BuildConfig", "metadata": {"name": "web"}, "spec": spec});
    let manifest = keep(manifest.to_string().as_bytes()).unwrap();
    let config = BuilderConfig {
        buildah: "/nowhere/buildah".into(),
        git: "git".into(),
        isolation: Isolation::Chroot,
        log_bytes_max: 1 << 20,
        environment: BTreeMap::new(),
    };
    let read = move |hash: &ContentHash| Ok(store.lock().unwrap()[hash].clone());
    let configs = Arc::new(Configs::new());
    let sources = (Arc::new(read) as _, Arc::new(move |_: &_| Ok(Arc::clone(&configs))) as _);
    let registries = Registries::new(RegistryConfig::default(), Arc::new(keep.clone())).unwrap();
    let builder = Builder::new(config, state.path(), sources, registries).unwrap();
    let mut wrong = Vec::new();
    for (seq, row) in (1..).zip(rows()) {
        let object: ObjectKey = "BuildConfig/shop/web".parse().unwrap();
        let input = BinaryInput { content: keep(&row.input).unwrap(), as_file: None };
        let request = BuildRequest {
            key: RolloutKey::of(&object, Incarnation(1), Seq(seq), None),
            object,
            number: BuildNumber(seq),
            name: format!("web-{seq}"),
            started: Timestamp::EPOCH,
            manifest,
            commit: "0".repeat(40).parse().unwrap(),
            causes: Vec::new(),
            images: Vec::new(),
            options: BuildOptions { binary: Some(input), ..BuildOptions::default() },
            push: None,
            left: Duration::from_secs(300),
            ends: false,
        };
        match wait(builder.build(&request, CancellationToken::new())) {
            BuildReport::Ended(ended) if ended.reason == "FetchSourceFailed" => {
                let log = state.path().join(format!("builds/logs/shop/web-{seq}.log"));
                wrong.extend(row.check(&std::fs::read_to_string(log).unwrap()));
            }
            other => wrong.push(format!("{}: {other:?}", row.name)),
        }
        let left = std::fs::read_dir(state.path().join("builds/work")).unwrap().count();
        if left > 0 {
            wrong.push(format!("{}: something of it stayed", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}
