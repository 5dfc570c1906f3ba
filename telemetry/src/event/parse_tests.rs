use super::*;

/// The refusal of the line.
fn refusal(line: impl AsRef<[u8]>) -> String {
    parse(line.as_ref()).expect_err("a bad line").to_string()
}

/// A line that is right but for `member`.
fn with(member: &str) -> String {
    format!(r#"{{"type":"t","name":"n",{member}}}"#)
}

#[test]
fn every_field_is_read() {
    let line = br#"{"id":"i","timestamp":"2026-01-02T03:04:05.000000006+01:00","type":"t","name":"n\u00e9","machine_id":"m",
        "tool_name":"tool","version":"1","os":"o","arch":"a","os_version":"ov","runtime_version":"rv","error":"e",
        "duration_ms":18446744073709551615,"exit_code":-9223372036854775808,"args":["a","\"b\""],"metadata":{"k":"v"},"more":[{}]}"#;
    let (_, event) = parse(line).expect("an event");
    assert_eq!(event.time_unix_nanos, 1_767_319_445_000_000_006);
    assert_eq!((&*event.kind, &*event.name), ("t", "né"));
    let timestamp = "2026-01-02T03:04:05.000000006+01:00";
    let filled = event.filled.map(Option::unwrap_or_default);
    assert_eq!(filled, ["i", timestamp, "m", "tool", "1", "o", "a", "ov", "rv"]);
    assert_eq!(event.error.as_deref(), Some("e"));
    assert_eq!((event.duration_ms, event.exit_code), (Some(u64::MAX), Some(i64::MIN)));
    assert_eq!(event.args.expect("args"), ["a", "\"b\""]);
    assert_eq!(event.metadata.expect("metadata"), [("k".into(), "v".into())]);
    assert!(!event.has_null);
}

