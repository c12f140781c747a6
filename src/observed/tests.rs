use super::*;
use crate::fact::{ConfigAdopted, SourceFailed};

fn record(seq: u64, fact: Fact) -> Record {
    Record { seq: Seq(seq), at: Timestamp::EPOCH, fact }
}

#[test]
fn a_source_failure_lasts_until_it_ends() {
    let failed = Fact::SourceFailed(SourceFailed { message: "down".into() });
    let state = ObservedState::default().replay(&[record(1, failed)]);
    assert_eq!(state.source_failure.as_ref().map(|down| down.message.as_str()), Some("down"));
    let state = state.replay(&[record(2, Fact::SourceRecovered)]);
    assert_eq!(state.source_failure, None);
}

#[test]
fn the_last_configuration_counts() {
    let config = |text: &str| {
        let hash = ContentHash::of(text.as_bytes());
        Fact::ConfigAdopted(ConfigAdopted { hash, version: "0".into() })
    };
    let records = [record(1, config("a")), record(2, config("b"))];
    let state = ObservedState::default().replay(&records);
    assert_eq!(state.config.as_ref().unwrap().hash, ContentHash::of(b"b"));
    assert_eq!(state.next_seq(), Seq(3));
}
