//! Hosts and plugins of a later minor version: what this release must take from them, and what it may refuse.

mod host;

use std::{fs, path::PathBuf};

use jackfield_loader::plugin_api::{
    Outcome,
    abi::{
        OUTCOME_DELIVERED, OUTCOME_RETRY, STATUS_INVALID_ARGUMENT, STATUS_INVALID_CONFIG, STATUS_OK,
        STATUS_PANIC,
    },
};
use jackfield_tests::{c_fixture, fixture, plugin, released};
use serde_json::{Value, json};

use crate::{
    common::{MS, batch, load, open, refusal, scratch},
    future::host::{Answer, LaterHost, Skew},
};

/// The released plugins that this machine can run.
fn shipped() -> Vec<PathBuf> {
    let all = released().into_iter().flat_map(|(_, files)| files);
    let runs = |path: &PathBuf| jackfield_loader::inspect(path).is_ok_and(|it| it.verdict().is_ok());
    let runnable: Vec<_> = all.filter(|it| runs(&it.file)).map(|it| it.private()).collect();
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        assert!(runnable.len() >= 3, "{runnable:?}");
    }
    runnable
}

/// An address that nobody listens at: it was free a moment ago.
fn nobody() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

#[test]
fn a_released_plugin_works_under_a_host_with_unknown_tables() {
    for path in shipped() {
        let host = LaterHost::new(&path, Skew::Later);
        let instance = host.open("{}").unwrap_or_else(|answer| panic!("{}: {answer:?}", path.display()));
        let answer = instance.send(&["delivered", "retry", "delivered"]);
        assert_eq!(answer.status, STATUS_OK, "{}: {answer:?}", path.display());
        assert_eq!(answer.outcomes, [OUTCOME_DELIVERED, OUTCOME_RETRY, OUTCOME_DELIVERED]);
        let answer = instance.send(&["panic"]);
        assert_eq!(
            (answer.status, answer.said()),
            (STATUS_PANIC, "as it was asked to"),
            "{}",
            path.display()
        );
        let refused = host.open(r#"{"of_a_later_version":"x"}"#).err().expect("an unknown key");
        assert_eq!((refused.status, refused.subject.as_str()), (STATUS_INVALID_CONFIG, "of_a_later_version"));
        assert_eq!(instance.close().status, STATUS_OK);
        assert_eq!(instance.close().status, STATUS_OK, "a second close is answered");
        assert_ne!(instance.send(&["delivered"]).status, STATUS_OK, "and a send after it");
        assert_eq!(instance.free(), STATUS_OK);
    }
}

#[test]
fn every_plugin_of_this_release_works_under_such_a_host() {
    let (_folder, file) = scratch("events.jsonl");
    let url = format!("http://{}/", nobody());
    let plugins: [(&str, Value, &[&str], &[u32]); 8] = [
        ("stdout", json!({"format": "lines"}), &[], &[]),
        ("file", json!({"path": file}), &["one", "two"], &[OUTCOME_DELIVERED; 2]),
        ("syslog", json!({"address": format!("tcp://{}", nobody())}), &["one"], &[OUTCOME_RETRY]),
        ("http", json!({"url": url}), &["one"], &[OUTCOME_RETRY]),
        ("otlp", json!({"endpoint": url}), &["one"], &[OUTCOME_RETRY]),
        ("datadog", json!({"api_key": "k", "url": url}), &["one"], &[OUTCOME_RETRY]),
        ("posthog", json!({"api_key": "k", "host": url}), &["one"], &[OUTCOME_RETRY]),
        (
            "rabbitmq",
            json!({"url": format!("amqp://guest:guest@{}", nobody()), "queue": "q"}),
            &["one"],
            &[OUTCOME_RETRY],
        ),
    ];
    for (name, config, events, expected) in plugins {
        let host = LaterHost::new(&plugin(name), Skew::Later);
        let instance = host.open(&config.to_string()).unwrap_or_else(|answer| panic!("{name}: {answer:?}"));
        let answer = instance.send(events);
        assert_eq!((answer.status, answer.outcomes.as_slice()), (STATUS_OK, expected), "{name}: {answer:?}");
        assert_eq!(instance.close().status, STATUS_OK, "{name}");
        assert_eq!(instance.free(), STATUS_OK, "{name}");
    }
    assert_eq!(fs::read_to_string(&file).expect("written").lines().count(), 2);
}

#[test]
fn the_fixtures_work_under_such_a_host() {
    for path in
        [fixture("minimal"), fixture("lean"), fixture("serial"), c_fixture("GOOD"), c_fixture("FUTURE")]
    {
        let host = LaterHost::new(&path, Skew::Later);
        let instance = host.open("{}").unwrap_or_else(|answer| panic!("{}: {answer:?}", path.display()));
        let answer = instance.send(&["one", "two"]);
        assert_eq!(answer.outcomes, [OUTCOME_DELIVERED; 2], "{}: {answer:?}", path.display());
        assert_eq!((instance.close().status, instance.free()), (STATUS_OK, STATUS_OK), "{}", path.display());
    }
}

/// No host of this major version ever does this: a released struct never grows. A plugin that is handed one all the same
/// says so, and reads nothing of it.
#[test]
fn a_struct_of_another_size_is_refused_unread() {
    let refused = |answer: &Answer, what: &str| {
        assert_eq!(answer.status, STATUS_INVALID_ARGUMENT, "{what}: {answer:?}");
        assert!(answer.outcomes.iter().all(|outcome| *outcome == 0), "{what}: {answer:?}");
    };
    let mut paths = shipped();
    paths.extend([fixture("minimal"), fixture("lean"), plugin("file")]);
    for path in paths {
        let name = path.display();
        let config = if path.ends_with(plugin("file").file_name().expect("a name")) {
            json!({"path": std::env::temp_dir().join("never-written.jsonl")}).to_string()
        } else {
            "{}".to_owned()
        };
        for skew in
            [Skew::GrownHost, Skew::ShrunkHost, Skew::NextMajor, Skew::GrownServices, Skew::NoServices]
        {
            let answer = LaterHost::new(&path, skew).open(&config).err().expect("it is refused");
            refused(&answer, &format!("{name}, {skew:?}"));
        }
        for skew in [Skew::GrownCall, Skew::GrownBatch, Skew::GrownEvent, Skew::ShrunkEvent] {
            let host = LaterHost::new(&path, Skew::Later);
            let instance = host.open(&config).unwrap_or_else(|answer| panic!("{name}: {answer:?}"));
            host.skew(skew);
            refused(&instance.send(&["delivered"]), &format!("{name}, {skew:?}"));
            host.skew(Skew::Later);
            assert_eq!((instance.close().status, instance.free()), (STATUS_OK, STATUS_OK), "{name}");
        }
    }
}

#[test]
fn a_plugin_of_a_later_minor_version_loads() {
    let path = c_fixture("FUTURE");
    let plugin = load(&path);
    let metadata = plugin.metadata();
    assert_eq!((metadata.abi.major, metadata.abi.minor), (1, 99));
    assert_eq!(metadata.offers, ["teleport", "deletion-2"]);
    let shown = jackfield_loader::inspect(&path).expect("a plugin").metadata_json;
    assert!(shown.contains("of_a_later_version"), "what is unknown is shown as it is: {shown}");
    let backend = open(&path, &json!({}));
    assert_eq!(backend.send(&batch(100)).uniform(), Some(&Outcome::Delivered));
    backend.close(1000 * MS).expect("closes");
}

#[test]
fn a_plugin_with_unknown_requirements_is_refused() {
    let line = refusal(&c_fixture("REQUIRES_TELEPORT"));
    assert!(line.contains("requires teleport, this host has log, cancel, stdout: update the tool"), "{line}");
}
