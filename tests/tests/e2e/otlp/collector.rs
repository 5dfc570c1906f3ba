//! What a real collector receives.

use super::*;

/// An event with fields that depend on its number, of one of three tools.
struct Owned {
    number: usize,
    id: String,
    name: String,
    tool: String,
    args: Vec<String>,
    metadata: Vec<(String, String)>,
}

fn owned(number: usize) -> Owned {
    Owned {
        number,
        id: format!("019a9d4e-0000-7000-8000-{number:012x}"),
        name: format!("n\u{e9}m {number}\nsecond line \"quoted\""),
        tool: format!("tool-{}", number % 3),
        args: (0..number % 4).map(|arg| format!("--arg={arg}, \\{number}")).collect(),
        metadata: (0..number % 3).map(|key| (format!("key{key}"), format!("value {number}"))).collect(),
    }
}

impl Owned {
    fn time(&self) -> i64 {
        1_767_323_045_000_000_000 + self.number as i64
    }
    fn duration(&self) -> Option<u64> {
        self.number.is_multiple_of(2).then_some(self.number as u64 * 1000)
    }
    fn exit_code(&self) -> Option<i64> {
        (!self.number.is_multiple_of(5)).then_some(self.number as i64 % 5 - 2)
    }
    fn error(&self) -> Option<&'static str> {
        self.number.is_multiple_of(7).then_some("it \u{2014} failed\nfor a reason")
    }

    /// What a collector has to show of it, from a plugin of this version.
    fn expected(&self, version: &str) -> LogRecord {
        let text = |text: &str| format!("Str({text})");
        let map = |pairs: Vec<(&str, String)>| {
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>()
        };
        let resource = map(vec![
            ("service.name", text(&self.tool)),
            ("service.version", text("1.2.3")),
            ("os.type", text("darwin")),
            ("os.version", text("14.1")),
            ("host.arch", text("arm64")),
            ("process.runtime.version", text("1.95")),
            ("deployment.environment.name", text("test")),
        ]);
        let mut attributes = map(vec![
            ("event.type", text("command.invocation")),
            ("event.name", text(&self.name)),
            ("event.id", text(&self.id)),
            ("machine.id", text("machine-1")),
        ]);
        let mut also = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        if let Some(duration) = self.duration() {
            also("command.duration_ms", format!("Int({duration})"));
        }
        if let Some(code) = self.exit_code() {
            also("command.exit_code", format!("Int({code})"));
        }
        if !self.args.is_empty() {
            let args: Vec<String> = self.args.iter().map(|arg| text(arg)).collect();
            also("command.args", format!("Slice({})", args.join(", ")));
        }
        if let Some(error) = self.error() {
            also("exception.message", text(error));
        }
        for (key, value) in &self.metadata {
            also(&format!("metadata.{key}"), text(value));
        }
        let failed = self.error().is_some() || self.exit_code().is_some_and(|code| code != 0);
        let fields = map(vec![
            ("Timestamp", self.time().to_string()),
            ("SeverityText", if failed { "ERROR" } else { "INFO" }.to_owned()),
            (
                "SeverityNumber",
                if failed { "SEVERITY_NUMBER_ERROR(17)" } else { "SEVERITY_NUMBER_INFO(9)" }.to_owned(),
            ),
            ("EventName", "command.invocation".to_owned()),
            ("Body", text(&format!("command.invocation: {}", self.name))),
            ("Flags", "0".to_owned()),
        ]);
        let scope = format!("Jackfield {version}");
        LogRecord { resource, scope, fields, attributes }
    }
}

