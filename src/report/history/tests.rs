use anstream::adapter::strip_str;

use crate::report::select::Known;
use crate::report::{story, to_json};

use super::*;

fn select(text: &str) -> Filter {
    let known = Known::of(&story::desired(), &story::observed());
    let select = known.select(text, &"shop".parse().unwrap()).unwrap();
    Filter { select: Some(select), ..Filter::default() }
}

fn history(filter: &Filter) -> History {
    History::of(&ObservedState::default(), story::records(), filter)
}

fn seqs(history: &History) -> Vec<u64> {
    history.entries.iter().map(|entry| entry.record.0).collect()
}

#[test]
fn the_whole_chain_from_commit_to_outcome_is_told() {
    let history = history(&Filter::default());
    insta::assert_snapshot!("all", strip_str(&history.to_text()).to_string());
    insta::assert_snapshot!("all_json", to_json(&history));
}

#[test]
fn the_history_of_an_object_has_what_caused_its_rollouts() {
    // Its commits, the tag events, triggers, rollouts, holds; not the failing import of another tag.
    assert_eq!(seqs(&history(&select("dc/web"))), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]);
    assert_eq!(seqs(&history(&select("istag/base:1"))), [1, 13]);
    assert_eq!(seqs(&history(&select("is/python"))), [1, 2, 3, 6, 7]);
}

#[test]
fn a_limit_keeps_the_newest_and_says_how_many_it_left_out() {
    let filter = Filter { limit: Some(2), ..Filter::default() };
    let history = history(&filter);
    assert_eq!(seqs(&history), [14, 15]);
    assert!(history.to_text().contains("13 older entries left out"), "{}", history.to_text());
}

#[test]
fn nothing_before_a_time_is_shown() {
    let filter = Filter { since: Some(story::at(90)), ..Filter::default() };
    assert_eq!(seqs(&history(&filter)), [13, 14, 15]);
}

#[test]
fn a_compacted_journal_does_not_claim_that_a_tag_had_no_image() {
    let records = story::records().into_iter().skip(5);
    let history = History::of(&ObservedState::default(), records, &Filter::default());
    let text = strip_str(&history.to_text()).to_string();
    assert!(
        text.starts_with("(the journal begins at record 6; older ones were compacted)"),
        "{text}"
    );
    assert!(text.contains("shop/python:3.6 unknown -> sha256:"), "{text}");
}

#[test]
fn which_commit_ran_which_digest_when_is_a_table() {
    let runs = Runs::of(&ObservedState::default(), story::records(), &Filter::default());
    insta::assert_snapshot!("runs", strip_str(&runs.to_text()).to_string());
    insta::assert_snapshot!("runs_json", to_json(&runs));
}

#[test]
fn runs_from_a_snapshot_are_those_from_all_records() {
    let all = Runs::of(&ObservedState::default(), story::records(), &Filter::default());
    let base = ObservedState::default().replay(&story::records()[..9]);
    let rest = story::records().into_iter().skip(9);
    assert_eq!(Runs::of(&base, rest, &Filter::default()), all);
}
