use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{BackendOptions, plugin_api::Outcome};

use super::{LONG, Scripted, delivery, delivery_to, spool, target};
use crate::consent::consent::Collection;
use crate::delivery::backend_state::States;
use crate::delivery::progress::PassResult;
use crate::delivery::settle::DeliveryMode;

#[test]
fn events_without_a_call_wait_and_are_no_failure() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let spool = spool(home);
    spool.append(br#"{"type":"a","name":"b"}"#).expect("room");
    let pass = |timeout: Duration| {
        let takes_all = Scripted::new(|_| Outcome::Delivered.into());
        // It opens whatever time a call has.
        let target = target(BackendOptions::new("a").timeout(timeout), move |options| {
            takes_all.open(&options.clone().timeout(LONG))
        });
        let mut delivery = delivery(home, target, DeliveryMode::AtLeastOnce, Arc::new(|| Collection::On));
        delivery.pass(Instant::now() + LONG, &Arc::new(AtomicBool::new(false)), None)
    };
    // Without any time for a call.
    assert_eq!(pass(Duration::ZERO), PassResult::default());
    let state = States::new(home, &Arc::default()).load().remove("a").unwrap_or_default();
    assert_eq!((state.circuit.open_for(spool.now_ms()), state.last_problem), (None, None));
    let result = pass(LONG);
    assert_eq!((result.delivered, result.emptied), (1, true));
}

#[test]
fn a_worker_outlives_the_pass_and_the_claim_does_not() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let spool = spool(home);
    let targets = ["a", "b"].map(|name| {
        let takes_all = Scripted::new(|_| Outcome::Delivered.into());
        target(BackendOptions::new(name), move |options| takes_all.open(options))
    });
    let consents = Arc::new(|| Collection::On);
    let mut delivery = delivery_to(home, targets.into(), DeliveryMode::AtLeastOnce, consents);
    let mut workers = Vec::new();
    for _ in 0..100 {
        spool.append(br#"{"type":"a","name":"b"}"#).expect("room");
        let result = delivery.pass(Instant::now() + LONG, &Arc::default(), None);
        assert_eq!((result.delivered, result.emptied), (2, true));
        assert!(spool.try_claim(&["a", "b"]).expect("a folder").is_some(), "a worker still has the pass");
        workers.push(delivery.backends.table().all().map(|handle| handle.has_worker).collect::<Vec<_>>());
    }
    // The thread of the pass does the work of the last one.
    assert!(workers.iter().all(|workers| **workers == [true, false]), "{workers:?}");
}

#[test]
fn a_batch_of_wrong_events_is_noted_while_it_is_halved() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let spool = spool(home);
    for number in 0..64 {
        let event = format!(r#"{{"type":"a","name":"{number}"}}"#);
        spool.append(event.as_bytes()).expect("room");
    }
    // How many events were dead letters at each call.
    let noted = Arc::new(Mutex::new(Vec::new()));
    let (seen, look) = (Arc::clone(&noted), spool.clone());
    let refuses = Scripted::new(move |batch| {
        seen.lock().expect("one at a time").push(look.rejected().expect("readable").len());
        thread::sleep(Duration::from_millis(20));
        match batch.len() {
            1 => Outcome::rejected("wrong").into(),
            _ => Outcome::too_large("halves").into(),
        }
    });
    let target = target(BackendOptions::new("a").timeout(Duration::from_millis(500)), move |options| {
        refuses.open(&options.clone().timeout(LONG))
    });
    let mut delivery = delivery(home, target, DeliveryMode::AtLeastOnce, Arc::new(|| Collection::On));
    let result = delivery.pass(Instant::now() + LONG, &Arc::default(), None);
    assert_eq!((result.rejected, result.emptied), (64, true));
    let names =
        spool.rejected().expect("readable").into_iter().map(|rejected| rejected.event.get().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>().len(), 64, "each once");
    let noted = noted.lock().expect("nobody else");
    assert!(noted.iter().any(|noted| (1..64).contains(noted)), "{noted:?}");
}
