use serde_json::Value;

use super::*;

fn buffer() -> EventBuffer {
    EventBuffer::new(EventDefaults::new("the \"tool\"", "1.2"))
}

/// The one event of a batch as its JSON and as the fields that a plugin sees.
fn one(line: &str) -> (String, Vec<(&'static str, String)>) {
    let mut buffer = buffer();
    buffer.push_line(line.as_bytes()).expect("an event");
    let batch = buffer.take();
    let event = batch.view().get(0).expect("one event");
    let fields = vec![
        ("id", event.id()),
        ("timestamp", event.timestamp()),
        ("type", event.kind()),
        ("name", event.name()),
        ("machine_id", event.machine_id()),
        ("tool_name", event.tool_name()),
        ("version", event.tool_version()),
        ("os", event.os()),
        ("arch", event.arch()),
        ("os_version", event.os_version()),
        ("runtime_version", event.runtime_version()),
    ];
    (event.json().to_owned(), fields.into_iter().map(|(key, text)| (key, text.to_owned())).collect())
}

const COMPLETE: &str = r#"{ "id":"i\n","timestamp":"2026-01-02T03:04:05Z","type":"t","name":"n","machine_id":"m","tool_name":"x","version":"1","os":"o","arch":"a","os_version":"","runtime_version":"r","extra":{"b":1,"a":2.50} }"#;

#[test]
fn a_complete_line_is_its_own_json_to_the_byte() {
    let (json, fields) = one(&format!("  {COMPLETE}\t\r"));
    assert_eq!(json, COMPLETE);
    assert_eq!(fields[0], ("id", "i\n".to_owned()));
    assert_eq!(fields[9], ("os_version", String::new()));
}

#[test]
fn missing_members_are_filled_in_the_json_and_the_fields() {
    let nulls = r#"{"machine_id":null,"z":null,"type":"t","id":null,"a\"":[1, 2.50],"version":null,"name":"n","os":null}"#;
    for line in [r#"{"type":"t","name":"n"}"#, r#"{ "name":"n\u0041","type":"t","os":"plan9" }"#, nulls] {
        let (json, fields) = one(line);
        let value: Value = serde_json::from_str(&json).expect("JSON");
        for (key, text) in fields {
            assert_eq!(value[key], Value::from(text), "{key} of {json}");
        }
        let members = value.as_object().expect("an object").len();
        assert_eq!(
            json.matches("\":").count() - usize::from(json.contains("\"a\\\":")),
            members,
            "each once: {json}"
        );
    }
    let (json, _) = one(nulls);
    assert!(
        json.ends_with(r#""z":null,"type":"t","a\"":[1, 2.50],"name":"n"}"#),
        "order and bytes are kept: {json}"
    );
}

#[test]
fn what_is_filled_in_says_what_it_promises() {
    let (_, fields) = one(r#"{"type":"t","name":"n"}"#);
    let field = |key| fields.iter().find(|field| field.0 == key).expect("a field").1.as_str();
    assert_eq!(uuid::Uuid::parse_str(field("id")).expect("a UUID").get_version_num(), 7);
    let age = jiff::Timestamp::now().duration_since(field("timestamp").parse().expect("a time"));
    assert!(field("timestamp").ends_with('Z') && age.as_secs().abs() < 600, "{age:?}");
    assert_eq!(field("machine_id").len(), 32);
    assert_eq!((field("tool_name"), field("version")), ("the \"tool\"", "1.2"));
    assert_eq!((field("os"), field("arch")), (std::env::consts::OS, std::env::consts::ARCH));
    assert!(field("runtime_version").starts_with("rustc"), "{}", field("runtime_version"));
}

#[test]
fn the_nanoseconds_are_those_of_the_timestamp_that_was_filled_in() {
    let mut buffer = buffer();
    buffer.push_line(br#"{"type":"t","name":"n"}"#).expect("an event");
    let batch = buffer.take();
    let event = batch.view().get(0).expect("one event");
    let time: jiff::Timestamp = event.timestamp().parse().expect("a time");
    assert_eq!(time.as_nanosecond(), i128::from(event.time_unix_nanos()));
}

#[test]
fn another_tool_or_system_is_not_given_our_version() {
    let (_, fields) = one(r#"{"type":"t","name":"n","tool_name":"other","os":"plan9"}"#);
    for key in ["version", "os_version", "runtime_version"] {
        assert!(fields.contains(&(key, String::new())), "{key} in {fields:?}");
    }
}

#[test]
fn a_stored_machine_id_is_for_the_tools_own_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = crate::identity::machine_id::MachineIdFile::new("tool", Some(folder.path()));
    let sent_under = |fill: EventDefaults, line: &str| {
        let mut buffer = EventBuffer::new(fill);
        buffer.push_line(line.as_bytes()).expect("an event");
        buffer.take().view().get(0).expect("one event").machine_id().to_owned()
    };
    let anonymous = r#"{"type":"t","name":"n"}"#;
    let own = r#"{"type":"t","name":"n","tool_name":"tool"}"#;
    let other = r#"{"type":"t","name":"n","tool_name":"other"}"#;
    let derived = crate::identity::machine_id::MachineId::derived("tool").id;
    let fill = || EventDefaults::new("tool", "1").with_machine_id(&file.read());
    assert_eq!(sent_under(EventDefaults::new("tool", "1"), anonymous), derived);
    assert_eq!(sent_under(fill(), anonymous), derived, "the first that is kept is the derived one");
    let rotated = file.rotate().expect("another id").id;
    assert_ne!(rotated, derived);
    for line in [anonymous, own] {
        assert_eq!(sent_under(fill(), line), rotated, "{line}");
    }
    assert_eq!(sent_under(fill(), other), crate::identity::machine_id::MachineId::derived("other").id);
}

#[test]
fn lists_and_optional_fields_arrive_event_by_event() {
    let mut buffer = buffer();
    for line in [
        r#"{"type":"t","name":"a","args":["-v","\t"],"metadata":{"k":"v","\u00e4":"w"},"duration_ms":5}"#,
        r#"{"type":"t","name":"b","args":[],"error":"e","exit_code":-1}"#,
        "",
        r#"{"type":"t","name":"c","metadata":{"x":"y"}}"#,
    ] {
        buffer.push_line(line.as_bytes()).expect("an event or a blank line");
    }
    assert_eq!(buffer.len(), 3);
    let batch = buffer.take();
    assert!(buffer.is_empty() && buffer.bytes() == 0);
    let events: Vec<_> = batch.view().iter().collect();
    let args = |at: usize| events[at].args().map(|args| args.collect::<Vec<_>>());
    assert_eq!((args(0), args(1), args(2)), (Some(vec!["-v", "\t"]), Some(vec![]), None));
    let metadata = |at: usize| events[at].metadata().collect::<Vec<_>>();
    assert_eq!(
        (metadata(0), metadata(1), metadata(2)),
        (vec![("k", "v"), ("ä", "w")], vec![], vec![("x", "y")])
    );
    assert_eq!((events[0].duration().map(|d| d.as_millis()), events[0].exit_code()), (Some(5), None));
    assert_eq!((events[1].error(), events[1].exit_code(), events[1].duration()), (Some("e"), Some(-1), None));
}

#[test]
fn a_bad_line_leaves_the_buffer_as_it_was() {
    let mut buffer = buffer();
    buffer.push_line(COMPLETE.as_bytes()).expect("an event");
    let bytes = buffer.bytes();
    assert!(buffer.push_line(b"{").is_err());
    // It has room for the line, and none for the members that are missing.
    let long = format!(r#"{{"type":"t","name":"{}"}}"#, "n".repeat(MAX_LINE - 30));
    let refusal = buffer.push_line(long.as_bytes()).expect_err("too long").to_string();
    assert!(refusal.contains("with its missing members filled in"), "{refusal}");
    assert_eq!((buffer.len(), buffer.bytes()), (1, bytes));
}
