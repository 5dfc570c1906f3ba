use std::{
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Batch,
    plugin_api::{self, Call, Error, Host, NoConfig, Outcome, Outcomes},
};

use super::{LONG, Scripted, batch};
use crate::delivery::attempt::{Answer, attempt_while};

fn outcomes(
    backend: &Backend,
    batch: &Batch,
    deadline: Instant,
    wanted: &dyn Fn() -> bool,
) -> Vec<Option<Outcome>> {
    let answers = attempt_while(backend, batch, LONG, deadline, wanted, LONG).answers;
    answers.into_iter().map(|answer| answer.outcome).collect()
}

#[test]
fn a_backend_whose_workers_are_all_busy_was_not_asked() {
    let (entered, is_inside) = mpsc::sync_channel::<()>(1);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let holds = Scripted::new(move |_| {
        _ = entered.send(());
        _ = released.lock().expect("one at a time").recv();
        Outcome::Delivered.into()
    });
    let backend = holds.open(&BackendOptions::new("busy").concurrency(1));
    thread::scope(|scope| {
        let other = scope.spawn(|| backend.send_within(&batch(1), LONG));
        is_inside.recv().expect("it was asked");
        let soon = Instant::now() + Duration::from_millis(20);
        let attempt = attempt_while(&backend, &batch(2), LONG, soon, &|| true, LONG);
        assert_eq!(attempt.answers, [Answer::default(), Answer::default()]);
        assert!(attempt.cut_short.is_some_and(|reason| reason.contains("busy")));
        release.send(()).expect("it waits");
        assert!(other.join().expect("no panic").failure().is_none());
    });
}

#[test]
fn parts_without_time_are_not_asked_about() {
    let backend = Scripted::new(|_| Outcome::Delivered.into()).open(&BackendOptions::new("fine"));
    assert_eq!(outcomes(&backend, &batch(2), Instant::now(), &|| true), [None, None]);
    let delivered = Some(Outcome::Delivered);
    assert_eq!(
        outcomes(&backend, &batch(2), Instant::now() + LONG, &|| true),
        [delivered.clone(), delivered]
    );
}

#[test]
fn a_large_event_without_a_second_call_was_not_handed_over() {
    let backend = Scripted::new(|batch| match batch.len() {
        1 => Outcome::Delivered.into(),
        _ => Outcome::too_large("limit 1").into(),
    });
    let backend = backend.open(&BackendOptions::new("small"));
    // No second call is wanted.
    let answers = attempt_while(&backend, &batch(2), LONG, Instant::now() + LONG, &|| false, LONG).answers;
    assert_eq!(answers, [Answer::default(), Answer::default()]);
}

#[test]
fn a_call_that_exceeds_its_time_is_a_failure() {
    let hangs = Scripted::new(|_| {
        loop {
            thread::park();
        }
    });
    let backend = hangs.open(&BackendOptions::new("hung"));
    let soon = Instant::now() + Duration::from_millis(50);
    let outcomes = outcomes(&backend, &batch(1), soon, &|| true);
    assert!(matches!(&outcomes[..], [Some(Outcome::Retry { .. })]), "{outcomes:?}");
}

/// Reports one event as delivered, and then works until it is cancelled.
struct Slow;

impl plugin_api::Backend for Slow {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn send(&self, _: &plugin_api::Batch<'_>, call: &Call<'_>) -> Outcomes {
        while !call.is_cancelled() {
            thread::sleep(Duration::from_millis(5));
        }
        Outcomes::Each(vec![Outcome::Delivered, Outcome::retry("cancelled")])
    }
}

#[test]
fn a_cancelled_call_ends_and_its_confirmed_events_count() {
    let backend = Backend::open_with(&BackendOptions::new("slow"), || Slow).expect("it opens");
    let end = Instant::now() + Duration::from_millis(50);
    let attempt =
        attempt_while(&backend, &batch(2), LONG, Instant::now() + LONG, &|| Instant::now() < end, LONG);
    let answer = |outcome| Answer { outcome, handed_over: true };
    assert_eq!(attempt.answers, [answer(Some(Outcome::Delivered)), answer(None)]);
    assert!(end.elapsed() < LONG / 2, "it was waited for");
}

#[test]
fn a_call_that_ignores_its_cancellation_is_left_behind() {
    let deaf = Scripted::new(|_| {
        loop {
            thread::park();
        }
    });
    let backend = deaf.open(&BackendOptions::new("deaf"));
    let end = Instant::now() + Duration::from_millis(50);
    let outcomes = outcomes(&backend, &batch(1), Instant::now() + LONG, &|| Instant::now() < end);
    assert_eq!(outcomes, [None]);
    assert!(end.elapsed() < LONG / 2, "it was waited for");
}
