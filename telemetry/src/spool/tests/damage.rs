//! Every kind of damage, on a real disk.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_test_support::wait_until;
use tempfile::TempDir;

use crate::error::{DropReason, Error};
use crate::event::parse::MAX_LINE;
use crate::spool::dead_letters::Rejected;
use crate::spool::fs::with_sum;
use crate::spool::handle::Spool;
use crate::spool::reader::{Deliverer, Settle};
use crate::spool::store::Limits;
use crate::spool::tests::{done, drain, event};

fn spool() -> (TempDir, Spool) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let spool = Spool::on_disk(home.path().join("spool"), Limits::default());
    (home, spool)
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
        .collect();
    files.sort();
    files
}

fn segments(spool: &Spool) -> Vec<PathBuf> {
    let all = files(spool.folder(), ".v1.jsonl").into_iter();
    all.filter(|path| !path.ends_with("dead-letters.v1.jsonl")).collect()
}

/// Writes bytes behind the only segment, as a crash or a disk error leaves them.
fn damage(spool: &Spool, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(&segments(spool)[0]).expect("a segment");
    file.write_all(bytes).expect("room");
}

fn fill(spool: &Spool, names: &[&str]) {
    for name in names {
        spool.append(event(name).as_bytes()).expect("a healthy disk");
    }
}

fn claim(spool: &Spool, backends: &[&str]) -> crate::spool::reader::Deliverer {
    spool.try_claim(backends).expect("a healthy disk").expect("nobody else delivers")
}

fn damaged(number: u64) -> BTreeMap<DropReason, u64> {
    BTreeMap::from([(DropReason::Damaged, number)])
}

#[test]
fn a_torn_tail_costs_one_event_and_counts_once() {
    let (_home, spool) = spool();
    fill(&spool, &["1", "2"]);
    spool.seal();
    damage(&spool, b"{\"id\":\"to");
    fill(&spool, &["3"]);
    let mut deliverer = claim(&spool, &["a", "b"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("2"), event("3")]);
    assert_eq!(drain(&mut deliverer, "b"), [event("1"), event("2"), event("3")]);
    assert_eq!(spool.stats().drops, damaged(1));
    assert!(segments(&spool).is_empty());
}

#[test]
fn a_tail_that_is_still_being_written_is_waited_for() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    damage(&spool, b"{\"id\":");
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("1")]);
    assert!(spool.stats().drops.is_empty());
    damage(&spool, b"\"2\"}\n");
    assert_eq!(drain(&mut deliverer, "a"), [event("2")]);
}

#[test]
fn garbage_in_the_middle_costs_its_lines_only() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    spool.seal();
    damage(&spool, b"\x00\x01\xff\xfe\n\n{\"id\":\"\xff\"}\nplain text\n");
    damage(&spool, format!("{}\n", event("2")).as_bytes());
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("2")]);
    assert_eq!(spool.stats().drops, damaged(3), "the empty line was no event");
}

#[test]
fn a_segment_of_nothing_but_garbage_holds_nothing_up() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    let segment = segments(&spool).remove(0);
    spool.seal();
    fs::write(&segment, vec![0xff; 3 << 20]).expect("room");
    fill(&spool, &["2"]);
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("2")]);
    assert_eq!(spool.stats().drops, damaged(1));
    assert!(segments(&spool).is_empty());
}

#[test]
fn a_line_longer_than_any_event_is_passed_over() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    spool.seal();
    damage(&spool, &vec![b'x'; 2 << 20]);
    damage(&spool, format!("\n{}\n", event("2")).as_bytes());
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("2")]);
    assert_eq!(spool.stats().drops, damaged(1));
}

#[test]
fn a_damaged_line_counts_once_for_all_backends() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    spool.append(b"{not json}").expect("the spool does not parse");
    let mut deliverer = claim(&spool, &["a", "b"]);
    for backend in ["a", "b"] {
        let chunk = deliverer.next(backend, 10, 1_000).expect("healthy").expect("two lines");
        deliverer.commit(&chunk, &[Settle::Done, Settle::Damaged]).expect("healthy");
    }
    assert_eq!(spool.stats().drops, damaged(1));
}

