//! What the spool costs, beside the same work without it. Run with `--release -- --ignored --nocapture`.

use std::{
    fs::OpenOptions,
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use jackfield::spool::{Limits, Settle, Spool};

const EVENTS: u32 = 20_000;

/// A line of 299 bytes: 300 with its line feed.
fn line() -> Vec<u8> {
    format!("{{\"id\":\"{}\"}}", "x".repeat(290)).into_bytes()
}

fn spacious() -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_events) = (1 << 30, 10_000_000);
    limits
}

/// The time of one event in the round that the machine disturbed least.
fn quickest(times: Vec<Duration>) -> Duration {
    times.into_iter().min().unwrap_or_default() / EVENTS
}

#[test]
#[ignore = "measures; says something in a release build alone"]
fn an_append_costs_at_most_two_raw_writes() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let spool = Spool::on_disk(home.path().join("spool"), spacious());
    let mut raw_line = line();
    raw_line.push(b'\n');
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    // In turn, so that both meet the same machine.
    for round in 0..15 {
        let path = home.path().join(format!("raw-{round}"));
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("room");
        let started = Instant::now();
        for _ in 0..EVENTS {
            file.write_all(black_box(&raw_line)).expect("room");
        }
        raw.push(started.elapsed());
        let line = line();
        let started = Instant::now();
        for _ in 0..EVENTS {
            spool.append(black_box(&line)).expect("room");
        }
        ours.push(started.elapsed());
    }
    let (raw, ours) = (quickest(raw), quickest(ours));
    let ratio = ours.as_secs_f64() / raw.as_secs_f64();
    println!("raw write {raw:?}, append {ours:?}, ratio {ratio:.2}");
    assert!(ratio <= 2.0, "ratio {ratio:.2}");
}

#[test]
#[ignore = "measures; says something in a release build alone"]
fn a_drain_passes_half_a_million_events_a_second() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let spool = Spool::on_disk(home.path().join("spool"), spacious());
    let line = line();
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        for _ in 0..EVENTS {
            spool.append(&line).expect("room");
        }
        best = best.max(drain(&spool));
    }
    println!("{best:.0} events a second");
    assert!(best >= 500_000.0, "{best:.0} events a second");
}

/// Events a second.
fn drain(spool: &Spool) -> f64 {
    let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
    let mut events = 0;
    let started = Instant::now();
    while let Some(chunk) = deliverer.next("a", 500, 1 << 20).expect("healthy") {
        events += black_box(&chunk).len();
        deliverer.commit(&chunk, &vec![Settle::Done; chunk.len()]).expect("healthy");
    }
    assert_eq!(events, EVENTS as usize);
    events as f64 / started.elapsed().as_secs_f64()
}
