//! The plugin of the guide for Rust does what the guide says, against a real broker.

#![cfg(unix)]

use std::{convert::Infallible, fs, path::Path, time::Duration};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, Plugin, Trust};
use jackfield_plugin_api::Outcome;
use jackfield_tests::{
    cli, guide, isolated_command, passes_its_tests,
    peers::{free_port, rabbitmq::broker},
    succeeds, workspace,
};
use serde_json::json;

const QUEUE: &str = "guide";
const LONG: Duration = Duration::from_secs(30);

fn open(url: &str, queue: &str) -> Backend {
    let plugin = Plugin::load(guide::library(), Trust::Owner).expect("it loads");
    let config = json!({ "url": url, "queue": queue }).to_string();
    Backend::open(&plugin, &BackendOptions::new(guide::NAME).config(config).timeout(LONG)).expect("it opens")
}

fn batch(events: usize) -> Batch {
    let lines: Vec<String> =
        (0..events).map(|n| format!(r#"{{"id":"{n}","type":"feature.used","name":"cache"}}"#)).collect();
    Batch::build::<_, Infallible>(lines, |lines, writer| {
        for json in lines {
            writer.push(&EventFields {
                json,
                id: &json[7..8],
                kind: "feature.used",
                ..EventFields::default()
            });
        }
        Ok(())
    })
    .expect("infallible")
}

#[test]
fn the_guides_project_passes_its_tests() {
    passes_its_tests(&guide::project());
}

#[test]
fn the_manifest_of_the_guide_adds_a_client_and_a_description_to_that_of_a_new_project() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = ["new", guide::NAME, "--lang", "rust", "--async"];
    succeeds(&mut isolated_command(&cli(), folder.path(), &new));
    let read = |project: &Path| fs::read_to_string(project.join("Cargo.toml")).expect("readable");
    let (new, shown) = (read(&folder.path().join(guide::NAME)), read(&guide::project()));
    let added = shown.lines().filter(|line| !new.lines().any(|of_new| of_new == *line));
    let keys: Vec<_> = added.filter_map(|line| line.split(" = ").next()).collect();
    assert_eq!(keys, ["description", "lapin"]);
}

#[test]
fn events_of_the_guides_plugin_arrive_and_it_closes_twice() {
    let broker = broker();
    let client = broker.client();
    client.queue(QUEUE, &json!({}));
    let backend = open(&broker.url(), QUEUE);
    let report = backend.send(&batch(3));
    assert!(report.outcomes().all(|outcome| *outcome == Outcome::Delivered), "{report:?}");
    let arrived = client.take(QUEUE);
    let ids: Vec<_> = arrived.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    assert_eq!(arrived[0].json, r#"{"id":"0","type":"feature.used","name":"cache"}"#);
    backend.close(LONG).expect("it closes");
    backend.close(LONG).expect("a second time, too");
    client.delete(QUEUE);
}

#[test]
fn the_guide_has_every_key_of_the_export() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).expect("readable");
    let (made_by, guide) = (read("plugin-api/src/static_plugin.rs"), read(guide::PAGE));
    let set = made_by.lines().filter_map(|line| line.trim().strip_prefix("(@set $facts:ident "));
    let keys: Vec<&str> = set.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(keys.contains(&"acknowledges") && keys.len() > 6, "{keys:?}");
    let exported =
        guide.split("export! {").nth(1).and_then(|rest| rest.split('}').next()).expect("an export");
    for key in keys.into_iter().filter(|key| !key.starts_with('$')).chain(["backend", "offers"]) {
        assert!(exported.contains(&format!(" {key}: ")), "{key} is not in the export of the guide");
        assert!(guide.contains(&format!("`{key}`")), "{key} is in no table of the guide");
    }
}

#[test]
fn a_missing_queue_and_a_missing_broker_are_outcomes() {
    let secret = "amqp://guest:hunter2@127.0.0.1";
    let nowhere = open(&format!("{secret}:{}/%2f", free_port()), QUEUE);
    let missing = open(&broker().url(), "guide-no-such-queue");
    for backend in [&nowhere, &missing] {
        let report = backend.send(&batch(2));
        for outcome in report.outcomes() {
            let Outcome::Retry { reason, .. } = outcome else { panic!("{report:?}") };
            assert!(!reason.is_empty() && !reason.contains("hunter2"), "{reason}");
        }
        assert!(report.failure().is_none(), "{report:?}");
        backend.close(LONG).expect("it closes");
    }
    open(&broker().url(), QUEUE).close(LONG).expect("nothing was sent");
}

#[test]
fn the_guides_plugin_refuses_a_url_by_its_key() {
    let plugin = Plugin::load(guide::library(), Trust::Owner).expect("it loads");
    let options = BackendOptions::new(guide::NAME).config(r#"{"url": "http://x"}"#);
    let refusal = Backend::open(&plugin, &options).expect_err("no AMQP").to_string();
    assert!(refusal.contains("`url`"), "{refusal}");
}
