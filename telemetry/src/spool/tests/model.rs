//! Random programs of several processes on one spool, which die anywhere, against what must always hold.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::error::DropReason;
use crate::spool::chunk::Chunk;
use crate::spool::handle::Spool;
use crate::spool::reader::{Deliverer, Settle};
use crate::spool::stats::SpoolStats;
use crate::spool::store::Limits;
use crate::spool::tests::machine::Machine;

const FOLDER: &str = "/spool";
const BACKENDS: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    /// The turn passes at every operation, and not only between two steps.
    fine: bool,
    crashes: bool,
    /// Full and failing disks.
    faults: bool,
    /// Some events are to be tried again.
    retries: bool,
    /// Room for few events.
    tight: bool,
}

/// What the world has seen.
#[derive(Debug, Default)]
struct Log {
    /// Whole lines that were tried.
    tried: HashSet<String>,
    /// Those whose append returned `Ok`.
    acknowledged: HashSet<String>,
    /// How often each line arrived, a backend.
    arrived: HashMap<(String, String), u32>,
    /// How often it may have: once more for each commit that did not return.
    again: HashMap<(String, String), u32>,
    /// The furthest place of a first arrival, a backend and segment.
    furthest: HashMap<(String, String), u64>,
}

impl Log {
    fn arrive(&mut self, chunk: &Chunk, index: usize, ordered: bool) {
        let line = chunk.line(index).to_owned();
        assert!(self.tried.contains(&line), "a line that nobody wrote: {line}");
        let arrived = self.arrived.entry((chunk.backend().to_owned(), line)).or_default();
        *arrived += 1;
        if *arrived == 1 && ordered {
            let (segment, offset) = chunk.place(index);
            let key = (chunk.backend().to_owned(), segment);
            let furthest = self.furthest.insert(key, offset);
            assert!(furthest.is_none_or(|furthest| furthest < offset), "out of order");
        }
    }
}

impl Chunk {
    /// The segment and the offset of a line.
    fn place(&self, index: usize) -> (String, u64) {
        let part = self.parts.iter().find(|part| index < part.lines_end).expect("a line of the chunk");
        (part.name.to_string(), self.lines[index].offset)
    }
}

fn limits(plan: Plan) -> Limits {
    let mut limits = Limits { segment_bytes: 200, ..Limits::default() };
    if plan.tight {
        limits.max_bytes = 1_000;
        limits.max_events = 40;
    }
    limits.max_age = Duration::from_secs(3_000);
    limits
}

fn run(seed: u64, plan: Plan) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let machine = Machine::new(seed);
    {
        let mut state = machine.state();
        state.fine = plan.fine;
        state.short_writes = if plan.faults { 30 } else { 0 };
        state.errors = if plan.faults { 5 } else { 0 };
    }
    let log = Arc::new(Mutex::new(Log::default()));
    let ids: Vec<u32> = (1..=rng.u32(1..=4)).collect();
    let mut programs = Vec::new();
    for &id in &ids {
        let dies_at = (plan.crashes && rng.u8(..4) > 0).then(|| rng.u64(1..400));
        let fs = machine.process(id, dies_at);
        let (machine, log, seed) = (Arc::clone(&machine), Arc::clone(&log), rng.u64(..));
        programs.push(move || {
            // Also when an assertion fails, so that the others need not wait for ever.
            let _ended = Ended(Arc::clone(&machine), id);
            let spool = Spool::open(FOLDER, limits(plan), fs);
            program(&machine, id, &spool, &log, plan, seed);
        });
    }
    machine.schedule(&ids);
    let threads: Vec<_> = programs
        .into_iter()
        .map(|program| thread::Builder::new().name("process".into()).spawn(program).expect("a thread"))
        .collect();
    let ended: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
    assert!(ended.iter().all(Result::is_ok), "seed {seed}, {plan:?}: a process failed");
    let dead = ids.iter().filter(|id| machine.is_dead(**id)).count() as u64;
    let stats = recover(&machine, &log);
    check(&log.lock().expect("no thread has failed"), &stats, dead, plan, seed);
}

struct Ended(Arc<Machine>, u32);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended(self.1);
    }
}

/// The random steps of one process.
fn program(machine: &Arc<Machine>, id: u32, spool: &Spool, log: &Mutex<Log>, plan: Plan, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut deliverer: Option<Deliverer> = None;
    for step in 0..rng.u32(10..60) {
        machine.step(id);
        if machine.is_dead(id) {
            break;
        }
        match rng.u8(..16) {
            0..=7 => {
                let line = format!("{{\"id\":\"{id}-{step}\",\"x\":\"{}\"}}", "x".repeat(rng.usize(..40)));
                log.lock().expect("healthy").tried.insert(line.clone());
                let appended = spool.append(line.as_bytes());
                if appended.is_ok() {
                    log.lock().expect("healthy").acknowledged.insert(line);
                }
            }
            8..=11 => {
                if deliverer.is_none() {
                    deliverer = spool.try_claim(&BACKENDS).unwrap_or_default();
                }
                if let Some(deliverer) = &mut deliverer {
                    let backend = BACKENDS[rng.usize(..2)];
                    let chunk = deliverer.next(backend, rng.usize(1..8), rng.usize(1..400));
                    if let Ok(Some(chunk)) = chunk {
                        send(deliverer, &chunk, log, plan, &mut rng);
                    }
                }
            }
            12 => deliverer = None,
            13 => spool.seal(),
            14 => _ = spool.enforce_limits(),
            _ => disturb(machine, plan, &mut rng),
        }
    }
}

