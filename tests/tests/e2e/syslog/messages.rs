//! What arrives at a receiver.

use super::*;

#[test]
fn each_transport_delivers_messages_of_the_rfc() {
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
fn every_character_survives_in_structured_data_and_json() {
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
fn the_time_of_the_event_is_in_utc_with_microseconds() {
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
fn a_message_above_the_limit_is_rejected_with_its_size() {
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
