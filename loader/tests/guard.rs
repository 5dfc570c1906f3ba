//! The guard over backends that are compiled in: the same lane that plugins are behind.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, which is what it is for")]
#![allow(unsafe_code, reason = "a backend that relies on the guard's order")]

use std::{
    cell::UnsafeCell,
    sync::{
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Backoff, Batch, CloseFailure, Error, EventFields, Failure, OpenFailure,
    plugin_api::{self as api, Call, Host, Outcome, Outcomes},
};

const MS: Duration = Duration::from_millis(1);

/// A gate that calls wait at, and tests open.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

fn batch(count: usize) -> Batch {
    let ids: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    Batch::build::<_, std::convert::Infallible>(ids, |ids, writer| {
        for id in ids {
            writer.push(&EventFields { id, json: "{}", ..EventFields::default() });
        }
        Ok(())
    })
    .unwrap()
}

fn options() -> BackendOptions {
    BackendOptions::new("test").timeout(5000 * MS).quarantine(Backoff { first: 100 * MS, longest: 400 * MS })
}

fn failure(backend: &Backend, timeout: Duration) -> Failure {
    backend.send_within(&batch(1), timeout).failure().cloned().expect("the call fails")
}

/// Declares a backend whose `send` is the given closure, with counters of its life.
macro_rules! backend {
    ($name:ident, serial: $serial:expr, |$batch:ident, $call:ident| $body:expr) => {
        #[allow(dead_code)]
        mod $name {
            use super::*;
            pub(super) static OPENED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static FREED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static CLOSED: AtomicUsize = AtomicUsize::new(0);
            pub(super) static GATE: Gate = Gate { open: Mutex::new(false), changed: Condvar::new() };
            pub(super) struct Test;
            impl Drop for Test {
                fn drop(&mut self) {
                    FREED.fetch_add(1, Ordering::SeqCst);
                }
            }
            impl api::Backend for Test {
                type Config = api::export::NoConfig;
                const SERIAL: bool = $serial;
                fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
                    OPENED.fetch_add(1, Ordering::SeqCst);
                    Ok(Self)
                }
                fn send(&self, $batch: &api::Batch<'_>, $call: &Call<'_>) -> Outcomes {
                    $body
                }
                fn close(&self, _: &Call<'_>) -> Result<(), api::Error> {
                    CLOSED.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        }
    };
}

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
fn a_panic_is_an_outcome_and_the_next_call_finds_a_fresh_instance() {
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
fn three_panics_in_a_row_lead_to_quarantine() {
    backend!(panics_always, serial: false, |_batch, _call| panic!("always"));
    let backend = Backend::open_static::<panics_always::Test>(&options()).unwrap();
    for _ in 0..3 {
        assert!(matches!(failure(&backend, 1000 * MS), Failure::Panicked { .. }));
    }
    let Failure::Quarantined { reason, retry_after } = failure(&backend, 1000 * MS) else {
        panic!("not in quarantine")
    };
    assert!(reason.contains("always"), "{reason}");
    assert!(retry_after <= 100 * MS);
    assert_eq!(panics_always::OPENED.load(Ordering::SeqCst), 3);
}

#[test]
fn a_hang_is_answered_on_time_and_quarantined_and_a_probe_ends_the_quarantine() {
    backend!(hangs_once, serial: false, |_batch, call| {
        if OPENED.load(Ordering::SeqCst) == 1 {
            GATE.wait();
            assert!(call.is_cancelled());
        }
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<hangs_once::Test>(&options()).unwrap();
    let started = Instant::now();
    let Failure::TimedOut { after } = failure(&backend, 200 * MS) else { panic!("no timeout") };
    assert!(after >= 200 * MS && started.elapsed() < 1000 * MS, "{:?}", started.elapsed());
    assert_eq!(backend.stats().stuck_calls, 1);

    let started = Instant::now();
    assert!(matches!(failure(&backend, 5000 * MS), Failure::Quarantined { .. }));
    assert!(started.elapsed() < 50 * MS, "a call in quarantine costs nothing");

    std::thread::sleep(150 * MS);
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "the probe passes");
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "and so does the next");
    assert_eq!(hangs_once::OPENED.load(Ordering::SeqCst), 2);

    hangs_once::GATE.open();
    let until = Instant::now() + 5000 * MS;
    while backend.stats().stuck_calls > 0 || hangs_once::FREED.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until, "the call that came back frees its thread and its instance");
        std::thread::sleep(MS);
    }
}

#[test]
fn a_backend_that_hangs_again_and_again_ties_up_no_more_than_four_threads() {
    backend!(hangs_always, serial: false, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let quarantine = Backoff { first: MS, longest: MS };
    let backend = Backend::open_static::<hangs_always::Test>(&options().quarantine(quarantine)).unwrap();
    for _ in 0..20 {
        let _ = failure(&backend, 20 * MS);
        std::thread::sleep(3 * MS);
    }
    assert_eq!(backend.stats().stuck_calls, 4);
    assert!(
        matches!(failure(&backend, 20 * MS), Failure::Quarantined { reason, .. } if reason.contains("4 calls"))
    );
    hangs_always::GATE.open();
}

static INSIDE: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
static MOST: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Notes how many calls are inside at once.
fn visit(which: usize) -> Outcomes {
    let inside = INSIDE[which].fetch_add(1, Ordering::SeqCst) + 1;
    MOST[which].fetch_max(inside, Ordering::SeqCst);
    std::thread::sleep(10 * MS);
    INSIDE[which].fetch_sub(1, Ordering::SeqCst);
    Outcome::Delivered.into()
}

#[test]
fn calls_run_side_by_side_up_to_the_limit_and_one_by_one_when_serial() {
    backend!(side_by_side, serial: false, |_batch, _call| visit(0));
    backend!(one_by_one, serial: true, |_batch, _call| visit(1));
    let crowd = |backend: Backend| {
        let backend = Arc::new(backend);
        let barrier = Arc::new(Barrier::new(8));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (backend, barrier) = (Arc::clone(&backend), Arc::clone(&barrier));
                std::thread::Builder::new()
                    .spawn(move || {
                        barrier.wait();
                        (0..5).all(|_| backend.send(&batch(1)).uniform() == Some(&Outcome::Delivered))
                    })
                    .unwrap()
            })
            .collect();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
        backend.close(1000 * MS).unwrap();
    };
    crowd(Backend::open_static::<side_by_side::Test>(&options().concurrency(3)).unwrap());
    crowd(Backend::open_static::<one_by_one::Test>(&options().concurrency(3)).unwrap());
    assert_eq!(MOST[0].load(Ordering::SeqCst), 3);
    assert_eq!(MOST[1].load(Ordering::SeqCst), 1);
}