#[test]
fn lost_cursors_deliver_again_rather_than_lose() {
    let (_home, spool) = spool();
    fill(&spool, &["1", "2"]);
    for damage in
        [|path: &Path| fs::remove_file(path), |path: &Path| fs::write(path, "{\"backends\":{}}\nwrong\n")]
    {
        let mut deliverer = claim(&spool, &["a", "b"]);
        assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("2")]);
        drop(deliverer);
        assert!(claim(&spool, &["a", "b"]).next("a", 9, 999).expect("healthy").is_none());
        damage(&spool.folder().join("cursors.v1.json")).expect("the file is there");
    }
}

#[test]
fn a_cursor_that_fits_no_line_starts_the_segment_again() {
    let (_home, spool) = spool();
    fill(&spool, &["1", "2"]);
    let mut deliverer = claim(&spool, &["a", "b"]);
    drain(&mut deliverer, "a");
    let segment = segments(&spool).remove(0);
    fs::write(&segment, format!("{}\n{}\n", event("another"), event("longer than before"))).expect("room");
    assert_eq!(drain(&mut deliverer, "a"), [event("another"), event("longer than before")]);
}

#[test]
fn damaged_counters_begin_again_and_stop_nothing() {
    let (_home, spool) = spool();
    assert_eq!(spool.append(b"two\nlines"), Err(DropReason::Damaged));
    fill(&spool, &["1"]);
    assert_eq!(spool.stats().drops, damaged(1));
    fs::write(spool.folder().join("counters.v1.json"), [0xff, 0, b'\n']).expect("the folder is there");
    assert!(spool.stats().drops.is_empty());
    assert_eq!(spool.append(b""), Err(DropReason::Damaged));
    assert_eq!(spool.stats().drops, damaged(1));
}

#[test]
fn files_that_a_crash_left_half_written_are_replaced() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    for name in ["cursors.v1.tmp", "counters.v1.tmp", "dead-letters.v1.tmp"] {
        fs::write(spool.folder().join(name), "half").expect("the folder is there");
    }
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(spool.append(b""), Err(DropReason::Damaged));
    assert_eq!(drain(&mut deliverer, "a"), [event("1")]);
    assert_eq!(files(spool.folder(), ".tmp").len(), 1, "the dead letters had no need");
}

#[test]
fn a_spool_from_tomorrow_is_reported_and_left_alone() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    let tomorrow = ["018f-1-1.v2.jsonl", "cursors.v12.json"];
    for name in tomorrow {
        fs::write(spool.folder().join(name), "{\"future\":1}\n").expect("the folder is there");
    }
    let mut deliverer = claim(&spool, &["a"]);
    assert_eq!(drain(&mut deliverer, "a"), [event("1")]);
    spool.drop_pending().expect("healthy");
    spool.enforce_limits().expect("healthy");
    assert_eq!(spool.stats().foreign, tomorrow);
    assert_eq!(fs::read(spool.folder().join(tomorrow[0])).expect("untouched"), b"{\"future\":1}\n");
}

#[test]
fn torn_dead_letters_lose_their_last_line_only() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    let mut deliverer = claim(&spool, &["a"]);
    let (one, two) = (event("1"), event("2"));
    deliverer.reject("a", [(&*one, "no such field")]).expect("healthy");
    let path = spool.folder().join("dead-letters.v1.jsonl");
    OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("there")
        .write_all(b"{\"backend\":\"a\",")
        .expect("room");
    deliverer.reject("a", [(&*two, "too old")]).expect("healthy");
    let rejected = spool.rejected().expect("healthy");
    let reasons: Vec<_> = rejected.iter().map(|one| (one.event.get(), one.reason.as_raw())).collect();
    assert_eq!(reasons, [(&*one, "no such field"), (&*two, "too old")]);
    deliverer.forget_rejected(&rejected[..1]).expect("healthy");
    assert_eq!(spool.rejected().expect("healthy").len(), 1);
    assert_eq!(spool.stats().rejected, 1);
}

