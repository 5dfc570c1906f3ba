//! Requests for deletion, through the optional table of the ABI.

use std::time::Instant;

use jackfield_loader::{
    Backend,
    plugin_api::{Deletion, Outcome},
};
use jackfield_tests::{c_fixture, fixture};
use serde_json::json;

use crate::common::{MS, batch, load, open};

fn request(backend: &Backend) -> Deletion {
    backend.request_deletion("machine-1", &batch(1), 300 * MS)
}

#[test]
fn each_answer_comes_back_with_its_text() {
    assert_eq!(load(&fixture("hostile")).metadata().offers, ["deletion", "diagnostics"]);
    let ask = |answer: &str| request(&open(&fixture("hostile"), &json!({"deletion": answer})));
    let text = "machine-1 by 0".to_owned();
    assert_eq!(ask("sent"), Deletion::Sent(text.clone()));
    assert_eq!(ask("unsupported"), Deletion::Unsupported(text.clone()));
    assert_eq!(ask("failed"), Deletion::Failed(text));
}

#[test]
fn plugins_without_the_table_can_not_ask_for_deletion() {
    for backend in [
        open(&fixture("minimal"), &json!({})),
        open(&c_fixture("EXTRA_TABLE"), &json!({})),
        Backend::noop("nothing"),
    ] {
        let Deletion::Unsupported(text) = request(&backend) else { panic!("{backend:?} has a way to ask") };
        assert!(!text.is_empty());
    }
}

#[test]
fn a_panic_and_a_hang_are_failures_in_time() {
    let backend = open(&fixture("hostile"), &json!({"deletion": "panic"}));
    assert!(matches!(request(&backend), Deletion::Failed(text) if text.contains("hostile by configuration")));
    assert_eq!(backend.send(&batch(1)).uniform(), Some(&Outcome::Delivered), "a fresh instance follows");

    let backend = open(&fixture("hostile"), &json!({"deletion": "hang"}));
    let started = Instant::now();
    assert!(matches!(request(&backend), Deletion::Failed(text) if text.contains("no answer")));
    assert!(started.elapsed() < 2000 * MS);
}

#[test]
fn a_closed_backend_fails_to_ask() {
    let backend = open(&fixture("hostile"), &json!({}));
    backend.close(1000 * MS).expect("closes");
    assert!(matches!(request(&backend), Deletion::Failed(text) if text.contains("closed")));
}
