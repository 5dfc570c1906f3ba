use std::time::Duration;

use super::failure;
use crate::delivery::circuit_breaker::CircuitBreaker;
use crate::delivery::open_backend::OpenError;
use crate::delivery::settle::Settlement;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);
const LONGEST_WISH: Duration = Duration::from_secs(24 * 60 * 60);

fn progress() -> Settlement {
    Settlement { delivered: 1, ..Settlement::default() }
}

#[test]
fn each_failure_doubles_the_pause_until_a_success() {
    let mut circuit = CircuitBreaker::default();
    assert_eq!(circuit.open_for(0), None);
    for failures in 0..40_u32 {
        circuit.settled(&failure(None), 1000, LONGEST);
        let pause = circuit.open_for(1000).expect("open");
        let whole = FIRST.saturating_mul(1 << failures.min(20)).min(LONGEST);
        assert!(pause <= whole && pause + Duration::from_millis(1) >= whole / 2, "{failures}: {pause:?}");
    }
    circuit.settled(&progress(), 1000, LONGEST);
    assert_eq!(circuit.open_for(1000), None);
}

#[test]
fn a_backends_wish_is_followed_within_reason() {
    let mut circuit = CircuitBreaker::default();
    circuit.settled(&failure(Some(Duration::from_secs(3600))), 0, LONGEST);
    assert_eq!(circuit.open_for(0), Some(Duration::from_secs(3600)));
    circuit.settled(&failure(Some(Duration::from_secs(u64::MAX))), 0, LONGEST);
    assert_eq!(circuit.open_for(0), Some(LONGEST_WISH));
}

#[test]
fn a_clock_that_jumps_back_does_not_keep_it_open() {
    let mut circuit = CircuitBreaker::default();
    circuit.settled(&failure(Some(Duration::from_secs(60))), 1_000_000, LONGEST);
    assert!(circuit.open_for(1_000_001).is_some());
    assert_eq!(circuit.open_for(999_999), None);
}

#[test]
fn without_an_answer_the_circuit_stays_as_it_is() {
    let mut circuit = CircuitBreaker::default();
    circuit.settled(&failure(None), 1000, LONGEST);
    let before = circuit.clone();
    circuit.settled(&Settlement { not_asked: true, ..Settlement::default() }, 1000, LONGEST);
    circuit.not_opened(&OpenError::Plugin { reason: "it is not there".into(), ran: false }, 1000, LONGEST);
    assert_eq!(circuit, before);
    circuit.not_opened(&OpenError::Unavailable { reason: "away".into() }, 1000, LONGEST);
    assert_ne!(circuit, before);
    circuit.close();
    assert_eq!(circuit, CircuitBreaker::default());
}
