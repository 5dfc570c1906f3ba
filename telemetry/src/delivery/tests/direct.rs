use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jackfield_loader::{
    BackendOptions, Batch, EventFields,
    plugin_api::{Outcome, Outcomes},
};

use super::{LONG, Scripted};
use crate::delivery::direct::{
    CancellationToken, Delivery, DeliveryOptions, EventOutcome, RetryPauses, STOPPED,
};

const MS: Duration = Duration::from_millis(1);

/// The names of the events of each attempt.
type Attempts = Arc<Mutex<Vec<String>>>;

/// A delivery, and what its backend was given. It answers each attempt as the closure says.
struct Fake {
    delivery: Delivery,
    attempts: Attempts,
    stop: CancellationToken,
}

impl Fake {
    fn new(
        options: DeliveryOptions,
        answer: impl Fn(usize, &[String]) -> Vec<Outcome> + Send + Sync + 'static,
    ) -> Self {
        Self::with_stop(options, CancellationToken::new(), answer)
    }

    fn with_stop(
        options: DeliveryOptions,
        stop: CancellationToken,
        answer: impl Fn(usize, &[String]) -> Vec<Outcome> + Send + Sync + 'static,
    ) -> Self {
        let attempts = Attempts::default();
        let seen = Arc::clone(&attempts);
        let backend = Scripted::new(move |batch| {
            let names: Vec<String> = batch.iter().map(|event| event.name().to_owned()).collect();
            let number = {
                let mut seen = seen.lock().expect("no panic");
                seen.push(names.concat());
                seen.len()
            };
            Outcomes::Each(answer(number, &names))
        });
        let backend = backend.open(&BackendOptions::new("fake").timeout(LONG));
        Self { delivery: Delivery::new(backend, options, stop.clone()), attempts, stop }
    }

    fn deliver(&mut self, names: &[&str]) -> Vec<EventOutcome> {
        self.delivery.deliver(&batch(names))
    }

    fn attempts(&self) -> Vec<String> {
        self.attempts.lock().expect("no panic").clone()
    }
}

fn delivery(
    give_up_after: Duration,
    answer: impl Fn(usize, &[String]) -> Vec<Outcome> + Send + Sync + 'static,
) -> Fake {
    Fake::new(DeliveryOptions { give_up_after, first_pause: MS, longest_pause: 5 * MS }, answer)
}

fn batch(names: &[&str]) -> Batch {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let built = Batch::build(names, |names, batch| {
        for name in names {
            batch.push(&EventFields { json: "{}", name, ..EventFields::default() });
        }
        Ok::<(), std::convert::Infallible>(())
    });
    built.expect("a batch")
}

#[test]
fn what_is_delivered_at_once_is_sent_once() {
    let mut delivery = delivery(LONG, |_, names| vec![Outcome::Delivered; names.len()]);
    assert_eq!(delivery.deliver(&["a", "b"]), [EventOutcome::Delivered, EventOutcome::Delivered]);
    assert_eq!((delivery.attempts(), delivery.delivery.retried()), (vec!["ab".to_owned()], 0));
}

#[test]
fn only_the_events_that_are_to_be_retried_are_sent_again() {
    let mut delivery = delivery(LONG, |attempt, names| {
        let answer = |name: &String| match name.as_str() {
            "b" if attempt < 3 => Outcome::retry("not yet"),
            "c" => Outcome::rejected("never"),
            _ => Outcome::Delivered,
        };
        names.iter().map(answer).collect()
    });
    let fates = delivery.deliver(&["a", "b", "c"]);
    assert_eq!(
        fates,
        [EventOutcome::Delivered, EventOutcome::Delivered, EventOutcome::Rejected("never".into())]
    );
    assert_eq!(delivery.attempts(), ["abc", "b", "b"]);
    assert_eq!(delivery.delivery.retried(), 2);
}

#[test]
fn a_large_batch_is_halved_and_a_large_event_is_rejected() {
    let mut delivery = delivery(LONG, |_, names| {
        let fits = names.len() <= 2 && !names.contains(&"C".to_owned());
        let outcome = if fits { Outcome::Delivered } else { Outcome::too_large("limit 2") };
        vec![outcome; names.len()]
    });
    let fates = delivery.deliver(&["a", "b", "C", "d", "e"]);
    assert_eq!(delivery.attempts(), ["abCde", "abC", "ab", "C", "de"]);
    let rejected = EventOutcome::Rejected("too large even alone: limit 2".into());
    assert_eq!(
        fates,
        [
            EventOutcome::Delivered,
            EventOutcome::Delivered,
            rejected,
            EventOutcome::Delivered,
            EventOutcome::Delivered
        ]
    );
    assert_eq!(delivery.delivery.retried(), 0, "splitting is no retry");
}

#[test]
fn a_short_answer_is_a_retry_of_the_rest() {
    let mut delivery = delivery(LONG, |_, _| vec![Outcome::Delivered]);
    assert_eq!(delivery.deliver(&["a", "b"]), [EventOutcome::Delivered, EventOutcome::Delivered]);
    assert_eq!(delivery.attempts(), ["ab", "b"]);
}

#[test]
fn a_backend_that_is_down_costs_the_budget_once() {
    let mut delivery = delivery(40 * MS, |_, names| vec![Outcome::retry("refused"); names.len()]);
    let started = Instant::now();
    assert_eq!(delivery.deliver(&["a"]), [EventOutcome::Undelivered("refused".into())]);
    assert!(started.elapsed() >= 40 * MS, "the budget is used");
    let first = delivery.attempts().len();
    assert!(first > 2 && !delivery.delivery.is_given_up());
    assert_eq!(delivery.deliver(&["b"]), [EventOutcome::Undelivered("refused".into())]);
    assert_eq!(delivery.attempts().len(), first + 1, "one attempt");
    assert!(delivery.delivery.is_given_up());
    let reason = "not attempted, the backend was given up: refused";
    assert_eq!(delivery.deliver(&["c"]), [EventOutcome::Undelivered(reason.into())]);
    assert_eq!(delivery.attempts().len(), first + 1, "none");
}

