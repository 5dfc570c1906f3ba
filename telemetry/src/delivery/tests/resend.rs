use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, BackendOptions, plugin_api::Outcome};

use super::{LONG, Scripted, batch, delivery, spool, target};
use crate::consent::consent::Collection;
use crate::delivery::backend_state::{BackendState, States};
use crate::delivery::configured_backend::{ConfiguredBackend, Source};
use crate::delivery::resend::ResendReport;
use crate::delivery::settle::DeliveryMode;

const MODES: [DeliveryMode; 2] = [DeliveryMode::AtMostOnce, DeliveryMode::AtLeastOnce];

/// Puts three events aside that `a` has refused.
fn put_aside(home: &Path) {
    let spool = spool(home);
    // The folder is there from the first event on.
    spool.append(br#"{"type":"a","name":"b"}"#).expect("room");
    let mut deliverer = spool.try_claim(&["a"]).expect("a folder").expect("nobody else");
    let events = [1, 2, 3].map(|number| format!(r#"{{"type":"a","name":"{number}"}}"#));
    deliverer.reject("a", events.iter().map(|event| (&**event, "never"))).expect("room");
}

/// Name and reason of each event that is put aside.
fn aside(home: &Path) -> Vec<String> {
    let rejected = spool(home).rejected().expect("readable");
    rejected.iter().map(|rejected| format!("{} {}", rejected.event.get(), rejected.reason)).collect()
}

fn state(home: &Path) -> BackendState {
    States::new(home, &Arc::default()).load().remove("a").unwrap_or_default()
}

/// Nothing was handed over: all of it stays as it was, and the backend has done nothing wrong.
fn assert_untouched(home: &Path, before: &[String], resent: &ResendReport) {
    let [to] = &*resent.backends else { panic!("{resent:?}") };
    assert_eq!([to.delivered, to.rejected, to.waiting, to.lost], [0, 0, 3, 0], "{resent:?}");
    assert_eq!(aside(home), before);
    let state = state(home);
    assert_eq!((state.lost, state.last_problem), (0, None));
    assert_eq!(state.circuit, Default::default(), "it was not asked");
}

#[test]
fn a_busy_backend_loses_nothing_of_a_resend() {
    for mode in MODES {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        put_aside(home);
        let before = aside(home);
        let (entered, is_inside) = mpsc::sync_channel::<()>(1);
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);
        let holds = Scripted::new(move |_| {
            _ = entered.send(());
            _ = released.lock().expect("one at a time").recv();
            Outcome::Delivered.into()
        });
        let target = target(BackendOptions::new("a").concurrency(1), move |options| holds.open(options));
        let open = target.open(LONG).expect("it opens");
        let mut delivery = delivery(home, target, mode, Arc::new(|| Collection::On));
        thread::scope(|scope| {
            let other = scope.spawn(|| open.send_within(&batch(1), LONG));
            is_inside.recv().expect("it was asked");
            let resent = delivery.resend(Instant::now() + Duration::from_millis(100)).expect("readable");
            assert_untouched(home, &before, &resent);
            drop(release);
            assert!(other.join().expect("no panic").failure().is_none());
        });
    }
}

#[test]
fn a_deadline_before_the_call_loses_nothing_of_a_resend() {
    for mode in MODES {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        put_aside(home);
        let before = aside(home);
        let takes_all = Scripted::new(|_| Outcome::Delivered.into());
        let within = Duration::from_millis(100);
        let target = target(BackendOptions::new("a"), move |options| {
            thread::sleep(2 * within);
            takes_all.open(&options.clone().timeout(LONG))
        });
        let mut delivery = delivery(home, target, mode, Arc::new(|| Collection::On));
        let resent = delivery.resend(Instant::now() + within).expect("readable");
        assert_untouched(home, &before, &resent);
    }
}

#[test]
fn an_opt_out_before_the_call_loses_nothing_of_a_resend() {
    for mode in MODES {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        put_aside(home);
        let before = aside(home);
        let consent = Arc::new(AtomicBool::new(true));
        let (withdraws, takes_all) = (Arc::clone(&consent), Scripted::new(|_| Outcome::Delivered.into()));
        let target = target(BackendOptions::new("a"), move |options| {
            withdraws.store(false, Ordering::Relaxed);
            takes_all.open(options)
        });
        let may_send = move || match consent.load(Ordering::Relaxed) {
            true => Collection::On,
            false => Collection::Off,
        };
        let mut delivery = delivery(home, target, mode, Arc::new(may_send));
        let resent = delivery.resend(Instant::now() + LONG).expect("readable");
        assert_untouched(home, &before, &resent);
        assert!(resent.to_string().contains("no consent"), "{resent}");
    }
}

#[test]
fn an_open_circuit_of_the_guard_loses_nothing_of_a_resend() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    put_aside(home);
    let hangs = Scripted::new(|_| {
        loop {
            thread::park();
        }
    });
    let options = BackendOptions::new("a").timeout(Duration::from_millis(50));
    let target = target(options, move |options| hangs.open(options));
    let mut delivery = delivery(home, target, DeliveryMode::AtMostOnce, Arc::new(|| Collection::On));
    let resent = delivery.resend(Instant::now() + LONG).expect("readable");
    assert_eq!(resent.backends[0].lost, 3, "they were handed over: {resent:?}");
    assert!(aside(home).is_empty());

    put_aside(home);
    let before = aside(home);
    let resent = delivery.resend(Instant::now() + LONG).expect("readable");
    let [to] = &*resent.backends else { panic!("{resent:?}") };
    assert_eq!((to.waiting, to.lost), (3, 0), "{resent:?}");
    assert!(to.reason.as_ref().is_some_and(|reason| reason.as_raw().contains("circuit open")), "{resent:?}");
    assert_eq!(aside(home), before);
    assert_eq!(state(home).lost, 3, "of the first time");
}

#[test]
fn what_was_handed_over_when_consent_is_withdrawn_may_have_arrived() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    put_aside(home);
    let consent = Arc::new(AtomicBool::new(true));
    let withdraws = Arc::clone(&consent);
    let hangs = Scripted::new(move |_| {
        withdraws.store(false, Ordering::Relaxed);
        loop {
            thread::park();
        }
    });
    let target = target(BackendOptions::new("a").timeout(LONG), move |options| hangs.open(options));
    let may_send = move || match consent.load(Ordering::Relaxed) {
        true => Collection::On,
        false => Collection::Off,
    };
    let mut delivery = delivery(home, target, DeliveryMode::AtMostOnce, Arc::new(may_send));
    let resent = delivery.resend(Instant::now() + LONG).expect("readable");
    assert_eq!((resent.backends[0].waiting, resent.backends[0].lost), (0, 3), "{resent:?}");
    assert_eq!(state(home).circuit, Default::default(), "a call that was cancelled says nothing of it");
}