/// Time passes, sometimes backwards; the disk gets full and is freed.
fn disturb(machine: &Machine, plan: Plan, rng: &mut fastrand::Rng) {
    let mut state = machine.state();
    state.now_ms = state.now_ms + rng.u64(..if plan.tight { 300_000 } else { 20_000 }) - rng.u64(..15_000);
    if plan.faults {
        state.room = rng.bool().then(|| rng.u64(..1_500));
        state.read_only = rng.u8(..8) == 0;
    }
}

fn send(deliverer: &mut Deliverer, chunk: &Chunk, log: &Mutex<Log>, plan: Plan, rng: &mut fastrand::Rng) {
    let mut settled = vec![Settle::Done; chunk.len()];
    for (index, settle) in settled.iter_mut().enumerate() {
        if plan.retries && rng.u8(..3) == 0 {
            *settle = Settle::Keep;
        } else {
            log.lock().expect("healthy").arrive(chunk, index, !plan.retries);
        }
    }
    if deliverer.commit(chunk, &settled).is_err() {
        let mut log = log.lock().expect("healthy");
        for (index, settle) in settled.iter().enumerate() {
            if *settle == Settle::Done {
                *log.again.entry((chunk.backend().to_owned(), chunk.line(index).to_owned())).or_default() +=
                    1;
            }
        }
    }
}

/// A last process on a healthy machine delivers what is there.
fn recover(machine: &Arc<Machine>, log: &Mutex<Log>) -> SpoolStats {
    {
        let mut state = machine.state();
        (state.room, state.read_only, state.errors, state.short_writes) = (None, false, 0, 0);
        // Nothing gets older, so that what leaves now was delivered.
        state.now_ms = 1_800_000_000_000;
    }
    let spool = Spool::open(FOLDER, Limits::default(), machine.process(99, None));
    spool.append(b"{}").expect("a healthy machine");
    log.lock().expect("healthy").tried.insert("{}".into());
    let mut deliverer = spool.try_claim(&BACKENDS).expect("healthy").expect("nobody else lives");
    for backend in BACKENDS {
        while let Some(chunk) = deliverer.next(backend, 5, 300).expect("healthy") {
            (0..chunk.len()).for_each(|index| log.lock().expect("healthy").arrive(&chunk, index, false));
            deliverer.commit(&chunk, &crate::spool::tests::done(&chunk)).expect("healthy");
        }
    }
    let stats = spool.stats();
    assert_eq!((stats.segments, stats.events), (0, 0), "all is delivered: {stats:?}");
    stats
}

fn check(log: &Log, stats: &SpoolStats, dead: u64, plan: Plan, seed: u64) {
    let context = format!("seed {seed}, {plan:?}, {dead} dead, {stats:?}");
    for (key, arrived) in &log.arrived {
        let again = log.again.get(key).copied().unwrap_or(0);
        assert!(*arrived <= 1 + again, "{key:?} arrived {arrived} times; {context}");
    }
    let missing = |lines: &HashSet<String>| {
        let missed = |line: &&String| {
            BACKENDS.iter().any(|backend| !log.arrived.contains_key(&(backend.to_string(), line.to_string())))
        };
        lines.iter().filter(missed).count() as u64
    };
    let dropped = |reasons: &[DropReason]| -> u64 {
        let by_reason: &BTreeMap<_, _> = &stats.drops;
        reasons.iter().filter_map(|reason| by_reason.get(reason)).sum()
    };
    let limited = dropped(&[DropReason::Size, DropReason::Count, DropReason::Age]);
    let missed = missing(&log.acknowledged);
    assert!(limited >= missed, "{missed} lost, {limited} counted; {context}");
    if !plan.fine {
        let again = log.again.len() as u64;
        let possible = missing(&log.tried) + again;
        assert!(limited <= possible, "at most {possible} lost, {limited} counted; {context}");
    }
    assert!(dropped(&[DropReason::Damaged]) <= dead + u64::from(plan.faults) * 50, "{context}");
    assert_eq!(dropped(&[DropReason::Deleted]), 0, "{context}");
    if !plan.faults && !plan.crashes {
        assert_eq!(log.tried.len(), log.acknowledged.len() + 1, "{context}");
    }
}

