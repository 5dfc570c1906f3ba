//! The plugin `syslog`, which is in C: what a strict reader of RFC 5424 and rsyslog's daemon make of its messages, and what
//! it answers when there is no receiver, or one that does not read.

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
fn an_event_arrives_by_each_transport_as_a_message_of_the_rfc() {
    let (_folder, path) = scratch("log");
    let (_other, stream_path) = scratch("stream");
    let local = patient(UnixDatagram::bind(&path).expect("bound"));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
    udp.set_read_timeout(Some(LONG)).expect("a timeout");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
    let stream = UnixListener::bind(&stream_path).expect("bound");
    let event = full();

    assert_delivered(&send(&backend(&unix(&path), &json!({})), std::slice::from_ref(&event)));
    let message = datagram(|buffer| local.recv(buffer));
    assert_is(&message, &event);
    // The event has an error.
    assert_eq!((message.facility, message.severity), (1, 3));
    let time: jiff::Timestamp = event["timestamp"].as_str().expect("text").parse().expect("a time");
    let [timestamp, hostname, app_name, process, kind] = &message.header;
    assert_eq!(timestamp.parse::<jiff::Timestamp>().expect("a time"), time);
    assert_ne!(hostname, "-");
    assert_eq!([app_name.as_str(), process.as_str(), kind.as_str()], ["forge", "-", "command.invocation"]);

    let address = format!("udp://{}", udp.local_addr().expect("bound"));
    let more = json!({"facility": "local3", "severity": "notice", "app_name": "tool", "hostname": "h", "sd_id": "x@1.2"});
    assert_delivered(&send(&backend(&address, &more), &[vendor::event(2)]));
    let message = datagram(|buffer| udp.recv(buffer));
    assert_eq!((message.facility, message.severity), (19, 5));
    assert_eq!([&*message.header[1], &*message.header[2]], ["h", "tool"]);
    assert_eq!(message.data[0].0, "x@1.2");

    for (address, accept) in [
        (
            format!("tcp://{}", tcp.local_addr().expect("bound")),
            Box::new(|| -> Box<dyn std::io::Read> { Box::new(tcp.accept().expect("a connection").0) })
                as Box<dyn Fn() -> Box<dyn std::io::Read>>,
        ),
        // What is at the path says itself that it is a stream.
        (unix(&stream_path), Box::new(|| Box::new(stream.accept().expect("a connection").0))),
    ] {
        let backend = backend(&address, &json!({}));
        let batch = [event.clone(), vendor::event(3)];
        assert_delivered(&send(&backend, &batch));
        assert_delivered(&send(&backend, &batch[1..]));
        backend.close(LONG).expect("closes");
        let mut peer = accept();
        for event in [&batch[0], &batch[1], &batch[1]] {
            let frame = next_frame(&mut peer).expect("readable").expect("one connection for all");
            assert_is(&parse(&frame), event);
        }
        assert_eq!(next_frame(&mut peer).expect("closed behind a message"), None);
    }
}

/// One character of every plane, and what JSON, RFC 5424 and terminals treat specially.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "\"",
        "\\",
        "]",
        "[",
        "\\]\"",
        "]]]\\\\\\\"\"\"",
        "\\n",
        "a\nb\r\n\tc",
        "\u{1}\u{1b}[31m\u{7f}",
        "=",
        "] [x@1 y=\"z\"",
        "<14>1 - - - - - -",
        "\u{feff}mark",
        "e\u{301}",
        "\u{202e}drawkcab",
        "%s%n",
        "a\0b",
    ]
    .map(str::to_owned)
    .to_vec();
    for plane in 0..=16_u32 {
        let characters =
            [0x41, 0x3b1, 0xe000, 0xfffd].map(|low| char::from_u32(plane << 16 | low).expect("no surrogate"));
        names.push(characters.iter().collect());
    }
    names
}

#[test]
fn every_character_survives_in_the_structured_data_and_in_the_json() {
    let (_folder, path) = scratch("log");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    let backend = backend(&unix(&path), &json!({}));
    for name in names() {
        let mut event = event(1);
        for member in ["name", "id", "machine_id", "type"] {
            event[member] = json!(name);
        }
        assert_delivered(&send(&backend, std::slice::from_ref(&event)));
        let message = datagram(|buffer| receiver.recv(buffer));
        assert_is(&message, &event);
        // A type that is no field of the header is left out there, not cut.
        let fits =
            !name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| (33..=126).contains(&byte));
        assert_eq!(message.header[4], if fits { &name } else { "-" });
    }
    let mut long = event(2);
    long["tool_name"] = json!("t".repeat(49));
    long["type"] = json!("k".repeat(33));
    assert_delivered(&send(&backend, std::slice::from_ref(&long)));
    let message = datagram(|buffer| receiver.recv(buffer));
    assert_eq!([&*message.header[2], &*message.header[4]], ["-", "-"]);
    assert_eq!(message.parameter("type"), "k".repeat(33));
}

