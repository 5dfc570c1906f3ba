//! Previews and probes of backends that are compiled in, with the guard and the table of a plugin.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, which is what it is for")]

mod common;

use std::{thread, time::Duration};

use common::batch;
use jackfield_loader::{
    Backend, BackendOptions, Backoff, Failure, PreviewError, StaticBackend,
    plugin_api::{self as api, Call, Deletion, Diagnoses, Host, Outcome, Outcomes, Probe, export::NoConfig},
};
use jackfield_test_support::LONG;

const MS: Duration = Duration::from_millis(1);

/// The behaviour of `preview` and `probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Well,
    Fail,
    Panic,
    Hang,
}

struct Test(Way);

impl Test {
    fn go(&self, call: &Call<'_>) {
        match self.0 {
            Way::Panic => panic!("no good"),
            Way::Hang => {
                while !call.is_cancelled() {
                    thread::sleep(MS);
                }
            }
            Way::Well | Way::Fail => {}
        }
    }
}

impl api::Backend for Test {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, api::Error> {
        Ok(Self(Way::Well))
    }

    fn send(&self, _: &api::Batch<'_>, _: &Call<'_>) -> Outcomes {
        Outcome::Delivered.into()
    }
}

impl Diagnoses for Test {
    fn preview(
        &self,
        batch: &api::Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), api::Error> {
        for (at, event) in batch.iter().enumerate() {
            if event.id() == "1" {
                call.report(at..at + 1, &Outcome::rejected("not this one"));
            } else {
                sink("write", event.json().as_bytes());
            }
        }
        self.go(call);
        if self.0 == Way::Fail { Err(api::Error::failed("it can't be told")) } else { Ok(()) }
    }

    fn probe(&self, call: &Call<'_>) -> Probe {
        self.go(call);
        let text = "by the test".to_owned();
        if self.0 == Way::Fail { Probe::Refused(text) } else { Probe::Reachable(text) }
    }
}

/// The circuit stays open for longer than any test runs.
fn options() -> BackendOptions {
    BackendOptions::new("test").timeout(5000 * MS).circuit_backoff(Backoff { first: LONG, longest: LONG })
}

fn open(way: Way) -> Backend {
    StaticBackend::made(move || Test(way)).diagnostics().open(&options()).unwrap()
}

#[test]
fn a_preview_has_every_message_and_every_unsent_event() {
    let backend = StaticBackend::<Test>::configured().diagnostics().open(&options()).unwrap();
    let preview = backend.preview(&batch(3), 5000 * MS).unwrap();
    let messages: Vec<_> = preview.messages.iter().map(|m| (m.label.as_str(), m.bytes.as_slice())).collect();
    assert_eq!(messages, [("write", b"0".as_slice()), ("write", b"2")]);
    let unsent: Vec<_> = preview.unsent.iter().map(|unsent| (unsent.event, &unsent.outcome)).collect();
    assert_eq!(unsent, [(1, &Outcome::rejected("not this one"))]);
    assert_eq!(backend.probe(5000 * MS), Probe::Reachable("by the test".to_owned()));
    let stats = backend.stats();
    assert_eq!((stats.delivered, stats.rejected, stats.retried), (0, 0, 0), "no event was sent");
}

#[test]
fn what_a_plugin_says_against_it_comes_back() {
    let backend = open(Way::Fail);
    let Err(PreviewError::Failed(Failure::Failed { message, .. })) = backend.preview(&batch(1), 5000 * MS)
    else {
        panic!("it fails")
    };
    assert_eq!(message, "it can't be told");
    assert_eq!(backend.probe(5000 * MS), Probe::Refused("by the test".to_owned()));
}

#[test]
fn a_panic_is_a_failure_and_a_fresh_instance_follows() {
    let backend = open(Way::Panic);
    for _ in 0..2 {
        let failed = backend.preview(&batch(1), 5000 * MS).unwrap_err().to_string();
        assert!(failed.contains("panicked") || failed.contains("circuit open"), "{failed}");
    }
    let backend = open(Way::Panic);
    assert!(matches!(backend.probe(5000 * MS), Probe::Unreachable(text) if text.contains("no good")));
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered));
    assert_eq!(backend.stats().panics, 1);
}

#[test]
fn a_hang_ends_with_the_deadline_and_opens_the_circuit() {
    type Ask = fn(&Backend) -> String;
    let preview: Ask = |backend| backend.preview(&batch(1), 100 * MS).unwrap_err().to_string();
    let probe: Ask = |backend| match backend.probe(100 * MS) {
        Probe::Unreachable(text) => text,
        other => panic!("{other:?}"),
    };
    for ask in [preview, probe] {
        let backend = open(Way::Hang);
        assert!(ask(&backend).contains("no answer within"));
        let refused = ask(&backend);
        assert!(refused.contains("circuit open"), "{refused}");
    }
}

#[test]
fn a_closed_backend_says_so() {
    let backend = open(Way::Well);
    backend.close(1000 * MS).unwrap();
    assert_eq!(backend.preview(&batch(1), 100 * MS), Err(PreviewError::Failed(Failure::Closed)));
    assert!(matches!(backend.probe(100 * MS), Probe::Unreachable(text) if text.contains("closed")));
}

#[test]
fn without_the_table_a_backend_is_unsupported_and_noop_empty() {
    let backend = Backend::open_static::<Test>(&options()).unwrap();
    assert_eq!(backend.preview(&batch(1), 5000 * MS), Err(PreviewError::Unsupported));
    assert!(matches!(backend.probe(5000 * MS), Probe::Unsupported(text) if !text.is_empty()));
    assert!(matches!(backend.request_deletion("m", &batch(1), 5000 * MS), Deletion::Unsupported(_)));
    assert_eq!(backend.stats().calls, 0, "nothing entered it");
    let noop = Backend::noop("nothing");
    assert!(noop.preview(&batch(1), 100 * MS).unwrap().messages.is_empty());
    assert!(matches!(noop.probe(100 * MS), Probe::Unsupported(text) if !text.is_empty()));
}