/// A count that nothing guards, as a serial backend may have one.
struct Unguarded(UnsafeCell<u64>);

// SAFETY: calls of a serial backend are one by one, and the test reads it after the last.
unsafe impl Sync for Unguarded {}

static COUNT: Unguarded = Unguarded(UnsafeCell::new(0));

/// Which the thread sanitizer sees, too: it takes for a race what the guard alone orders, unless the guard does.
#[test]
fn what_a_serial_backend_counts_without_a_lock_is_right() {
    backend!(counts, serial: true, |_batch, _call| {
        // SAFETY: no other call is inside the backend.
        unsafe { *COUNT.0.get() += 1 };
        Outcome::Delivered.into()
    });
    let backend = Backend::open_static::<counts::Test>(&options()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
                }
            });
        }
    });
    // SAFETY: every call has ended.
    assert_eq!(unsafe { *COUNT.0.get() }, 160);
}

#[test]
fn a_call_that_finds_every_worker_busy_says_so_and_blames_nobody() {
    backend!(busy, serial: true, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Arc::new(Backend::open_static::<busy::Test>(&options()).unwrap());
    let first = {
        let backend = Arc::clone(&backend);
        std::thread::Builder::new().spawn(move || backend.send(&batch(1))).unwrap()
    };
    while busy::OPENED.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(50 * MS);
    assert!(matches!(failure(&backend, 50 * MS), Failure::Busy { .. }));
    busy::GATE.open();
    assert_eq!(first.join().unwrap().uniform(), Some(&Outcome::Delivered));
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "no quarantine follows");
    assert_eq!(backend.stats().timeouts, 0);
}