#[test]
fn only_type_and_name_are_required() {
    let (_, event) = parse(br#"{"type":"t","name":"n"}"#).expect("an event");
    assert_eq!((&event.filled[ID], event.duration_ms, event.args.is_some()), (&None, None, false));
    assert_eq!(refusal(r#"{"name":"n"}"#), "`type`: expected a string, found nothing");
    assert_eq!(refusal(r#"{"type":"t","name":null}"#), "`name`: expected a string, found nothing");
    assert_eq!(
        refusal(r#"{"type":"","name":"n"}"#),
        "`type`: expected a string that is not empty, found \"\""
    );
    assert_eq!(refusal("{}"), "`type`: expected a string, found nothing");
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let line = with(r#""args":null,"metadata":null,"error":null,"duration_ms":null,"exit_code":null"#);
    let (_, event) = parse(line.as_bytes()).expect("an event");
    assert!(event.args.is_none() && event.metadata.is_none() && event.error.is_none());
    assert!(event.duration_ms.is_none() && event.exit_code.is_none() && !event.has_null);
    assert!(parse(with(r#""os":null"#).as_bytes()).expect("an event").1.has_null);
}

#[test]
fn a_wrong_type_names_the_member_and_both_types() {
    for (member, expected) in [
        (
            r#""duration_ms":"12ms""#,
            r#"`duration_ms`: expected an integer from 0 to 2^64 - 1, found string "12ms""#,
        ),
        (r#""duration_ms":-1"#, "`duration_ms`: expected an integer from 0 to 2^64 - 1, found integer -1"),
        (r#""duration_ms":1.0"#, "`duration_ms`: expected an integer from 0 to 2^64 - 1, found number 1.0"),
        (
            r#""duration_ms":18446744073709551616"#,
            "`duration_ms`: expected an integer from 0 to 2^64 - 1, found number 1.8446744073709552e19",
        ),
        (r#""exit_code":[1]"#, "`exit_code`: expected an integer from -2^63 to 2^63 - 1, found a list"),
        (
            r#""exit_code":9223372036854775808"#,
            "`exit_code`: expected an integer from -2^63 to 2^63 - 1, found integer 9223372036854775808",
        ),
        (r#""id":{"a":1}"#, "`id`: expected a string, found an object"),
        (r#""id":"""#, "`id`: expected 1 to 256 bytes, found 0"),
        (r#""version":2"#, "`version`: expected a string, found integer 2"),
        (r#""error":true"#, "`error`: expected a string, found true"),
        (r#""args":"-v""#, r#"`args`: expected a list of strings, found string "-v""#),
        (r#""args":{}"#, "`args`: expected a list of strings, found an object"),
        (r#""args":["a",5]"#, "`args[1]`: expected a string, found integer 5"),
        (r#""metadata":[]"#, "`metadata`: expected an object of strings, numbers and booleans, found a list"),
        (
            r#""metadata":7"#,
            "`metadata`: expected an object of strings, numbers and booleans, found integer 7",
        ),
        (r#""metadata":{"n":[1]}"#, "`metadata.n`: expected a string, a number or a boolean, found a list"),
        (r#""metadata":{"n":null}"#, "`metadata.n`: expected a string, a number or a boolean, found null"),
        (r#""metadata":{"n":1,"n":1}"#, "`n`: a member of this name comes twice"),
        (r#""metadata":{"n":"a","n":"b"}"#, "`n`: a member of this name comes twice"),
        (r#""name":"m""#, "`name`: a member of this name comes twice"),
        (r#""x":1,"x":1"#, "`x`: a member of this name comes twice"),
        (r#""na\u006de":"m""#, "`name`: a member of this name comes twice"),
    ] {
        assert_eq!(refusal(with(member)), expected, "{member}");
    }
    let long = refusal(with(&format!(r#""duration_ms":"{}""#, "ä".repeat(1000))));
    assert!(long.len() < 200 && long.contains('…'), "{long}");
    assert_eq!(
        refusal(with(&format!(r#""id":"{}""#, "x".repeat(257)))),
        "`id`: expected 1 to 256 bytes, found 257"
    );
}

#[test]
fn a_repeated_member_is_found_among_very_many() {
    let mut members: Vec<_> = (0..70_000).map(|n| format!("\"m{n}\":0")).collect();
    assert!(parse(with(&members.join(",")).as_bytes()).is_ok());
    members.truncate(69_500);
    members.push("\"m69000\":0".to_owned());
    assert_eq!(refusal(with(&members.join(","))), "`m69000`: a member of this name comes twice");
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    for (line, expected) in [
        ("[1]", "expected a JSON object, found a list"),
        ("\"a\"", "expected a JSON object, found string \"a\""),
        ("12", "expected a JSON object, found integer 12"),
        ("null", "expected a JSON object, found null"),
        ("hello", "not JSON: expected a value at column 1"),
        ("{\"type\":\"t\"", "not JSON: the line ends in an object at column 11"),
        ("{\"type\":\"t\",\"name\":\"n\"} {}", "not JSON: more behind the value at column 25"),
        ("{'type':1}", "not JSON: expected a name in double quotes at column 2"),
    ] {
        assert_eq!(refusal(line), expected, "{line}");
    }
    assert_eq!(refusal(b"{\"type\":\"\xff\"}"), "not UTF-8: byte 10 is not a part of a character");
    assert!(refusal(vec![b' '; MAX_LINE + 1]).starts_with("line too long: 1048577 bytes, limit 1048576"));
}

#[test]
fn deep_nesting_is_an_answer_and_not_a_crash() {
    let deep = "[".repeat(400_000) + &"]".repeat(400_000);
    for member in ["x", "id", "args", "metadata"] {
        for value in [&deep, &deep[..400_000]] {
            assert!(parse(with(&format!("\"{member}\":{value}")).as_bytes()).is_err());
        }
    }
}

#[test]
fn nesting_of_an_unknown_member_is_good_up_to_the_limit() {
    // The event itself is one level.
    let nested = |levels: usize| with(&format!("\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    let refusal = refusal(nested(MAX_DEPTH));
    assert!(refusal.starts_with("nested too deep: limit 127 levels, at column "), "{refusal}");
}

#[test]
fn unknown_members_are_read_as_strictly_as_the_others() {
    for (value, reason) in [
        (r#""\ud800""#, "not JSON: "),
        (r#""\udc00\ud800""#, "not JSON: "),
        (r#"{"\ud800":1}"#, "not JSON: "),
        (r#"[{"a":["\ud800x"]}]"#, "not JSON: "),
        ("1e400", "not JSON: number out of range"),
        ("[-1e999]", "not JSON: number out of range"),
        ("01", "not JSON: "),
        ("\"\t\"", "not JSON: control character"),
    ] {
        let refusal = refusal(with(&format!("\"x\":{value}")));
        assert!(refusal.starts_with(reason), "{value}: {refusal}");
    }
    for value in [
        r#""\ud83d\ude00""#,
        "1e308",
        "-0.0",
        "1e-400",
        "123456789012345678901234567890",
        r#"{"a":1,"a":[null]}"#,
    ] {
        let line = with(&format!("\"x\":{value}"));
        assert!(parse(line.as_bytes()).is_ok(), "{value}");
    }
}

#[test]
fn a_timestamp_is_rfc_3339_and_nothing_wider() {
    for text in [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02T03:04:05.1Z",
        "2026-01-02T03:04:05.123456789-23:59",
        "2262-04-11T23:47:16.854775807Z",
        "2016-12-31T23:59:60Z",
        "2017-01-01T00:59:60.5+01:00",
    ] {
        assert!(rfc3339::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        "2026-01-02",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04Z",
        "20260102T030405Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05,1Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05+0100",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05-01:60",
        "2026-01-01T00:00:60Z",
        "2026-01-01T12:34:60+01:00",
        "2026-01-02T23:59:60Z",
        "2016-12-31T23:59:61Z",
        "2026-01-02T03:04:05+01:00[Europe/Berlin]",
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2262-04-11T23:47:16.854775808Z",
        "1600-01-01T00:00:00Z",
    ] {
        let expected = "expected an RFC 3339 time from 1677-09-21 to 2262-04-11 with at most 9 digits of a second, found string";
        let refusal = refusal(with(&format!("\"timestamp\":{text:?}")));
        assert!(refusal.starts_with(&format!("`timestamp`: {expected}")), "{text}: {refusal}");
    }
}

#[test]
fn numbers_and_booleans_of_metadata_are_read_as_their_text() {
    let line = r#"{"type":"t","name":"n","metadata":{"i":-12,"u":18446744073709551615,"f":0.10,"e":1e3,"b":true,"t":"1"}}"#;
    let (text, parsed) = parse(line.as_bytes()).expect("an event");
    assert_eq!(text, line, "its JSON stays as it is");
    let expected = [
        ("i", "-12"),
        ("u", "18446744073709551615"),
        ("f", "0.1"),
        ("e", "1000.0"),
        ("b", "true"),
        ("t", "1"),
    ];
    assert_eq!(parsed.metadata.expect("metadata"), expected.map(|(key, value)| (key.into(), value.into())));
}