#[test]
fn full_dead_letters_take_no_more_and_lose_none() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits { dead_letter_bytes: Some(500), ..Limits::default() };
    let spool = Spool::on_disk(home.path().join("spool"), limits);
    fill(&spool, &["x"]);
    let mut deliverer = claim(&spool, &["a"]);
    let events: Vec<String> = (0..100).map(|number: u32| event(&number.to_string())).collect();
    let taken = events.iter().take_while(|event| deliverer.reject("a", [(&***event, "no")]).is_ok()).count();
    let error = deliverer.reject("a", [(&*events[taken], "no")]).expect_err("full");
    assert!(matches!(error, Error::DeadLettersFull { limit: 500, .. }), "{error}");
    let rejected = spool.rejected().expect("healthy");
    let kept: Vec<_> = rejected.iter().map(|one| one.event.get()).collect();
    assert!(taken > 1 && kept == events[..taken], "{kept:?}");
    assert!(spool.stats().drops.is_empty());
    // Room again.
    deliverer.forget_rejected(&rejected).expect("healthy");
    deliverer.reject("a", [(&*events[taken], "no")]).expect("room");
}

#[test]
fn dead_letters_leave_when_they_are_too_old_and_are_counted() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let open = |dead_letter_age| {
        Spool::on_disk(home.path().join("spool"), Limits { dead_letter_age, ..Limits::default() })
    };
    let spool = open(Duration::from_secs(3600));
    fill(&spool, &["x"]);
    claim(&spool, &["a"]).reject("a", [(&*event("1"), "no"), (&*event("2"), "no")]).expect("healthy");
    drop(claim(&spool, &["a"]));
    assert_eq!(spool.stats().rejected, 2, "they are young");
    let later = open(Duration::ZERO);
    drop(claim(&later, &["a"]));
    let stats = later.stats();
    assert_eq!((stats.rejected, stats.drops[&DropReason::DeadLetters]), (0, 2));
}

#[test]
fn damaged_dead_letters_stop_no_expiry() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (dead_letter_age, dead_letter_bytes) = (Duration::ZERO, Some(u64::MAX));
    let limits = Limits { dead_letter_age, dead_letter_bytes, ..Limits::default() };
    let spool = Spool::on_disk(home.path().join("spool"), limits);
    fill(&spool, &["x"]);
    let file = spool.folder().join("dead-letters.v1.jsonl");
    let long = |len: usize| format!(r#"{{"pad":"{}"}}"#, "x".repeat(len));
    for first in ["no record".to_owned(), String::new(), long(2 << 20), "x".repeat(5 << 20)] {
        let mut deliverer = claim(&spool, &["a"]);
        deliverer.reject("a", [(&*event("1"), "no")]).expect("healthy");
        drop(deliverer);
        let whole = fs::read_to_string(&file).expect("readable");
        let last = whole.lines().last().expect("a record").to_owned();
        fs::write(&file, format!("{first}\n{last}\n")).expect("writable");
        drop(claim(&spool, &["a"]));
        assert_eq!(spool.stats().rejected, 0, "{}", first.len());
    }
    // The record of the longest event, whose reason is longest when it is escaped.
    let longest = long(MAX_LINE - long(0).len());
    claim(&spool, &["a"]).reject("a", [(&*longest, &*"\u{1}".repeat(1_000))]).expect("healthy");
    assert_eq!(spool.stats().rejected, 1);
    drop(claim(&spool, &["a"]));
    assert_eq!(spool.stats().rejected, 0);
}

/// A spool that keeps dead letters for an hour, its deliverer, and two dead letters.
fn two_dead_letters() -> (TempDir, Spool, Deliverer, Vec<Rejected>) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits { dead_letter_age: Duration::from_secs(3600), ..Limits::default() };
    let spool = Spool::on_disk(home.path().join("spool"), limits);
    fill(&spool, &["x"]);
    let mut deliverer = claim(&spool, &["a"]);
    deliverer.reject("a", [(&*event("1"), "no"), (&*event("2"), "no")]).expect("healthy");
    let all = spool.rejected().expect("healthy");
    (home, spool, deliverer, all)
}

/// The reasons of the dead letters that are kept after the next claim, which drops those that are too old.
fn reasons_after_expiry(spool: &Spool) -> Vec<String> {
    drop(claim(spool, &["a"]));
    spool.rejected().expect("healthy").into_iter().map(|one| one.reason.to_string()).collect()
}