fn rich_batch(numbers: std::ops::Range<usize>) -> Batch {
    Batch::build(numbers.map(owned).collect::<Vec<_>>(), |events, writer| {
        for event in events {
            let args: Vec<&str> = event.args.iter().map(String::as_str).collect();
            let metadata: Vec<(&str, &str)> =
                event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            writer.push(&EventFields {
                json: "{}",
                id: &event.id,
                timestamp: "2026-01-02T03:04:05Z",
                kind: "command.invocation",
                name: &event.name,
                machine_id: "machine-1",
                tool_name: &event.tool,
                tool_version: "1.2.3",
                os: "macos",
                arch: "aarch64",
                os_version: "14.1",
                runtime_version: "1.95",
                error: event.error(),
                args: (!args.is_empty()).then_some(&args),
                metadata: (!metadata.is_empty()).then_some(&metadata),
                time_unix_nanos: event.time(),
                duration_ms: event.duration(),
                exit_code: event.exit_code(),
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

fn by_id(records: Vec<LogRecord>) -> BTreeMap<String, LogRecord> {
    let count = records.len();
    let by_id: BTreeMap<_, _> =
        records.into_iter().map(|record| (record.attributes["event.id"].clone(), record)).collect();
    assert_eq!(by_id.len(), count, "no event comes twice");
    by_id
}

/// Sends events, in bodies of at most 40, and compares what comes out of a collector one by one and field by field.
fn events_arrive(protocol: &str, gzip: bool) {
    const EVENTS: usize = 130;
    let rotel = Rotel::start();
    let backend = open(&json!({
        "endpoint": rotel.endpoint(),
        "protocol": protocol,
        "gzip": gzip,
        "resource": {"deployment.environment.name": "test"},
        "limits": {"max_events": 40},
    }));
    let before = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    for numbers in [0..100, 100..EVENTS] {
        all_delivered(&backend.send_within(&rich_batch(numbers), 20 * SECOND));
    }
    backend.close(5 * SECOND).expect("closes");
    let version = load(&plugin("otlp")).metadata().version.clone();
    let mut received = by_id(rotel.records(EVENTS));
    for number in 0..EVENTS {
        let expected = owned(number).expected(version.as_raw());
        let id = &expected.attributes["event.id"];
        let mut record = received.remove(id).unwrap_or_else(|| panic!("{id} is missing"));
        let observed = record.fields.remove("ObservedTimestamp").expect("observed");
        let observed: u128 = observed.parse().expect("a number");
        assert!((before..before + 60_000_000_000).contains(&observed), "{observed}");
        assert_eq!(record, expected);
    }
    assert!(received.is_empty(), "nothing else: {received:?}");
}

#[test]
fn a_collector_receives_every_event_and_field_in_protobuf() {
    events_arrive("http/protobuf", false);
}

#[test]
fn a_collector_receives_every_event_and_field_in_compressed_protobuf() {
    events_arrive("http/protobuf", true);
}

#[test]
fn a_collector_receives_every_event_and_field_in_json() {
    events_arrive("http/json", false);
}

#[test]
fn a_collector_receives_every_event_and_field_in_compressed_json() {
    events_arrive("http/json", true);
}

#[test]
fn the_collector_of_these_tests_refuses_garbage() {
    let rotel = Rotel::start();
    let address = rotel.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream
        .write_all(
            b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\n\
            Content-Length: 7\r\n\r\ngarbage",
        )
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("UTF-8");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn no_body_is_larger_than_its_limit() {
    for protocol in ["http/protobuf", "http/json"] {
        let server = HttpServer::start(Reply::status(200));
        let backend = open(&json!({
            "endpoint": server.url(""), "protocol": protocol, "limits": {"max_body_bytes": 4000},
        }));
        all_delivered(&backend.send(&rich_batch(0..60)));
        let received = server.received();
        assert!(received.len() > 3, "{} requests", received.len());
        assert!(received.iter().all(|request| request.body.len() <= 4000));
        assert!(received.iter().any(|request| request.body.len() > 2500), "and not for nothing");
        let mut all: Vec<String> = received.iter().flat_map(ids).collect();
        all.sort();
        assert_eq!(all, (0..60).map(|number| owned(number).id).collect::<Vec<_>>());
    }
}
