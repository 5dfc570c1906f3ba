//! Faults of a guarded backend that a sanitizer must report. `scripts/test --sanitize` and `scripts/test --miri` run them, and
//! fail without a report.
#![allow(unsafe_code, reason = "faults that safe code can't have")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails")]

use std::{cell::UnsafeCell, hint::black_box, sync::Barrier, thread};

use jackfield_loader::{
    Backend, BackendOptions, Batch, EventFields,
    plugin_api::{self as api, Call, Host, Outcome, Outcomes},
};

/// Sends one event from each of two threads.
fn send_twice<T: api::Backend>() {
    let backend = Backend::open_static::<T>(&BackendOptions::new("planted")).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let batch = Batch::build::<_, std::convert::Infallible>((), |(), writer| {
                    writer.push(&EventFields { id: "1", json: "{}", ..EventFields::default() });
                    Ok(())
                });
                assert_eq!(backend.send(&batch.unwrap()).uniform(), Some(&Outcome::Delivered));
            });
        }
    });
}

/// Declares a backend whose `send` is the given expression.
macro_rules! backend {
    ($name:ident, $send:expr) => {
        struct $name;
        impl api::Backend for $name {
            type Config = api::export::NoConfig;
            const SERIAL: bool = false;
            fn open(_: Self::Config, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
                Ok(Self)
            }
            fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
                $send;
                Outcome::Delivered.into()
            }
        }
    };
}

struct Count(UnsafeCell<u64>);

// SAFETY: unsound. The thread sanitizer must find this race.
unsafe impl Sync for Count {}

#[test]
#[ignore = "undefined: for the thread sanitizer alone"]
fn thread() {
    static COUNT: Count = Count(UnsafeCell::new(0));
    static BOTH: Barrier = Barrier::new(2);
    backend!(Races, {
        // Both calls are inside now, and nothing orders them.
        BOTH.wait();
        // SAFETY: the pointer is valid. The other call writes there too, which is the fault.
        unsafe { *COUNT.0.get() += 1 };
    });
    send_twice::<Races>();
}

#[test]
#[ignore = "undefined: for the address sanitizer and Miri alone"]
fn address() {
    backend!(Strays, {
        let gone = black_box(Box::into_raw(Box::new(7_u64)));
        // SAFETY: it came from a box, and is freed once.
        drop(unsafe { Box::from_raw(gone) });
        // SAFETY: unsound. The memory is freed, which is the fault.
        black_box(unsafe { gone.read_volatile() });
    });
    send_twice::<Strays>();
}