#[test]
fn dead_letters_that_are_put_back_keep_their_age() {
    let (_home, spool, mut deliverer, all) = two_dead_letters();
    deliverer.forget_rejected(&all[..1]).expect("healthy");
    let old = all[0].again("old", all[0].rejected_at - 3_600_001);
    deliverer.put_back_rejected(&[old]).expect("healthy");
    drop(deliverer);
    assert_eq!(reasons_after_expiry(&spool), ["no"], "the other one was too old");
}

#[test]
fn a_backend_that_comes_back_continues_where_it_was() {
    let (_home, spool) = spool();
    fill(&spool, &["1", "2"]);
    let mut deliverer = claim(&spool, &["a", "b"]);
    assert_eq!(drain(&mut deliverer, "a").len(), 2);
    // It is missing once in this claim, and once in the next one.
    deliverer.retain_backends(&["b"]).expect("healthy");
    deliverer.retain_backends(&["a", "b"]).expect("healthy");
    assert!(drain(&mut deliverer, "a").is_empty());
    drop(deliverer);
    drop(claim(&spool, &["b"]));
    let mut deliverer = claim(&spool, &["a", "b"]);
    assert!(drain(&mut deliverer, "a").is_empty());
    assert_eq!(drain(&mut deliverer, "b").len(), 2);
}

#[test]
fn a_backend_is_forgotten_after_the_age_of_an_event() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits { max_age: Duration::from_millis(20), ..Limits::default() };
    let spool = Spool::on_disk(home.path().join("spool"), limits);
    fill(&spool, &["1"]);
    drop(claim(&spool, &["a"]));
    drop(claim(&spool, &["b"]));
    let cursors = || fs::read_to_string(spool.folder().join("cursors.v1.json")).expect("readable");
    assert!(cursors().contains(r#""former":{"a""#), "{}", cursors());
    wait_until("a is forgotten", || {
        drop(claim(&spool, &["b"]));
        !cursors().contains("former")
    });
}

#[test]
fn a_mark_that_is_in_the_file_is_counted_once() {
    let (_home, spool) = spool();
    fill(&spool, &["x"]);
    // A folder in its place, so that the file of counters can't be written.
    fs::create_dir(spool.folder().join("counters.v1.tmp")).expect("room");
    let refuse = || spool.refuse_as(std::process::id(), DropReason::TooLong);
    refuse();
    let [mark] = &files(spool.folder(), ".v1.mark")[..] else { panic!("no mark") };
    // Another process has counted the mark, and has died before it removed the mark.
    let name = mark.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let counted = format!(r#"{{"drops":{{"too_long":1}},"removed":["{name}"]}}"#);
    fs::write(spool.folder().join("counters.v1.json"), with_sum(&counted)).expect("room");
    refuse();
    assert_eq!(spool.stats().drops[&DropReason::TooLong], 2);
}

#[test]
fn renewed_dead_letters_do_not_hide_older_ones() {
    let (_home, spool, mut deliverer, all) = two_dead_letters();
    let now = all[0].rejected_at;
    let old: Vec<_> = all.iter().map(|one| one.again("old", now - 3_600_001)).collect();
    deliverer.settle_rejected(&[], &old).expect("healthy");
    deliverer.settle_rejected(&[], &[old[0].again("again", now)]).expect("healthy");
    drop(deliverer);
    assert_eq!(reasons_after_expiry(&spool), ["again"], "the other one was too old");
}

#[test]
fn an_unwritten_at_most_once_commit_is_taken_back() {
    let (_home, spool) = spool();
    fill(&spool, &["1"]);
    let mut deliverer = claim(&spool, &["a", "b"]);
    let chunk = deliverer.next("a", 9, 999).expect("healthy").expect("one line");
    let (file, aside) = (spool.folder().join("cursors.v1.json"), spool.folder().join("aside"));
    fs::rename(&file, &aside).expect("there");
    fs::create_dir(&file).expect("a folder in its place");
    deliverer.commit_before_send(&chunk).expect_err("a file can't replace a folder");
    fs::remove_dir(&file).expect("empty");
    assert_eq!(drain(&mut deliverer, "a"), [event("1")]);
    deliverer.commit(&chunk, &done(&chunk)).expect("twice is no harm");
}
