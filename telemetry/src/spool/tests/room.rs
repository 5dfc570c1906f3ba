//! The limits of a spool with one writer hold exactly.

use crate::error::DropReason;
use crate::spool::handle::Spool;
use crate::spool::store::Limits;
use crate::spool::tests::event;
use crate::spool::tests::machine::Machine;

#[test]
fn bytes_stay_within_the_limit_and_the_oldest_leave() {
    let machine = Machine::new(1);
    let limits = Limits { max_bytes: 4_000, ..Limits::default() };
    let spool = Spool::open("/spool", limits, machine.process(1, None));
    for number in 0..1_000 {
        spool.append(event(&format!("{number:04}")).as_bytes()).expect("healthy");
        if number % 50 == 0 {
            assert!(spool.stats().segment_bytes <= 4_000);
        }
    }
    let stats = spool.stats();
    assert!(stats.segment_bytes > 2_500, "{stats:?}");
    assert_eq!(stats.events + stats.drops[&DropReason::Size], 1_000);
    let mut first = None;
    spool
        .pending(|line| {
            first = Some(line.to_vec());
            false
        })
        .expect("healthy");
    assert_eq!(first, Some(event(&format!("{:04}", 1_000 - stats.events)).into_bytes()));
}

#[test]
fn events_stay_within_the_limit() {
    let machine = Machine::new(1);
    let limits = Limits { max_events: 100, ..Limits::default() };
    let spool = Spool::open("/spool", limits, machine.process(1, None));
    for number in 0..1_000 {
        spool.append(event(&number.to_string()).as_bytes()).expect("healthy");
        assert!(number % 50 != 0 || spool.stats().events <= 100);
    }
    let stats = spool.stats();
    assert!(stats.events > 70, "{stats:?}");
    assert_eq!(stats.events + stats.drops[&DropReason::Count], 1_000);
}

#[test]
fn a_segment_that_another_process_writes_to_is_not_dropped() {
    let machine = Machine::new(1);
    let limits = Limits { max_bytes: 100, ..Limits::default() };
    let (one, two) = (
        Spool::open("/spool", limits.clone(), machine.process(1, None)),
        Spool::open("/spool", limits, machine.process(2, None)),
    );
    one.append(event("first").as_bytes()).expect("healthy");
    for number in 0..50 {
        two.append(event(&format!("{number:020}")).as_bytes()).expect("healthy");
    }
    let mut lines = Vec::new();
    one.pending(|line| {
        lines.push(line.to_vec());
        true
    })
    .expect("healthy");
    assert_eq!(lines[0], event("first").into_bytes());
}

#[test]
fn a_line_that_is_too_long_is_refused_and_counted() {
    let machine = Machine::new(1);
    let spool = Spool::open("/spool", Limits::default(), machine.process(1, None));
    let long = vec![b'x'; crate::event::parse::MAX_LINE + 1];
    assert_eq!(spool.append(&long), Err(DropReason::TooLong));
    spool.append(&long[1..]).expect("the longest line that may be");
    assert_eq!(spool.stats().drops[&DropReason::TooLong], 1);
}

/// A spool that refuses what is over these limits, filled until it does, and how many events it has taken.
fn full(machine: &std::sync::Arc<Machine>, limits: &Limits, reason: DropReason) -> (Spool, usize) {
    let limits = Limits { refuse_when_full: true, ..limits.clone() };
    let spool = Spool::open("/spool", limits, machine.process(1, None));
    for number in 0..1_000 {
        if let Err(refused) = spool.offer_as(1, event(&format!("{number:04}")).as_bytes()) {
            assert_eq!(refused, reason);
            return (spool, number);
        }
    }
    panic!("never full")
}

#[test]
fn a_full_spool_that_refuses_keeps_the_oldest_events() {
    for (limits, reason) in [
        (Limits { max_bytes: 4_000, ..Limits::default() }, DropReason::Size),
        (Limits { max_events: 100, ..Limits::default() }, DropReason::Count),
    ] {
        let machine = Machine::new(1);
        let (spool, taken) = full(&machine, &limits, reason);
        assert!(taken >= 75, "{taken}");
        machine.state().now_ms += 1_000;
        assert_eq!(spool.offer_as(1, event("again").as_bytes()), Err(reason));
        spool.enforce_limits().expect("healthy");
        let stats = spool.stats();
        assert!(stats.segment_bytes <= 4_000 && stats.events == taken as u64, "{stats:?}");
        assert!(stats.drops.is_empty(), "what is offered and refused is not lost: {stats:?}");
        let mut deliverer = spool.try_claim(&["a"]).expect("healthy").expect("nobody else");
        let expected: Vec<_> = (0..taken).map(|number| event(&format!("{number:04}"))).collect();
        assert_eq!(crate::spool::tests::drain(&mut deliverer, "a"), expected);
        machine.state().now_ms += 1_000;
        spool.offer_as(1, event("again").as_bytes()).expect("room");
        assert_eq!(crate::spool::tests::drain(&mut deliverer, "a"), [event("again")]);
        assert!(spool.stats().drops.is_empty());
    }
}

#[test]
fn an_event_offered_to_a_full_disk_is_not_counted() {
    let machine = Machine::new(1);
    let spool = Spool::open("/spool", Limits::default(), machine.process(1, None));
    machine.state().room = Some(5);
    for _ in 0..3 {
        assert_eq!(spool.offer_as(1, event("1").as_bytes()), Err(DropReason::DiskFull));
    }
    machine.state().room = None;
    spool.offer_as(1, event("1").as_bytes()).expect("room");
    let stats = spool.stats();
    assert!(stats.drops.is_empty() && stats.events == 1, "{stats:?}");
}