#[test]
fn calls_that_wait_behind_a_hang_are_answered_when_it_is_noticed_and_go_to_the_quarantine() {
    backend!(blocked, serial: true, |_batch, _call| {
        GATE.wait();
        Outcome::Delivered.into()
    });
    let backend = Arc::new(Backend::open_static::<blocked::Test>(&options()).unwrap());
    let hanging = {
        let backend = Arc::clone(&backend);
        std::thread::Builder::new().spawn(move || failure(&backend, 300 * MS)).unwrap()
    };
    std::thread::sleep(100 * MS);
    let started = Instant::now();
    assert!(matches!(failure(&backend, 60_000 * MS), Failure::Quarantined { .. }));
    assert!(started.elapsed() < 2000 * MS, "{:?}", started.elapsed());
    assert!(matches!(hanging.join().unwrap(), Failure::TimedOut { .. }));
    blocked::GATE.open();
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
                std::thread::sleep(60_000 * MS);
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
        assert!(started.elapsed() < 2000 * MS, "{config} took {:?}", started.elapsed());
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
    assert!(started.elapsed() < 2000 * MS);
    assert!(matches!(close(r#"{"panic": "close"}"#), CloseFailure::Close(Failure::Panicked { .. })));
    assert!(matches!(close(r#"{"hang": "close"}"#), CloseFailure::Close(Failure::TimedOut { .. })));
    assert_eq!(close(r#"{"panic": "drop"}"#), CloseFailure::FreePanicked);
    assert_eq!(close(r#"{"hang": "drop"}"#), CloseFailure::FreeTimedOut);
}

#[test]
fn a_fresh_instance_that_can_not_be_opened_is_a_failure_with_its_reason_and_leads_to_quarantine() {
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
        let Failure::Failed { message, .. } = failure(&backend, 60_000 * MS) else { panic!("not failed") };
        assert!(message.contains("fresh instance") && message.contains("no more connections"), "{message}");
    }
    assert!(matches!(failure(&backend, 1000 * MS), Failure::Quarantined { .. }));
}

#[test]
fn a_value_of_the_program_is_a_backend_and_is_made_again_after_a_panic() {
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

#[cfg(feature = "tokio")]
mod tokio_hosts {
    use super::*;

    static CANCELLED: AtomicUsize = AtomicUsize::new(0);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn a_current_thread_runtime_goes_on_while_a_call_runs() {
        backend!(gated, serial: false, |_batch, _call| {
            GATE.wait();
            Outcome::Delivered.into()
        });
        let backend = Backend::open_static::<gated::Test>(&options()).unwrap();
        runtime().block_on(async {
            let batch = batch(2);
            let (report, ()) = tokio::join!(backend.send_async(&batch, 5000 * MS), async {
                tokio::time::sleep(20 * MS).await;
                gated::GATE.open();
            });
            assert_eq!(report.uniform(), Some(&Outcome::Delivered));
        });
    }

    #[test]
    fn a_deadline_is_kept_and_followed_by_quarantine() {
        backend!(hangs, serial: false, |_batch, _call| {
            GATE.wait();
            Outcome::Delivered.into()
        });
        let backend = Backend::open_static::<hangs::Test>(&options()).unwrap();
        let batch = batch(1);
        runtime().block_on(async {
            let report = backend.send_async(&batch, 50 * MS).await;
            assert!(matches!(report.failure(), Some(Failure::TimedOut { .. })));
            let report = backend.send_async(&batch, 50 * MS).await;
            assert!(matches!(report.failure(), Some(Failure::Quarantined { .. })));
        });
        hangs::GATE.open();
    }

    #[test]
    fn a_dropped_future_cancels_its_call_and_blames_nobody() {
        backend!(dropped, serial: false, |_batch, call| {
            while !call.is_cancelled() {
                std::thread::sleep(MS);
            }
            CANCELLED.fetch_add(1, Ordering::SeqCst);
            Outcome::Delivered.into()
        });
        let backend = Backend::open_static::<dropped::Test>(&options()).unwrap();
        let batch = batch(1);
        runtime().block_on(async {
            let waited = tokio::time::timeout(20 * MS, backend.send_async(&batch, 60_000 * MS)).await;
            assert!(waited.is_err());
        });
        let until = Instant::now() + 5000 * MS;
        while backend.stats().stuck_calls > 0 || CANCELLED.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < until, "the plugin sees the cancellation and returns");
            std::thread::sleep(MS);
        }
        assert_eq!(dropped::OPENED.load(Ordering::SeqCst), 1, "the instance stays in use");
    }
}
