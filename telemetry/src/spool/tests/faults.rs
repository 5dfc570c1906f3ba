//! Folders, disks and clocks that are not as they should be, and several instances.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use crate::error::DropReason;
use crate::spool::handle::Spool;
use crate::spool::reader::{Deliverer, Settle};
use crate::spool::store::Limits;
use crate::spool::tests::machine::Machine;
use crate::spool::tests::{done, drain, event};

fn on(machine: &Arc<Machine>, id: u32) -> Spool {
    Spool::open("/spool", Limits::default(), machine.process(id, None))
}

fn dropped(spool: &Spool, reason: DropReason) -> u64 {
    spool.stats().drops.get(&reason).copied().unwrap_or(0)
}

#[test]
fn nothing_is_touched_before_the_first_event() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("state/spool");
    let spool = Spool::on_disk(&folder, Limits::default());
    assert!(spool.try_claim(&["a"]).expect("no folder is no error").is_none());
    assert_eq!(spool.stats().events, 0);
    spool.seal();
    assert_eq!(spool.drop_pending().expect("no folder is no error"), 0);
    drop(spool);
    assert!(!home.path().join("state").exists());
}

#[cfg(unix)]
#[test]
fn the_folder_and_its_files_are_private() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("spool");
    let spool = Spool::on_disk(&folder, Limits::default());
    spool.append(b"{}").expect("healthy");
    drop(spool.try_claim(&["a"]).expect("healthy"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).expect("there") {
        assert_eq!(mode(&entry.expect("an entry").path()), 0o600);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_can_write_to_is_refused_and_counted() {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("spool");
    fs::create_dir(&folder).expect("room");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).expect("ours");
    let spool = Spool::on_disk(&folder, Limits::default());
    assert_eq!(spool.append(b"{}"), Err(DropReason::FolderRefused));
    assert_eq!(dropped(&spool, DropReason::FolderRefused), 1);
    let refused = spool.stats().refused.expect("a reason");
    assert!(refused.contains("has mode 1777"), "{refused}");
    let error = spool.try_claim(&["a"]).expect_err("refused");
    assert!(error.to_string().contains("must not be writable by group or others"), "{error}");
    assert_eq!(fs::read_dir(&folder).expect("there").count(), 0);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_folder_is_refused() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("spool");
    std::os::unix::fs::symlink(home.path(), &folder).expect("room");
    let spool = Spool::on_disk(&folder, Limits::default());
    assert_eq!(spool.append(b"{}"), Err(DropReason::FolderRefused));
}

#[test]
fn a_full_disk_costs_counted_events_and_joins_no_lines() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    spool.append(event("1").as_bytes()).expect("room");
    machine.state().room = Some(5);
    assert_eq!(spool.append(event("2").as_bytes()), Err(DropReason::DiskFull));
    assert_eq!(spool.append(event("3").as_bytes()), Err(DropReason::DiskFull));
    machine.state().room = None;
    spool.append(event("4").as_bytes()).expect("room");
    assert_eq!(dropped(&spool, DropReason::DiskFull), 2);
    drop(spool);
    let spool = on(&machine, 2);
    assert_eq!(dropped(&spool, DropReason::DiskFull), 2, "written down once there was room");
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("4")]);
}

#[test]
fn a_read_only_disk_is_tried_again_after_a_second() {
    let machine = Machine::new(1);
    machine.state().read_only = true;
    let spool = on(&machine, 1);
    assert_eq!(spool.append(b"{}"), Err(DropReason::Unwritable));
    machine.state().read_only = false;
    let before = machine.operations(1);
    assert_eq!(spool.append(b"{}"), Err(DropReason::Unwritable));
    assert_eq!(machine.operations(1), before, "no cost meanwhile");
    machine.state().now_ms += 1_000;
    spool.append(b"{}").expect("writable");
    assert_eq!(dropped(&spool, DropReason::Unwritable), 2);
}

#[test]
fn events_of_a_deleted_segment_without_a_next_one_are_counted() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    for name in ["1", "2", "3"] {
        spool.append(event(name).as_bytes()).expect("room");
    }
    {
        let mut state = machine.state();
        state.delete_folder(Path::new("/spool"));
        state.room = Some(event("4").len() as u64 + 1);
        state.now_ms += 1_000;
    }
    assert_eq!(spool.append(event("4").as_bytes()), Err(DropReason::DiskFull));
    machine.state().room = None;
    assert_eq!((dropped(&spool, DropReason::Deleted), dropped(&spool, DropReason::DiskFull)), (3, 1));
}

#[test]
fn a_clock_that_jumps_back_keeps_the_order_and_drops_nothing() {
    let machine = Machine::new(1);
    let limits = Limits { segment_bytes: 1, ..Limits::default() };
    let spool = Spool::open("/spool", limits, machine.process(1, None));
    for number in 0..5 {
        spool.append(event(&number.to_string()).as_bytes()).expect("healthy");
        machine.state().now_ms -= 86_400_000;
    }
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    let expected: Vec<_> = (0..5).map(|number| event(&number.to_string())).collect();
    assert_eq!(drain(&mut deliverer, "a"), expected);
    assert!(spool.stats().drops.is_empty());
}