fn run_all(name: &str, runs: u64, plan: Plan) {
    // One more from the environment, to look at a seed again or for a longer search.
    let more = std::env::var("SPOOL_RUNS").ok().and_then(|runs| runs.parse().ok());
    let base =
        name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)) % 1_000_000 * 1_000;
    for seed in 0..more.unwrap_or(runs) {
        run(base + seed, plan);
    }
}

#[test]
fn every_event_arrives_once_at_each_backend() {
    run_all("calm", 80, Plan { fine: true, ..Plan::default() });
}

#[test]
fn retried_events_are_not_mixed_up_with_delivered_ones() {
    run_all("retries", 80, Plan { fine: true, retries: true, crashes: true, ..Plan::default() });
}

#[test]
fn a_crash_loses_no_event_and_joins_no_lines() {
    run_all("crashes", 120, Plan { fine: true, crashes: true, ..Plan::default() });
}

#[test]
fn what_limits_drop_is_counted() {
    run_all("tight", 80, Plan { tight: true, ..Plan::default() });
    run_all("tight, crashing", 80, Plan { tight: true, crashes: true, ..Plan::default() });
    run_all(
        "tight, mixed",
        60,
        Plan { tight: true, crashes: true, fine: true, retries: true, ..Plan::default() },
    );
}

#[test]
fn full_and_failing_disks_lose_no_event_that_was_taken() {
    run_all("faults", 80, Plan { faults: true, fine: true, ..Plan::default() });
    run_all("all", 80, Plan { faults: true, fine: true, crashes: true, retries: true, tight: true });
}

/// With this seed the list of segments can't be read right after a claim that has cursors to write.
#[test]
fn a_list_that_fails_forgets_no_cursor() {
    for _ in 0..8 {
        run(347_985_148, Plan { faults: true, fine: true, ..Plan::default() });
    }
}

/// The same short history, with a crash at each of its operations in turn.
#[test]
fn a_crash_after_each_operation_of_a_run_is_survived() {
    for at in 1.. {
        let machine = Machine::new(at);
        let spool = Spool::open(FOLDER, limits(Plan::default()), machine.process(1, Some(at)));
        let log = Mutex::new(Log::default());
        let mut rng = fastrand::Rng::with_seed(at);
        let plan = Plan { fine: true, crashes: true, ..Plan::default() };
        for number in 0..12 {
            let line = format!("{{\"id\":\"{number}\",\"pad\":\"0123456789\"}}");
            log.lock().expect("healthy").tried.insert(line.clone());
            if spool.append(line.as_bytes()).is_ok() {
                log.lock().expect("healthy").acknowledged.insert(line);
            }
        }
        if let Ok(Some(mut deliverer)) = spool.try_claim(&BACKENDS) {
            for backend in BACKENDS {
                while let Ok(Some(chunk)) = deliverer.next(backend, 4, 1_000) {
                    send(&mut deliverer, &chunk, &log, plan, &mut rng);
                }
            }
        }
        let operations = machine.operations(1);
        let dead = u64::from(machine.is_dead(1));
        machine.kill(1);
        drop(spool);
        let stats = recover(&machine, &log);
        check(&log.lock().expect("healthy"), &stats, dead, plan, at);
        if dead == 0 {
            assert!(operations > 50 && operations < at, "{operations} operations were met");
            return;
        }
    }
}

#[test]
fn a_deleted_folder_costs_its_events_and_is_made_again() {
    let machine = Machine::new(1);
    let spool = Spool::open(FOLDER, Limits::default(), machine.process(1, None));
    for number in 0..3 {
        spool.append(crate::spool::tests::event(&number.to_string()).as_bytes()).expect("healthy");
    }
    machine.state().now_ms += 50;
    spool.append(crate::spool::tests::event("3").as_bytes()).expect("healthy");
    machine.state().delete_folder(Path::new(FOLDER));
    let after: Vec<_> = (4..10).map(|number| crate::spool::tests::event(&number.to_string())).collect();
    for (number, event) in after.iter().enumerate() {
        machine.state().now_ms += if number == 5 { 50 } else { 1 };
        spool.append(event.as_bytes()).expect("the folder is made again");
    }
    assert_eq!(spool.stats().drops, BTreeMap::from([(DropReason::Deleted, 4)]));
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    assert_eq!(crate::spool::tests::drain(&mut deliverer, "a"), after);
}

#[test]
fn a_delivery_whose_folder_vanishes_knows_that_its_claim_is_gone() {
    let machine = Machine::new(1);
    let spool = Spool::open(FOLDER, Limits::default(), machine.process(1, None));
    spool.append(b"{}").expect("healthy");
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    machine.state().delete_folder(Path::new(FOLDER));
    let error = deliverer.next("a", 1, 1).expect_err("the claim is gone");
    assert_eq!(error.to_string(), "spool /spool: the claim on its delivery is lost; claim it again");
    spool.append(b"{}").expect("healthy");
    spool.seal();
    assert!(spool.try_claim(&["a"]).expect("healthy").is_some());
}