#[test]
fn a_dead_letter_that_is_no_event_stays_once() {
    for mode in MODES {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        put_aside(home);
        let file = home.join("spool/dead-letters.v1.jsonl");
        let text = std::fs::read_to_string(&file).expect("readable").replace(r#""type":"a""#, r#""type":1"#);
        std::fs::write(&file, text).expect("writable");
        let target = target(BackendOptions::new("a"), |_| unreachable!("there is no event for it"));
        let mut delivery = delivery(home, target, mode, Arc::new(|| Collection::On));
        let resent = delivery.resend(Instant::now() + LONG).expect("readable");
        let [to] = &*resent.backends else { panic!("{resent:?}") };
        assert_eq!([to.delivered, to.rejected, to.waiting, to.lost], [0, 3, 0, 0], "{resent:?}");
        let aside = aside(home);
        assert_eq!(aside.len(), 3, "{aside:?}");
        assert!(aside.iter().all(|one| one.ends_with(" it is no event")), "{aside:?}");
    }
}

#[test]
fn a_resend_to_a_backend_that_does_not_open_opens_its_circuit() {
    for mode in MODES {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path();
        put_aside(home);
        let before = aside(home);
        let source = Source::Static(Arc::new(Backend::open_static::<Scripted>));
        let target = ConfiguredBackend::new(source, BackendOptions::new("a"));
        let mut delivery = delivery(home, target, mode, Arc::new(|| Collection::On));
        let resent = delivery.resend(Instant::now() + LONG).expect("readable");
        let [to] = &*resent.backends else { panic!("{resent:?}") };
        assert!(
            to.reason.as_ref().is_some_and(|reason| reason.as_raw().contains("made by the test")),
            "{resent:?}"
        );
        assert_eq!(aside(home), before);
        let state = state(home);
        assert!(state.circuit.has_failures() && state.last_problem.is_some(), "{state:?}");
    }
}
