//! `jackfield forget`: a receipt for each backend, which says what is so.

use jackfield_tests::{fixture, plugin};
use serde_json::{Value, json};

use crate::site::{Site, backend};

#[test]
fn each_backend_gives_a_receipt_of_the_request() {
    let answers =
        |answer: &str| backend(answer, &fixture("hostile"), &format!("config = {{ deletion = {answer:?} }}"));
    let stdout = backend("stdout", &plugin("stdout"), "");
    let site = Site::new(&[answers("sent"), answers("unsupported"), answers("failed"), stdout]);
    let ended = site.run(&["forget", "m-1", "--json"]).with_code(6);
    let receipts: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let told: Vec<_> =
        receipts.as_array().expect("a list").iter().map(|r| (&r["name"], &r["answer"])).collect();
    assert_eq!(
        told,
        [
            (&json!("sent"), &json!("sent")),
            (&json!("unsupported"), &json!("unsupported")),
            (&json!("failed"), &json!("failed")),
            (&json!("stdout"), &json!("unsupported")),
        ]
    );
    assert!(receipts[0]["text"].as_str().expect("text").starts_with("m-1 by "), "{receipts}");
}

#[test]
fn a_request_that_reached_its_platform_ends_well() {
    let site = Site::new(&[backend("main", &fixture("hostile"), "")]);
    let ended = site.run(&["forget", "m-1"]).with_code(0);
    assert!(ended.stdout.starts_with("main: sent: m-1 by "), "{}", ended.stdout);
}

#[test]
fn unusable_and_unknown_backends_and_wrong_ids_are_refused() {
    let broken = backend("broken", &fixture("hostile"), "config = { panic = \"open\" }");
    let site = Site::new(&[broken, backend("main", &fixture("hostile"), "")]);
    let ended = site.run(&["forget", "m-1"]).with_code(4);
    assert!(ended.stdout.contains("broken: unusable: ") && ended.stdout.contains("main: sent: "));
    site.run(&["forget", "--only", "main", "m-1"]).with_code(0);
    site.run(&["forget", "--only", "nobody", "m-1"]).with_code(2);
    site.run(&["forget", ""]).with_code(2);
}
