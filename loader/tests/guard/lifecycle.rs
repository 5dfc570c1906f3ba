//! A backend's life, from its opening to its end.

use std::sync::Arc;

use jackfield_loader::{Batch, Error, OpenFailure};

use super::*;

#[test]
fn a_batch_is_delivered_closed_twice_and_freed_once() {
    backend!(plain, serial: false, |batch, call| {
        assert!(call.remaining() <= call.timeout() && !call.is_cancelled());
        assert_eq!(batch.iter().map(|event| event.id()).collect::<Vec<_>>(), ["0", "1", "2"]);
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<plain::Test>(&options()).unwrap();
    let report = backend.send(&batch(3));
    assert_eq!(report.uniform(), Some(&Outcome::Delivered));
    assert_eq!(report.failure(), None);
    backend.close(1000 * MS).unwrap();
    backend.close(1000 * MS).unwrap();
    assert_eq!(plain::CLOSED.load(Ordering::SeqCst), 1);
    assert_eq!(plain::FREED.load(Ordering::SeqCst), 1);
    assert_eq!(failure(&backend, 100 * MS), Failure::Closed);
    let stats = backend.stats();
    assert_eq!((stats.calls, stats.refused_calls, stats.delivered), (1, 1, 3));
}

#[test]
fn a_backend_that_was_never_used_closes() {
    backend!(unused, serial: false, |_batch, _call| Outcome::Delivered.into());
    let backend = Backend::open_static::<unused::Test>(&options()).unwrap();
    backend.close(1000 * MS).unwrap();
    assert_eq!((unused::CLOSED.load(Ordering::SeqCst), unused::FREED.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_refused_configuration_names_the_key() {
    #[derive(serde::Deserialize)]
    struct Config {
        #[expect(dead_code, reason = "only its presence matters")]
        url: String,
    }
    struct Strict;
    impl api::Backend for Strict {
        type Config = Config;
        fn open(_: Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            Ok(Self)
        }
        fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            Outcome::Delivered.into()
        }
    }
    let open = |config: &str| Backend::open_static::<Strict>(&options().config(config));
    assert!(open(r#"{"url": "x"}"#).is_ok());
    let Err(Error::Open(error)) = open(r#"{"url": "x", "quue": 1}"#) else { panic!("opened") };
    assert_eq!(error.failure, OpenFailure::Config { key: "quue".into(), message: "unknown key".into() });
    assert_eq!(
        error.to_string(),
        "backend `test` does not open: its configuration is refused: `quue`: unknown key"
    );
}

#[test]
fn a_backend_of_a_value_is_made_again_after_a_panic() {
    struct Counting(Arc<AtomicUsize>, usize);
    impl api::Backend for Counting {
        type Config = api::export::NoConfig;
        fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
            Err(api::Error::failed("made from a value alone"))
        }
        fn send(&self, batch: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
            assert!(self.1 > 0, "the first one panics");
            self.0.fetch_add(batch.len(), Ordering::SeqCst);
            Outcome::Delivered.into()
        }
    }
    let (seen, made) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let total = Arc::clone(&seen);
    let make = move || Counting(Arc::clone(&seen), made.fetch_add(1, Ordering::SeqCst));
    let backend = Backend::open_with(&options(), make).unwrap();
    assert!(matches!(failure(&backend, 1000 * MS), Failure::Panicked { .. }));
    assert_eq!(backend.send(&batch(3)).uniform(), Some(&Outcome::Delivered));
    assert_eq!(total.load(Ordering::SeqCst), 3);

    let broken = Backend::open_with(&options(), || -> Counting { panic!("never made") });
    assert!(
        matches!(broken, Err(Error::Open(error)) if matches!(error.failure, OpenFailure::Call(Failure::Panicked { .. })))
    );
}

#[test]
fn noop_takes_everything_and_says_that_it_is_noop() {
    let backend = Backend::noop("nothing");
    assert!(backend.is_noop());
    assert_eq!(backend.send(&batch(7)).uniform(), Some(&Outcome::Delivered));
    backend.close(Duration::ZERO).unwrap();
}

#[test]
fn guarded_backends_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Backend>();
    shared::<Batch>();
    shared::<jackfield_loader::Report>();
}
