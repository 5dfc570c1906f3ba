//! Subscribers of `tracing` that call the backend whose event they get.

use std::sync::{Arc, OnceLock, Weak};

use jackfield_test_support::wait_until;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher::with_default};

use super::*;

/// Asks the backend for its statistics at each event.
#[derive(Default)]
struct Asks {
    backend: OnceLock<Weak<Backend>>,
    answers: AtomicUsize,
}

struct Subscribed(Arc<Asks>);

impl Subscriber for Subscribed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("jackfield_loader")
    }
    fn event(&self, _: &Event<'_>) {
        if let Some(backend) = self.0.backend.get().and_then(Weak::upgrade) {
            let _ = backend.stats();
            self.0.answers.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_may_call_the_backend_of_its_event() {
    backend!(misbehaves, serial: false, |_batch, _call| {
        assert!(OPENED.load(Ordering::SeqCst) > 1, "the first call panics");
        GATE.wait();
        Outcome::Delivered.into()
    });
    let options = options().circuit_backoff(Backoff { first: MS, longest: MS });
    let backend = Arc::new(Backend::open_static::<misbehaves::Test>(&options).unwrap());
    let asks = Arc::new(Asks::default());
    asks.backend.set(Arc::downgrade(&backend)).unwrap();
    let subscribed = Arc::clone(&asks);
    // A thread of its own, because a deadlock would hold it for ever.
    let calls = std::thread::Builder::new().spawn(move || {
        with_default(&Dispatch::new(Subscribed(subscribed)), || {
            assert!(matches!(failure(&backend, TIMEOUT), Failure::Panicked { .. }));
            assert!(matches!(failure(&backend, 20 * MS), Failure::TimedOut { .. }));
            misbehaves::GATE.open();
            // The probe.
            wait_until("it is delivered", || backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered));
        });
    });
    wait_until("the calls have ended", || calls.as_ref().unwrap().is_finished());
    calls.unwrap().join().unwrap();
    assert!(asks.answers.load(Ordering::SeqCst) >= 3, "a panic, a timeout and a probe");
}
