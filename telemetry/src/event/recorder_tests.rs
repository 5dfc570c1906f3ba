use super::*;
use crate::event::encode::Origin;
use crate::event::event::EventKind;

fn line(recorder: &Recorder, event: &Event<'_>) -> serde_json::Value {
    recorder.record_as_is(1, event, |line| serde_json::from_slice(line).expect("JSON"))
}

fn recorder(extended: bool) -> Recorder {
    let origin = Origin { machine_id: "m", tool_name: "t", version: "1", os_version: "6" };
    let all = [("channel", "beta"), ("proxy", "http://me:pw@host/")];
    let all: Vec<_> = all.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
    Recorder::new(
        Encoder::new(origin),
        &all,
        extended,
        extended.then(PersonalNames::default),
        AuthorRules::default(),
    )
}

#[test]
fn metadata_of_an_event_wins_and_secrets_are_removed() {
    let event = Event::new(EventKind::FEATURE_USED, "export").metadata(&[
        ("channel", "stable"),
        ("token", "abc"),
        ("n", "1"),
        ("n", "2"),
    ]);
    let stored = line(&recorder(false), &event);
    assert_eq!(
        stored["metadata"],
        serde_json::json!({
            "channel": "stable", "proxy": "http://[redacted]@host/", "token": "[redacted]", "n": "2"
        })
    );
}

#[test]
fn the_last_value_counts_at_the_position_of_the_first() {
    let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
    let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "first")).collect();
    pairs.extend([("channel", "stable"), ("n3", "second"), ("n39", "second"), ("new", "x"), ("new", "y")]);
    let recorder = recorder(false);
    let Metadata::Redacted(merged) = Recorder::metadata(&recorder.metadata, &pairs, &[]) else {
        panic!("there is something to merge")
    };
    let keys: Vec<&str> = merged.iter().map(|(key, _)| &**key).collect();
    let expected = ["channel", "proxy"].into_iter().chain(names.iter().map(|name| &**name)).chain(["new"]);
    assert_eq!(keys, expected.collect::<Vec<_>>());
    let value = |name: &str| merged.iter().find(|(key, _)| key == name).expect("there").1.clone();
    assert_eq!(
        ["channel", "n3", "n39", "new", "n4"].map(value),
        ["stable", "second", "second", "y", "first"].map(Value::from)
    );
}

#[test]
fn the_time_that_many_names_take_is_linear() {
    let recorder = recorder(false);
    let time = |count| {
        let names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
        let event = Event::new("a", "b").metadata(&pairs);
        assert!(!recorder.is_too_long(&event));
        let started = std::time::Instant::now();
        recorder.record_as_is(1, &event, |line| assert!(line.len() < MAX_LINE));
        started.elapsed()
    };
    let (few, many) = (time(2_000), time(60_000));
    // Thirty times as many names take about thirty times as long. A comparison of each with each would take 900 times.
    assert!(many < few * 300, "{few:?}, {many:?}");
}

#[test]
fn what_no_line_can_hold_is_known_before_it_is_redacted() {
    let long = "x".repeat(MAX_LINE + 1);
    let pairs = [("k", &*long)];
    let args = [&*long];
    let short = Event::new("a", "b");
    for extended in [false, true] {
        let recorder = recorder(extended);
        assert!(!recorder.is_too_long(&short));
        assert!(recorder.is_too_long(&Event::new("a", &long)));
        assert!(recorder.is_too_long(&Event::new(long.clone(), "b")));
        assert!(recorder.is_too_long(&short.clone().metadata(&pairs)));
        // Parts that are not collected do not count.
        assert_eq!(recorder.is_too_long(&short.clone().args(&args)), extended);
        assert_eq!(recorder.is_too_long(&short.clone().error(&long)), extended);
    }
}

#[test]
fn arguments_and_errors_need_extended_collection() {
    let args = ["--password", "hunter2", "-v"];
    let event = Event::new("deploy.failed", "deploy token=abcdef")
        .args(&args)
        .error("login with password=hunter2 failed");
    let stored = line(&recorder(false), &event);
    assert!(stored.get("args").is_none() && stored.get("error").is_none(), "{stored}");
    let stored = line(&recorder(true), &event);
    assert_eq!(stored["args"], serde_json::json!(["--password", "[redacted]", "-v"]));
    assert_eq!(stored["error"], "login with password=[redacted] failed");
    assert_eq!(stored["name"], "deploy token=[redacted]");
}

#[test]
fn secrets_go_from_kinds_too() {
    let secret = format!("gh{}_{}", "p", "a1B2".repeat(9));
    for (kind, expected) in [
        (secret.clone(), "[redacted]".to_owned()),
        (format!("login.{secret}"), "login.[redacted]".to_owned()),
        ("deploy.failed".to_owned(), "deploy.failed".to_owned()),
    ] {
        assert_eq!(line(&recorder(false), &Event::new(kind, "b"))["type"], expected);
    }
}

#[test]
fn an_event_without_kind_and_name_gets_both() {
    let stored = line(&recorder(false), &Event::new("", ""));
    assert_eq!((&stored["type"], &stored["name"]), (&"other".into(), &"unnamed".into()));
}

#[test]
fn an_event_may_be_tracked_while_another_one_is() {
    let recorder = recorder(false);
    let event = Event::new("a", "outer");
    let ids = recorder.record_as_is(1, &event, |outer| {
        let outer: serde_json::Value = serde_json::from_slice(outer).expect("JSON");
        [outer["id"].clone(), line(&recorder, &event)["id"].clone()]
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_value_keeps_its_type_and_a_number_may_be_a_credential() {
    let values = [
        ("pages", 12.into()),
        ("most", u64::MAX.into()),
        ("least", i64::MIN.into()),
        ("share", 0.1_f64.into()),
        ("rest", f64::NAN.into()),
        ("color", true.into()),
        ("format", "pdf".into()),
        ("text", "twice".into()),
        ("otp", 123_456.into()),
        ("password", 1.5_f64.into()),
        ("use_token", false.into()),
        ("channel", 1.into()),
    ];
    let event = Event::new("a", "b").metadata(&[("text", "once")]).values(&values);
    let recorder = recorder(false);
    assert_eq!(
        line(&recorder, &event)["metadata"],
        serde_json::json!({
            "channel": 1, "proxy": "http://[redacted]@host/", "text": "twice", "pages": 12, "most": u64::MAX,
            "least": i64::MIN, "share": 0.1, "rest": "NaN", "color": true, "format": "pdf", "otp": "[redacted]",
            "password": "[redacted]", "use_token": false
        })
    );
    assert!(!recorder.is_too_long(&event));
    let long = [("k", "x".repeat(MAX_LINE).into())];
    assert!(recorder.is_too_long(&Event::new("a", "b").values(&long)));
}