#[test]
fn a_time_is_that_of_the_event_in_utc_with_microseconds() {
    let (_folder, path) = scratch("log");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    let backend = backend(&unix(&path), &json!({}));
    for (time, expected) in [
        ("2024-02-29T23:59:59.999999999Z", "2024-02-29T23:59:59.999999Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ("1900-03-01T12:00:00Z", "1900-03-01T12:00:00.000000Z"),
        ("2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000Z"),
        ("", "-"),
    ] {
        let mut event = event(1);
        event["timestamp"] = json!(time);
        assert_delivered(&send(&backend, &[event]));
        assert_eq!(datagram(|buffer| receiver.recv(buffer)).header[0], expected, "{time}");
    }
}

#[test]
fn rsyslog_understands_what_comes_by_each_transport() {
    let daemon = Rsyslog::start();
    for (kind, address) in ["unix", "udp", "tcp"].into_iter().zip(daemon.addresses()) {
        let backend = backend(&address, &json!({"facility": "daemon", "hostname": "here", "app_name": kind}));
        let mut odd = full();
        odd["name"] = json!("a \"b\" \\ ] 😀");
        let batch = [odd, event(2)];
        assert_delivered(&send(&backend, &batch));
        let found = daemon.understood(2, |message| message["app-name"] == kind);
        assert_eq!(found.len(), 2);
        for (message, event) in found.iter().zip(&batch) {
            assert_eq!(message["msg"], event.to_string(), "{kind}");
            assert_eq!(message["hostname"], "here");
            assert_eq!(message["syslogfacility"], "3");
            assert_eq!(message["msgid"], "command.invocation");
            assert_eq!(message["protocol-version"], "1");
            let time =
                |text: &Value| text.as_str().expect("text").parse::<jiff::Timestamp>().expect("a time");
            assert_eq!(time(&message["timereported"]), time(&event["timestamp"]), "{kind}");
        }
        assert_eq!([&found[0]["syslogseverity"], &found[1]["syslogseverity"]], ["3", "6"]);
        let data = found[0]["structured-data"].as_str().expect("text");
        assert!(data.contains(r#" name="a \"b\" \\ \] 😀" "#), "{data}");
    }
}

#[test]
fn without_a_receiver_events_wait_and_arrive_when_there_is_one() {
    let (_folder, path) = scratch("log");
    let backend = backend(&unix(&path), &json!({}));
    let report = send(&backend, &events(3));
    for index in 0..3 {
        let reason = retry(&report, index);
        assert!(reason.contains(&*path.to_string_lossy()) && reason.contains("No such file"), "{reason}");
    }
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    assert_is_first(&receiver);
    // The file is still there, and nobody listens.
    drop(receiver);
    assert!(retry(&send(&backend, &events(1)), 0).contains("refused"));
    // Started anew, under a connection that the backend has kept from before.
    std::fs::remove_file(&path).expect("there");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    drop(receiver);
    std::fs::remove_file(&path).expect("there");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    assert_is_first(&receiver);
}

#[track_caller]
fn assert_is_first(receiver: &UnixDatagram) {
    assert_eq!(datagram(|buffer| receiver.recv(buffer)).parameter("id"), vendor::id(0));
}

#[test]
fn a_refused_connection_or_datagram_is_a_retry() {
    for kind in ["tcp", "udp"] {
        // Bound and closed again: nobody listens there.
        let port = jackfield_tests::peers::free_port();
        let report = send(&backend(&format!("{kind}://127.0.0.1:{port}"), &json!({})), &events(2));
        for index in 0..2 {
            assert!(retry(&report, index).contains("refused"), "{kind}: {report:?}");
        }
    }
    let report = send(&backend("tcp://no-such-host.invalid:514", &json!({})), &events(1));
    assert!(retry(&report, 0).contains("the name of the host is not found"), "{report:?}");
}

#[test]
fn a_receiver_that_closes_its_connections_gets_the_events_over_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let backend = backend(&format!("tcp://{}", listener.local_addr().expect("bound")), &json!({}));
    for n in 0..3 {
        assert_delivered(&send(&backend, &[event(n)]));
        let (mut peer, _) = listener.accept().expect("a connection");
        let message = parse(&next_frame(&mut peer).expect("readable").expect("a message"));
        assert_eq!(message.parameter("id"), vendor::id(n));
    }
}

#[test]
fn a_message_above_the_limit_is_rejected_with_its_size_and_the_others_arrive_whole() {
    let (_folder, path) = scratch("log");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    let small = event(1);
    let with_text = |len: usize| vendor::with(small.clone(), &json!({ "error": "x".repeat(len) }));
    let limited = backend(&unix(&path), &json!({"max_bytes": 2000, "hostname": "h"}));
    // What a message has besides the text, found out once.
    assert_delivered(&send(&limited, &[with_text(1000)]));
    let mut buffer = vec![0; 1 << 20];
    let besides = receiver.recv(&mut buffer).expect("a message") - 1000;
    let batch = [with_text(2000 - besides), with_text(2001 - besides), small.clone()];
    let report = send(&limited, &batch);
    assert_eq!([report.outcome(0), report.outcome(2)], [&Outcome::Delivered; 2]);
    assert_eq!(rejection(&report, 1), "message too large: 2001 bytes, the limit is 2000 (max_bytes)");
    for event in [&batch[0], &batch[2]] {
        assert_is(&datagram(|buffer| receiver.recv(buffer)), event);
    }

    // By default the limit is the RFC's.
    let by_default = backend(&unix(&path), &json!({}));
    let report = send(&by_default, &[with_text(2000)]);
    assert!(rejection(&report, 0).contains("the limit is 2048"), "{report:?}");

    // A limit above what the system takes.
    let most = backend(&unix(&path), &json!({"max_bytes": 1_048_576}));
    let report = send(&most, &[with_text(1_000_000), small.clone()]);
    assert!(rejection(&report, 0).contains("the system refuses a message of this size"), "{report:?}");
    assert_eq!(report.outcome(1), &Outcome::Delivered);
    assert_is(&datagram(|buffer| receiver.recv(buffer)), &small);
}

#[test]
fn a_receiver_that_does_not_read_is_answered_for_before_the_deadline() {
    // The plugin answers a quarter of a second before it has passed.
    let timeout = Duration::from_secs(5);
    let large = |count: usize| -> Vec<Value> {
        (0..count).map(|n| vendor::with(event(n), &json!({ "error": "x".repeat(60_000) }))).collect()
    };
    let (_folder, path) = scratch("log");
    let _silent = UnixDatagram::bind(&path).expect("bound");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let tcp = format!("tcp://{}", listener.local_addr().expect("bound"));
    for (address, count) in [(unix(&path), 600), (tcp, 400)] {
        let backend = backend(&address, &json!({"max_bytes": 65_000}));
        let batch = vendor::batch(&large(count));
        let report = backend.send_within(&batch, timeout);
        // By the plugin's own answer, not by the guard's, which comes at the deadline.
        assert_eq!(report.failure(), None, "{address}");
        assert_eq!(report.outcome(0), &Outcome::Delivered, "{address}");
        let reason = retry(&report, count - 1);
        assert!(reason.contains(&address) && reason.contains("takes nothing within"), "{reason}");
    }
}

fn background(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("receiver".to_owned()).spawn(run).expect("a thread");
}

#[test]
fn sixteen_threads_send_at_once_and_every_event_arrives_once() {
    const THREADS: usize = 16;
    const EACH: usize = 40;
    let (_folder, path) = scratch("log");
    let local = patient(UnixDatagram::bind(&path).expect("bound"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let tcp = format!("tcp://{}", listener.local_addr().expect("bound"));
    let (sender, received) = mpsc::channel();
    let from_tcp = sender.clone();
    background(move || {
        while let Ok((mut peer, _)) = listener.accept() {
            let from_tcp = from_tcp.clone();
            background(move || {
                while let Ok(Some(frame)) = next_frame(&mut peer) {
                    if from_tcp.send(parse(&frame)).is_err() {
                        break;
                    }
                }
            });
        }
    });
    background(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = local.recv(&mut buffer) {
            if sender.send(parse(&buffer[..len])).is_err() {
                break;
            }
        }
    });
    for address in [unix(&path), tcp] {
        let backend = backend(&address, &json!({}));
        thread::scope(|scope| {
            for at in 0..THREADS {
                let backend = &backend;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let first = (at * EACH + n) * 3;
                        let report = send(backend, &[event(first), event(first + 1), event(first + 2)]);
                        assert_delivered(&report);
                    }
                });
            }
        });
        let mut counts = BTreeMap::new();
        for _ in 0..THREADS * EACH * 3 {
            let message = received.recv_timeout(LONG).expect("all of them");
            *counts.entry(message.parameter("id").to_owned()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), THREADS * EACH * 3, "{address}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_key_and_quotes_no_value() {
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
fn the_schema_in_the_metadata_has_the_options_that_the_code_takes() {
    let plugin = load(&plugin("syslog"));
    let schema = plugin.metadata().config_schema.clone().expect("a schema");
    let schema: Value = serde_json::from_str(schema.get()).expect("JSON");
    let options = schema["properties"].as_object().expect("an object");
    for (key, option) in options {
        // Every value that the schema lists is taken, and what stands for the default as well.
        for value in option["enum"].as_array().into_iter().flatten().chain(option.get("default")) {
            drop(open(plugin.path(), &json!({ key: value })));
        }
        assert_refused("syslog", &json!({ key: {} }), &format!("`{key}`: invalid type: an object"), "s3cret");
    }
    // The refusal of an unknown key lists them all.
    for key in options.keys() {
        assert_refused("syslog", &json!({"x": 1}), &format!("`{key}`"), "s3cret");
    }
}

#[test]
fn a_preview_is_what_arrives_and_a_probe_finds_the_receiver() {
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
fn a_plugin_in_c_is_loaded_by_its_digest_whatever_compiler_built_it() {
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