#[test]
fn a_forked_child_writes_to_a_segment_of_its_own() {
    // A view whose process id changes under the spool, as it does in a child.
    use crate::spool::fs::{Folder, FolderError, Fs};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    #[derive(Debug)]
    struct Forking(Arc<dyn Fs>, AtomicU32);
    impl Fs for Forking {
        fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
            self.0.folder(path, create)
        }
        fn now_ms(&self) -> u64 {
            self.0.now_ms()
        }
        fn process(&self) -> u32 {
            self.1.load(SeqCst)
        }
        fn random(&self) -> u32 {
            self.0.random()
        }
        fn pause(&self) {
            self.0.pause();
        }
    }
    let machine = Machine::new(1);
    let fs = Arc::new(Forking(machine.process(1, None), AtomicU32::new(1)));
    let spool = Spool::open("/spool", Limits::default(), Arc::clone(&fs) as Arc<dyn Fs>);
    spool.append(b"{}").expect("healthy");
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    // The parent is in the middle of an append, as far as the child can see.
    let parent = spool.shared.slot();
    let held = parent.writer();
    fs.1.store(2, SeqCst);
    spool.append(b"{}").expect("the child does not wait for its parent");
    assert_eq!(spool.stats().segments, 2);
    let lost = deliverer.next("a", 9, 999).expect_err("the parent delivers");
    assert!(lost.to_string().contains("the claim on its delivery is lost"), "{lost}");
    drop(held);
}

#[test]
fn one_deliverer_at_a_time_until_it_dies() {
    let machine = Machine::new(1);
    let (one, two) = (on(&machine, 1), on(&machine, 2));
    one.append(b"{}").expect("healthy");
    let first = one.try_claim(&["a"]).expect("healthy").expect("nobody else");
    assert!(two.try_claim(&["a"]).expect("healthy").is_none());
    machine.kill(1);
    assert!(two.try_claim(&["a"]).expect("healthy").is_some());
    drop(first);
}

#[test]
fn what_is_dropped_on_purpose_stays_dropped_and_writers_go_on() {
    let machine = Machine::new(1);
    let (service, other) = (on(&machine, 1), on(&machine, 2));
    service.append(event("1").as_bytes()).expect("healthy");
    other.append(event("2").as_bytes()).expect("healthy");
    assert_eq!(other.drop_pending().expect("healthy"), 2);
    assert_eq!(service.stats().events, 0);
    service.append(event("3").as_bytes()).expect("healthy");
    service.seal();
    other.append(event("4").as_bytes()).expect("healthy");
    let mut deliverer = service.try_claim(&["a"]).expect("healthy").expect("nobody else");
    assert_eq!(drain(&mut deliverer, "a").len(), 2);
    assert!(service.stats().drops.is_empty(), "what was dropped on purpose is no loss");
}

#[test]
fn a_backend_that_is_down_delays_no_other() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    spool.append(event("1").as_bytes()).expect("healthy");
    let mut deliverer = spool.try_claim(&["up", "down"]).expect("healthy").expect("nobody else");
    assert_eq!(drain(&mut deliverer, "up"), [event("1")]);
    let stats = spool.stats();
    assert_eq!((stats.events, stats.backends["up"].events, stats.backends["down"].events), (1, 0, 1));
    deliverer.retain_backends(&["up", "new"]).expect("healthy");
    assert_eq!(drain(&mut deliverer, "new"), [event("1")], "a new one starts at the oldest event");
    assert_eq!(spool.stats().segments, 0);
}

#[test]
fn without_a_backend_the_events_wait() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    spool.append(event("1").as_bytes()).expect("healthy");
    spool.seal();
    drop(spool.try_claim::<&str>(&[]).expect("healthy").expect("nobody else"));
    assert_eq!(spool.stats().events, 1);
}

#[test]
fn events_settled_behind_a_kept_one_stay_settled_after_a_crash() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    for number in 1..=4 {
        spool.append(event(&number.to_string()).as_bytes()).expect("healthy");
    }
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    let chunk = deliverer.next("a", 3, 999).expect("healthy").expect("three lines");
    deliverer.commit(&chunk, &[Settle::Keep, Settle::Done, Settle::Keep]).expect("healthy");
    machine.kill(1);
    let spool = on(&machine, 2);
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else lives");
    assert_eq!(drain(&mut deliverer, "a"), [event("1"), event("3"), event("4")]);
    assert_eq!(spool.stats().drops, BTreeMap::new());
}

#[test]
fn runs_of_a_short_lived_tool_share_a_segment() {
    let machine = Machine::new(1);
    for run in 1..=25 {
        on(&machine, run).append(event(&run.to_string()).as_bytes()).expect("healthy");
    }
    let spool = on(&machine, 99);
    assert_eq!((spool.stats().events, spool.stats().segments), (25, 1));
}

