//! Plugins that break the contract, behind the guard.
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]
#![cfg(target_os = "linux")]

mod common;

use common::{Plugin as Fixture, folder};
use jackfield_loader::{
    Backend, BackendOptions, Batch, Error, EventFields, Failure, Plugin, Trust, plugin_api::Outcome,
};

fn open(fixture: Fixture) -> Result<Backend, Error> {
    let folder = folder();
    let plugin = Plugin::load(fixture.build(folder.path(), "libx.so"), Trust::Owner).unwrap();
    Backend::open(&plugin, &BackendOptions::new("test"))
}

fn batch(count: usize) -> Batch {
    Batch::build::<_, std::convert::Infallible>((), |(), writer| {
        for _ in 0..count {
            writer.push(&EventFields { json: "{}", ..EventFields::default() });
        }
        Ok(())
    })
    .unwrap()
}

#[test]
fn a_report_after_the_call_is_ignored() {
    let backend = open(Fixture::new("late").define("LATE", 1)).unwrap();
    for count in 1..200 {
        let report = backend.send(&batch(count % 7 + 1));
        assert_eq!(report.uniform(), Some(&Outcome::Delivered), "call {count}");
    }
}

#[test]
fn endless_text_with_control_characters_becomes_one_bounded_line() {
    let report = open(Fixture::new("noisy").define("NOISY", 1)).unwrap().send(&batch(2));
    let Some(Outcome::Rejected { reason }) = report.uniform() else { panic!("{report:?}") };
    let Some(Failure::Failed { message, .. }) = report.failure() else { panic!("{report:?}") };
    for text in [reason, message.as_str()] {
        assert!(text.starts_with("no\\n\\u{1b}no\\n") && text.ends_with('…'), "{text}");
        assert!(text.len() <= (4 << 10) + '…'.len_utf8(), "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text}");
    }
}

#[test]
fn a_plugin_that_fails_silently_is_reported_in_a_sentence() {
    let opened =
        |status: &str| open(Fixture::new("silent").define("OPEN_STATUS", status)).unwrap_err().to_string();
    for (status, said) in [
        ("0", "does not open: open answered OK without an instance: the plugin's vendor must correct it"),
        ("JACKFIELD_STATUS_PANIC", "does not open: the plugin panicked: (no message)"),
        ("JACKFIELD_STATUS_INVALID_CONFIG", "its configuration is refused: (no message)"),
        ("JACKFIELD_STATUS_FAILED", "the plugin answered with status 4 and no explanation"),
    ] {
        let line = opened(status);
        assert!(line.ends_with(said), "{line}");
    }
    let silent = Fixture::new("silent").define("SEND_STATUS", "JACKFIELD_STATUS_PANIC");
    let report = open(silent).unwrap().send(&batch(1));
    assert_eq!(report.failure().unwrap().to_string(), "the plugin panicked: (no message)");
}
