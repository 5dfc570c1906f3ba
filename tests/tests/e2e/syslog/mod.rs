//! The plugin `syslog`, which is in C: what a strict reader of RFC 5424 and rsyslog's daemon make of its messages, and what
//! it answers when there is no receiver, or one that does not read.

mod messages;
mod receivers;

use std::{
    collections::BTreeMap,
    net::{TcpListener, UdpSocket},
    os::unix::net::{UnixDatagram, UnixListener},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use jackfield_loader::{
    Backend, Layout, Report,
    plugin_api::{Outcome, Probe},
};
use jackfield_tests::{
    peers::{
        rsyslog::Rsyslog,
        syslog::{Message, next_frame, parse},
    },
    plugin, syslog_by_clang,
};
use serde_json::{Value, json};

use receivers::assert_is_first;

use crate::{
    common::{load, open, scratch},
    vendor::{self, LONG, assert_delivered, assert_refused, event, events, full, rejection, send},
};

fn backend(address: &str, more: &Value) -> Backend {
    vendor::backend("syslog", &vendor::with(json!({ "address": address }), more))
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A receiver that answers a read in time or fails the test.
fn patient(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    socket
}

fn datagram(receive: impl Fn(&mut [u8]) -> std::io::Result<usize>) -> Message {
    let mut buffer = vec![0; 1 << 20];
    let len = receive(&mut buffer).expect("a message in time");
    parse(&buffer[..len])
}

#[track_caller]
fn retry(report: &Report, index: usize) -> &str {
    match report.outcome(index) {
        Outcome::Retry { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// The message is that of the event.
#[track_caller]
fn assert_is(message: &Message, event: &Value) {
    assert_eq!(serde_json::from_str::<Value>(&message.text).expect("JSON"), *event);
    assert_eq!(message.text, event.to_string(), "byte for byte");
    let [(id, parameters)] = &message.data[..] else { panic!("{message:?}") };
    assert_eq!(id, "jackfield@32473");
    let expected = [("id", "id"), ("type", "type"), ("name", "name"), ("machine", "machine_id")]
        .map(|(name, member)| (name.to_owned(), event[member].as_str().unwrap_or_default().to_owned()));
    assert_eq!(parameters[..], expected);
}

#[test]
fn a_wrong_option_is_refused_without_its_value() {
    for (config, expected) in [
        (json!({"adress": "s3cret"}), "`adress`: unknown key, expected one of `address`, `facility`"),
        (json!({"Bearer s3cret": 1}), "`Bearer…`: unknown key"),
        (json!({"address": 514}), "`address`: invalid type: an integer, expected a string"),
        (json!({"address": ["s3cret"]}), "`address`: invalid type: a list, expected a string"),
        (
            json!({"address": "s3cret"}),
            "`address`: expected `unix:/path`, `udp://host:port` or `tcp://host:port`",
        ),
        (json!({"address": "unix:s3cret"}), "`address`: expected `unix:` and the absolute path"),
        (json!({"address": format!("unix:/{}", "s3cret".repeat(20))}), "of at most 103 bytes"),
        (json!({"address": "tcp://s3cret"}), "`address`: expected a host and a port"),
        (json!({"address": "udp://s3cret:0"}), "`address`: expected a host and a port"),
        (json!({"address": "udp://s3cret:65536"}), "`address`: expected a host and a port"),
        (json!({"address": "udp://u:s3cret@h:514"}), "`address`: expected a host and a port"),
        (json!({"address": "udp://::1:514"}), "`address`: expected a host and a port"),
        (json!({"address": "unix:/a\u{0}s3cret"}), "`address`: is too long, or has a NUL"),
        (json!({"facility": "s3cret"}), "`facility`: unknown value, expected one of `kern`, `user`, "),
        (json!({"facility": 1}), "`facility`: invalid type: an integer, expected a string"),
        (
            json!({"severity": "s3cret"}),
            "`severity`: unknown value, expected one of `emerg`, `alert`, `crit`, `err`",
        ),
        (json!({"error_severity": null}), "`error_severity`: invalid type: null, expected a string"),
        (
            json!({"app_name": "s3cret name"}),
            "`app_name`: is no name of RFC 5424: expected 1 to 48 printable",
        ),
        (json!({"app_name": ""}), "`app_name`: is no name of RFC 5424"),
        (json!({"hostname": "höst s3cret"}), "`hostname`: is no name of RFC 5424: expected 1 to 255"),
        (json!({"sd_id": "s3cret"}), "`sd_id`: is no SD-ID of RFC 5424: expected `name@enterprise-number`"),
        (json!({"sd_id": "a]s3cret@1"}), "`sd_id`: is no SD-ID"),
        (json!({"max_bytes": "s3cret"}), "`max_bytes`: invalid type: a string, expected an integer"),
        (json!({"max_bytes": 479}), "`max_bytes`: is out of range: expected 480 to 1048576"),
        (json!({"max_bytes": 1_048_577}), "`max_bytes`: is out of range"),
        (json!({"max_bytes": -1}), "`max_bytes`: invalid type: a number, expected an integer"),
        (json!({"max_bytes": 500.5}), "`max_bytes`: invalid type: a number"),
        (json!({"max_bytes": true}), "`max_bytes`: invalid type: a boolean"),
        (
            json!({"address": "udp://127.0.0.1:514", "max_bytes": 65_508}),
            "`max_bytes`: is more than a datagram holds: expected at most 65507",
        ),
    ] {
        assert_refused("syslog", &config, expected, "s3cret");
    }
}

#[test]
fn the_schema_in_the_metadata_has_the_options() {
    let plugin = load(&plugin("syslog"));
    let schema = plugin.metadata().config_schema.clone().expect("a schema");
    let schema: Value = serde_json::from_str(schema.get()).expect("JSON");
    let options = schema["properties"].as_object().expect("an object");
    for (key, option) in options {
        // Every value that the schema lists is taken, and what stands for the default as well.
        for value in option["enum"].as_array().into_iter().flatten().chain(option.get("default")) {
            drop(open(plugin.location().file().expect("a library"), &json!({ key: value })));
        }
        assert_refused("syslog", &json!({ key: {} }), &format!("`{key}`: invalid type: an object"), "s3cret");
    }
    // The refusal of an unknown key lists them all.
    for key in options.keys() {
        assert_refused("syslog", &json!({"x": 1}), &format!("`{key}`"), "s3cret");
    }
}

#[test]
fn a_preview_equals_delivery_and_probes_find_the_receiver() {
    let (_folder, path) = scratch("log");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let tcp = format!("tcp://{}", listener.local_addr().expect("bound"));
    let batch = [full(), vendor::with(event(2), &json!({"error": "x".repeat(3000)})), event(3)];

    let local = backend(&unix(&path), &json!({}));
    assert!(matches!(local.probe(LONG), Probe::Unreachable(text) if text.contains("No such file")));
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert!(matches!(local.probe(LONG), Probe::Reachable(text) if text.contains("takes connections")));
    let shown = local.preview(&vendor::batch(&batch), LONG).expect("a preview");
    let report = send(&local, &batch);
    assert_eq!((shown.messages.len(), shown.unsent.len()), (2, 1));
    assert_eq!((shown.unsent[0].event, &shown.unsent[0].outcome), (1, report.outcome(1)));
    for message in &shown.messages {
        let mut buffer = vec![0; 1 << 16];
        let len = receiver.recv(&mut buffer).expect("a message");
        assert_eq!(String::from_utf8_lossy(&message.bytes), String::from_utf8_lossy(&buffer[..len]));
        assert_eq!(message.label, format!("message to {}", unix(&path)));
    }

    let stream = backend(&tcp, &json!({}));
    assert!(matches!(stream.probe(LONG), Probe::Reachable(_)));
    let shown = stream.preview(&vendor::batch(&batch[..1]), LONG).expect("a preview");
    let mut bytes = &shown.messages[0].bytes[..];
    assert_is(&parse(&next_frame(&mut bytes).expect("readable").expect("framed")), &batch[0]);
    drop(listener);
    assert!(
        matches!(backend(&tcp, &json!({})).probe(LONG), Probe::Unreachable(text) if text.contains("refused"))
    );
    let udp = backend("udp://127.0.0.1:514", &json!({}));
    assert_eq!(udp.probe(LONG), Probe::Unsupported("nobody answers over UDP".to_owned()));
}

#[test]
fn a_plugin_in_c_of_any_compiler_is_loaded() {
    for path in [plugin("syslog"), syslog_by_clang()] {
        let plugin = load(&path);
        assert_eq!(plugin.layout(), Layout::ByDigest);
        assert_eq!(plugin.metadata().language, "c");
        let (_folder, socket) = scratch("log");
        let receiver = patient(UnixDatagram::bind(&socket).expect("bound"));
        let backend = open(&path, &json!({ "address": unix(&socket) }));
        assert_delivered(&send(&backend, &events(1)));
        assert_is_first(&receiver);
        backend.close(LONG).expect("closes");
        assert!(send(&backend, &events(1)).failure().is_some(), "answered after close");
    }
}