#[test]
fn events_that_are_too_old_are_dropped_and_counted() {
    let machine = Machine::new(1);
    let limits = Limits { max_age: Duration::from_secs(30), ..Limits::default() };
    let spool = Spool::open("/spool", limits, machine.process(1, None));
    for name in ["1", "2", "3"] {
        spool.append(event(name).as_bytes()).expect("healthy");
    }
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    let chunk = deliverer.next("a", 2, 999).expect("healthy").expect("two lines");
    deliverer.commit(&chunk, &[Settle::Keep, Settle::Done]).expect("healthy");
    machine.state().now_ms += 30_000;
    spool.enforce_limits().expect("healthy");
    assert_eq!(spool.stats().drops, BTreeMap::from([(DropReason::Age, 2)]));
    assert_eq!(spool.stats().events, 0);
}

/// Delivers to a backend what there is, whether or not that can be noted; gives the lines and how many notes failed.
fn drain_on_a_full_disk(deliverer: &mut Deliverer, backend: &str) -> (Vec<String>, usize) {
    let (mut lines, mut failed) = (Vec::new(), 0);
    while let Some(chunk) = deliverer.next(backend, 3, 1_000).expect("it can be read") {
        lines.extend(chunk.lines().map(str::to_owned));
        failed += usize::from(deliverer.commit(&chunk, &done(&chunk)).is_err());
    }
    (lines, failed)
}

#[test]
fn delivery_frees_a_disk_that_the_spool_has_filled() {
    let machine = Machine::new(1);
    let limits = Limits { segment_bytes: 100, ..Limits::default() };
    let spool = Spool::open("/spool", limits.clone(), machine.process(1, None));
    let events: Vec<_> = (0..30).map(|number| event(&number.to_string())).collect();
    let writer = on(&machine, 2);
    writer.append(event("of another process").as_bytes()).expect("room");
    machine.state().now_ms += 1;
    for event in &events {
        spool.append(event.as_bytes()).expect("room");
    }
    machine.state().room = Some(0);
    let mut deliverer = spool.try_claim(&["a"]).expect("a full disk is no reason").expect("nobody else");
    let (lines, failed) = drain_on_a_full_disk(&mut deliverer, "a");
    assert_eq!((&lines[1..], lines.len()), (&events[..], 31));
    assert!(failed > 0, "there was room all the time");
    assert_eq!(spool.stats().segments, 1, "the segment that is written to");
    machine.kill(1);
    let mut deliverer = on(&machine, 3).try_claim(&["a"]).expect("healthy").expect("nobody else lives");
    assert_eq!(drain(&mut deliverer, "a"), [""; 0], "it was not written down");
}

#[test]
fn unwritten_cursors_hold_in_this_process() {
    let machine = Machine::new(1);
    let (spool, writer) = (on(&machine, 1), on(&machine, 2));
    writer.append(event("1").as_bytes()).expect("room");
    machine.state().room = Some(0);
    for expected in [vec![event("1")], vec![]] {
        let mut deliverer = spool.try_claim(&["up", "down"]).expect("it can").expect("nobody else");
        assert_eq!(drain_on_a_full_disk(&mut deliverer, "up").0, expected);
    }
    let mut deliverer = spool.try_claim(&["up", "down"]).expect("it can").expect("nobody else");
    assert_eq!(drain_on_a_full_disk(&mut deliverer, "down").0, [event("1")]);
    machine.state().room = None;
    drop(deliverer);
    let mut deliverer = on(&machine, 3).try_claim(&["up", "down"]).expect("healthy").expect("nobody else");
    for backend in ["up", "down"] {
        assert_eq!(drain(&mut deliverer, backend), [""; 0], "{backend}: written once there was room");
    }
}

#[test]
fn at_most_once_sends_nothing_that_can_not_be_noted() {
    let machine = Machine::new(1);
    let spool = on(&machine, 1);
    spool.append(event("1").as_bytes()).expect("room");
    machine.state().room = Some(0);
    let mut deliverer = spool.try_claim(&["a"]).expect("it can").expect("nobody else");
    for _ in 0..2 {
        let chunk = deliverer.next("a", 3, 1_000).expect("healthy").expect("one line");
        deliverer.commit_before_send(&chunk).expect_err("no room");
    }
}

#[test]
fn a_backend_that_is_added_sends_nothing_again_to_the_others() {
    let machine = Machine::new(1);
    let (spool, writer) = (on(&machine, 1), on(&machine, 2));
    writer.append(event("1").as_bytes()).expect("healthy");
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    assert_eq!(drain(&mut deliverer, "a"), [event("1")]);
    drop(deliverer);
    let mut deliverer = spool.try_claim(&["a", "new"]).expect("healthy").expect("nobody else");
    assert_eq!(drain(&mut deliverer, "a"), [""; 0]);
    assert_eq!(drain(&mut deliverer, "new"), [event("1")]);
}