#[test]
fn a_backend_that_comes_back_on_probation_is_trusted_again() {
    let mut delivery = delivery(10 * MS, |_, names| {
        let answer = |name: &String| if name == "x" { Outcome::retry("no") } else { Outcome::Delivered };
        names.iter().map(answer).collect()
    });
    for _ in 0..3 {
        assert_eq!(delivery.deliver(&["x"]), [EventOutcome::Undelivered("no".into())]);
        assert_eq!(delivery.deliver(&["a"]), [EventOutcome::Delivered]);
    }
    assert!(!delivery.delivery.is_given_up());
}

#[test]
fn progress_renews_the_budget() {
    let mut delivery = delivery(60 * MS, |_, names| {
        std::thread::sleep(20 * MS);
        let mut outcomes = vec![Outcome::retry("slowly"); names.len()];
        outcomes[0] = Outcome::Delivered;
        outcomes
    });
    let fates = delivery.deliver(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(fates, vec![EventOutcome::Delivered; 8]);
}

#[test]
fn the_backends_own_wish_is_waited_for() {
    let mut delivery = delivery(LONG, |attempt, names| {
        let wait = Outcome::Retry { after: Some(80 * MS), reason: "busy".into() };
        vec![if attempt == 1 { wait } else { Outcome::Delivered }; names.len()]
    });
    let started = Instant::now();
    assert_eq!(delivery.deliver(&["a"]), [EventOutcome::Delivered]);
    assert!(started.elapsed() >= 80 * MS);
}

#[test]
fn a_wish_beyond_the_budget_is_not_waited_for() {
    // Short enough that waiting for either is a failure soon, and long enough not to pass by chance.
    const BUDGET: Duration = Duration::from_secs(10);
    const WISH: Duration = Duration::from_secs(12);
    let mut delivery = delivery(BUDGET, |_, names| {
        vec![Outcome::Retry { after: Some(WISH), reason: "later".into() }; names.len()]
    });
    // Ends what waits longer than either.
    let stop = delivery.stop.clone();
    let late = move || {
        std::thread::sleep(2 * WISH);
        stop.set();
    };
    std::thread::Builder::new().spawn(late).expect("a thread");
    let started = Instant::now();
    assert_eq!(
        delivery.deliver(&["a"]),
        [EventOutcome::Undelivered("later; it wants 12.0s before the next attempt".into())]
    );
    assert!(started.elapsed() < BUDGET && delivery.attempts().len() == 1);
}

#[test]
fn stop_ends_a_pause_and_nothing_is_attempted_after_it() {
    let mut delivery = delivery(5 * LONG, |_, names| {
        vec![Outcome::Retry { after: Some(LONG), reason: "later".into() }; names.len()]
    });
    let stop = delivery.stop.clone();
    let started = Instant::now();
    let fates = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(30 * MS);
            stop.set();
        });
        delivery.deliver(&["a"])
    });
    assert_eq!(fates, [EventOutcome::Undelivered("later".into())]);
    assert!(started.elapsed() < LONG);
    assert_eq!(delivery.deliver(&["b"]), [EventOutcome::Undelivered(STOPPED.into())]);
    assert_eq!(delivery.attempts(), ["a"]);
}

#[test]
fn stop_between_the_halves_of_a_batch_keeps_what_was_settled() {
    let stop = CancellationToken::new();
    let flag = stop.clone();
    let answer = move |_: usize, names: &[String]| {
        if names.len() == 1 {
            flag.set();
            return vec![Outcome::Delivered];
        }
        vec![Outcome::too_large("limit 1"); names.len()]
    };
    let mut delivery = Fake::with_stop(DeliveryOptions::default(), stop, answer);
    assert_eq!(
        delivery.deliver(&["a", "b"]),
        [EventOutcome::Delivered, EventOutcome::Undelivered(STOPPED.into())]
    );
}

#[test]
fn pauses_double_up_to_the_longest() {
    let mut pauses = RetryPauses::new(100 * MS, 350 * MS);
    for step in [100, 200, 350, 350] {
        let pause = pauses.next(None, Duration::MAX).expect("time is left");
        assert!(pause >= MS * step / 2 && pause <= MS * step, "{pause:?} of {step}");
    }
    pauses.reset();
    assert!(pauses.next(None, Duration::MAX).expect("time is left") <= 100 * MS);
}

#[test]
fn a_requested_pause_beyond_the_budget_ends_the_attempts() {
    let mut pauses = RetryPauses::new(MS, MS);
    assert_eq!(pauses.next(Some(70 * MS), 100 * MS), Some(70 * MS));
    assert_eq!(pauses.next(Some(170 * MS), 100 * MS), None);
}

#[test]
fn a_pause_ends_with_the_budget_and_none_follows() {
    let mut pauses = RetryPauses::new(500 * MS, 500 * MS);
    assert_eq!(pauses.next(None, 20 * MS), Some(20 * MS));
    assert_eq!(pauses.next(None, Duration::ZERO), None);
}

#[test]
fn a_sleeper_wakes_when_the_flag_is_set() {
    let stop = CancellationToken::new();
    assert!(stop.sleep(MS), "slept to the end");
    let sleeper = stop.clone();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let woken = scope.spawn(move || sleeper.sleep(Duration::from_secs(60)));
        stop.set();
        assert!(!woken.join().expect("no panic"), "woken early");
    });
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(stop.is_set() && !stop.sleep(Duration::from_secs(60)));
}
