//! Panics and their consequences.

use std::time::Instant;

use jackfield_loader::{CloseFailure, Error, OpenFailure};

use super::*;

#[test]
fn after_a_panic_the_next_call_finds_a_fresh_instance() {
    backend!(panics_once, serial: false, |_batch, _call| {
        assert!(OPENED.load(Ordering::SeqCst) > 1, "no good");
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<panics_once::Test>(&options()).unwrap();
    let report = backend.send(&batch(2));
    let Some(Failure::Panicked { message, .. }) = report.failure() else { panic!("{report:?}") };
    assert_eq!(message, "no good");
    assert!(matches!(report.uniform(), Some(Outcome::Retry { reason, .. }) if reason.contains("no good")));
    assert_eq!(backend.send(&batch(2)).uniform(), Some(&Outcome::Delivered));
    assert_eq!(panics_once::OPENED.load(Ordering::SeqCst), 2);
    let stats = backend.stats();
    assert_eq!((stats.calls, stats.panics, stats.retried, stats.delivered), (2, 1, 2, 2));
}

#[test]
fn what_was_reported_before_a_panic_stands() {
    backend!(half, serial: false, |_batch, call| {
        call.report(0..1, &Outcome::Delivered);
        call.report(1..2, &Outcome::rejected("bad"));
        panic!("then it broke")
    });
    let backend = Backend::open_static::<half::Test>(&options()).unwrap();
    let report = backend.send(&batch(3));
    assert_eq!(report.outcome(0), &Outcome::Delivered);
    assert_eq!(report.outcome(1), &Outcome::rejected("bad"));
    assert!(matches!(report.outcome(2), Outcome::Retry { reason, .. } if reason.contains("then it broke")));
}

#[test]
fn three_panics_in_a_row_open_the_circuit() {
    backend!(panics_always, serial: false, |_batch, _call| panic!("always"));
    let backend = Backend::open_static::<panics_always::Test>(&options()).unwrap();
    for _ in 0..3 {
        assert!(matches!(failure(&backend, 1000 * MS), Failure::Panicked { .. }));
    }
    let Failure::CircuitOpen { reason, retry_after } = failure(&backend, 1000 * MS) else {
        panic!("the circuit is closed")
    };
    assert!(reason.contains("always"), "{reason}");
    assert!(retry_after <= LONG);
    assert_eq!(panics_always::OPENED.load(Ordering::SeqCst), 3);
}

#[test]
fn panics_and_hangs_in_open_close_and_drop_are_answers() {
    #[derive(serde::Deserialize)]
    struct Config {
        panic: Option<String>,
        hang: Option<String>,
    }
    struct Hostile(Config);
    impl Hostile {
        fn act(config: &Config, place: &str) {
            assert!(config.panic.as_deref() != Some(place), "in {place}");
            if config.hang.as_deref() == Some(place) {
                std::thread::sleep(FOREVER);
            }
        }
    }
    impl Drop for Hostile {
        fn drop(&mut self) {
            Self::act(&self.0, "drop");
        }
    }
    impl api::Backend for Hostile {
        type Config = Config;
        fn open(config: Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            Self::act(&config, "open");
            Ok(Self(config))
        }
        fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            Outcome::Delivered.into()
        }
        fn close(&self, _: &Call<'_>) -> Result<(), api::Error> {
            Self::act(&self.0, "close");
            Ok(())
        }
    }
    let open = |config: &str| {
        Backend::open_static::<Hostile>(&options().timeout(200 * MS).config(config)).map_err(|error| {
            match error {
                Error::Open(error) => error.failure,
                other => panic!("{other}"),
            }
        })
    };
    let close = |config: &str| {
        let started = Instant::now();
        let closed = open(config).unwrap().close(200 * MS);
        assert!(started.elapsed() < FOREVER / 2, "{config} took {:?}", started.elapsed());
        match closed {
            Err(Error::Close(error)) => error.failure,
            other => panic!("{config}: {other:?}"),
        }
    };
    assert!(matches!(
        open(r#"{"panic": "open"}"#),
        Err(OpenFailure::Call(Failure::Panicked { message, .. })) if message == "in open"
    ));
    let started = Instant::now();
    assert!(matches!(open(r#"{"hang": "open"}"#), Err(OpenFailure::Call(Failure::TimedOut { .. }))));
    assert!(started.elapsed() < FOREVER / 2);
    assert!(matches!(close(r#"{"panic": "close"}"#), CloseFailure::Close(Failure::Panicked { .. })));
    assert!(matches!(close(r#"{"hang": "close"}"#), CloseFailure::Close(Failure::TimedOut { .. })));
    assert_eq!(close(r#"{"panic": "drop"}"#), CloseFailure::FreePanicked);
    assert_eq!(close(r#"{"hang": "drop"}"#), CloseFailure::FreeTimedOut);
}

#[test]
fn a_fresh_instance_that_does_not_open_is_a_failure() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    struct OpensOnce;
    impl api::Backend for OpensOnce {
        type Config = api::export::NoConfig;
        fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            if OPENED.fetch_add(1, Ordering::SeqCst) == 0 {
                Ok(Self)
            } else {
                Err(api::Error::unavailable("no more connections"))
            }
        }
        fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            panic!("once")
        }
    }
    let backend = Backend::open_static::<OpensOnce>(&options()).unwrap();
    assert!(matches!(failure(&backend, 1000 * MS), Failure::Panicked { .. }));
    for _ in 0..2 {
        let Failure::Failed { message, .. } = failure(&backend, FOREVER) else { panic!("not failed") };
        assert!(message.contains("fresh instance") && message.contains("no more connections"), "{message}");
    }
    assert!(matches!(failure(&backend, 1000 * MS), Failure::CircuitOpen { .. }));
}
