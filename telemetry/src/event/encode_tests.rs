use super::*;

fn encoder() -> Encoder {
    Encoder::new(Origin { machine_id: "m", tool_name: "to\"ol", version: "1", os_version: "6" })
}

#[test]
fn an_event_is_one_line_that_the_reader_accepts() {
    let args = [Cow::Borrowed("--name"), Cow::Borrowed("a\nb")];
    let metadata = [("k", "v"), ("l", "\u{1}")];
    let record = Record {
        kind: "command.error",
        name: "build",
        duration: Some(Duration::from_millis(1500)),
        exit_code: Some(-1),
        args: Some(&args),
        error: Some(Cow::Borrowed("no such \\ file")),
        metadata: Metadata::Plain(&metadata),
    };
    let mut line = Vec::new();
    let now = Duration::from_micros(1_767_323_045_000_089);
    let id = crate::event::id::Ids::new(1).next(1, now);
    let mut time = Timestamp::default();
    time.set(now);
    encoder().encode(id, &time, &record, &mut line);
    assert!(!line.contains(&b'\n'));
    let mut buffer = crate::event::batch_buffer::EventBuffer::new(
        crate::event::defaults::EventDefaults::new("other", "2"),
    );
    buffer.push_line(&line).expect("an event");
    let batch = buffer.take();
    let event = batch.view().get(0).expect("one");
    assert_eq!(event.json().as_bytes(), line, "complete, so nothing is filled in");
    assert_eq!((event.id(), event.kind(), event.name()), (&*id.to_string(), "command.error", "build"));
    assert_eq!((event.tool_name(), event.machine_id(), event.tool_version()), ("to\"ol", "m", "1"));
    assert_eq!(event.duration(), Some(Duration::from_millis(1500)));
    assert_eq!((event.exit_code(), event.error()), (Some(-1), Some("no such \\ file")));
    assert_eq!(event.args().expect("there").collect::<Vec<_>>(), ["--name", "a\nb"]);
    assert_eq!(event.metadata().collect::<Vec<_>>(), [("k", "v"), ("l", "\u{1}")]);
    assert_eq!(event.timestamp(), "2026-01-02T03:04:05.000089Z");
    assert_eq!(event.time_unix_nanos(), 1_767_323_045_000_089_000);
}

#[test]
fn what_is_absent_is_left_out() {
    let mut line = Vec::new();
    encoder().encode(
        EventId::now(),
        &Timestamp::default(),
        &Record { kind: "feature.used", name: "x", ..Record::default() },
        &mut line,
    );
    let event: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
    for member in ["duration_ms", "exit_code", "args", "error", "metadata"] {
        assert!(event.get(member).is_none(), "{member}");
    }
}
