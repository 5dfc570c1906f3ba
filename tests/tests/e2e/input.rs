//! `jackfield send` and its input: every kind of line, and every place that events can come from.

use std::{fs, process::Command};

use crate::site::{Site, event, events, ids, start, to_file};

fn site() -> Site {
    Site::new(&[to_file("main", "out.jsonl")])
}

/// Fails unless all that was sent is the events 0 to `count`, as they were.
fn arrived(site: &Site, count: usize) {
    assert_eq!(site.read("out.jsonl"), events(0..count));
}

#[test]
fn a_bad_line_is_reported_by_number_and_kept() {
    let site = site();
    let bad = [
        "not JSON",
        "[1]",
        r#"{"type":"a"}"#,
        r#"{"type":"a","name":"b","exit_code":"0"}"#,
        r#"{"type":"a","name":"b","name":"c"}"#,
        r#"{"type":"a","name":"b","timestamp":"yesterday"}"#,
    ];
    let expected =
        ["not JSON: ", "expected a JSON object", "`name`: ", "`exit_code`: ", "`name`", "`timestamp`: "];
    // Lines 2, 4, 6 ... are bad.
    let input: String = bad.iter().enumerate().map(|(at, bad)| format!("{}\n{bad}\n", event(at))).collect();
    let ended = site.send(input, &[]).with_code(5);
    arrived(&site, bad.len());
    assert_eq!(site.kept(".bad-lines.txt"), bad.map(|line| line.to_owned() + "\n").concat());
    let told: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(told.len(), bad.len(), "{ended:#?}");
    for (at, (line, expected)) in told.iter().zip(expected).enumerate() {
        let number = 2 * at + 2;
        assert!(line.starts_with(&format!("error: line {number}: ")) && line.contains(expected), "{line}");
    }
    let summary = ended.summary();
    assert_eq!((&summary["lines"], &summary["bad_lines"]), (&12.into(), &6.into()));
}

#[test]
fn many_bad_lines_are_kept_and_the_first_printed() {
    let site = site();
    let ended = site.send("bad\n".repeat(5000) + &events(0..1), &[]).with_code(5);
    assert_eq!(ended.stderr.lines().count(), 21, "{}", ended.stderr);
    assert!(ended.stderr.ends_with("4980 more bad lines, not printed\n"), "{}", ended.stderr);
    assert_eq!(site.kept(".bad-lines.txt"), "bad\n".repeat(5000));
    arrived(&site, 1);
}

#[test]
fn a_line_beyond_the_limit_is_a_bad_line() {
    const LIMIT: usize = 1 << 20;
    let site = site();
    let with_length = |number: usize, length: usize| {
        let line = event(number);
        let padding = "x".repeat(length - line.len() - r#","pad":"""#.len());
        line.replacen('}', &format!(r#","pad":"{padding}"}}"#), 1)
    };
    let (fits, beyond, far_beyond) =
        (with_length(0, LIMIT), with_length(1, LIMIT + 1), with_length(2, 5 * LIMIT));
    assert_eq!((fits.len(), beyond.len()), (LIMIT, LIMIT + 1));
    let ended = site.send(format!("{fits}\n{beyond}\n{far_beyond}\n{}\n", event(3)), &[]).with_code(5);
    assert!(site.read("out.jsonl") == format!("{fits}\n{}\n", event(3)), "other events arrived");
    assert!(site.kept(".bad-lines.txt") == format!("{beyond}\n{far_beyond}\n"), "others were kept");
    let reason = format!("line too long: limit {LIMIT} bytes");
    assert_eq!(ended.stderr, format!("error: line 2: {reason}\nerror: line 3: {reason}\n"));
}

#[test]
fn a_bad_line_of_bytes_is_kept_unchanged() {
    let site = site();
    let bad = b"{\"type\":\"a\",\"name\":\"\xff\xfe\"}\n";
    let input = [bad.as_slice(), events(0..2).as_bytes()].concat();
    let ended = site.send(input, &[]).with_code(5);
    arrived(&site, 2);
    assert_eq!(ended.stderr, "error: line 1: not UTF-8: byte 21 is not a part of a character\n");
    let kept = site.files(".bad-lines.txt");
    assert_eq!(fs::read(site.path(&kept[0])).expect("readable"), bad);
}

#[test]
fn line_ends_and_a_byte_order_mark_do_not_matter() {
    for input in [
        events(0..3).replace('\n', "\r\n"),
        format!("\u{feff}{}", events(0..3)),
        events(0..3).trim_end().to_owned(),
        format!("\u{feff}\r\n \t\r\n{}", events(0..3).replace('\n', "\r\n\n").trim_end()),
    ] {
        let site = site();
        let ended = site.send(input, &[]).with_code(0);
        assert_eq!((ended.counts("main"), ended.stderr.as_str()), ([3, 0, 0, 0, 0], ""));
        arrived(&site, 3);
    }
}

#[test]
fn blank_lines_are_no_events_and_no_errors() {
    for (input, lines) in [("", 0), ("\n\n \n", 3), ("\u{feff}", 1), ("\r\n\t\r\n", 2)] {
        let site = site();
        let ended = site.send(input, &[]).with_code(0);
        let summary = ended.summary();
        assert_eq!(
            (&summary["lines"], &summary["events"], &summary["bad_lines"]),
            (&lines.into(), &0.into(), &0.into()),
            "{input:?}"
        );
        arrived(&site, 0);
        assert!(site.files(".txt").is_empty() && site.files(".undelivered.jsonl").is_empty());
    }
}

#[test]
fn an_incomplete_last_line_is_a_bad_line() {
    let site = site();
    let input = events(0..2);
    let ended = site.send(&input[..input.len() - 40], &[]).with_code(5);
    arrived(&site, 1);
    assert!(
        ended.stderr.starts_with("error: line 2: not JSON: the line ends in a string"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_standard_input_and_its_dash_are_read_alike() {
    let site = site();
    site.write("in.jsonl", events(0..3));
    for arguments in [&[][..], &["-"]] {
        site.send(events(0..3), arguments).with_code(0);
    }
    site.run(&["send", "in.jsonl"]).with_code(0);
    assert_eq!(site.read("out.jsonl"), events(0..3).repeat(3));
}

#[cfg(unix)]
#[test]
fn a_fifo_is_read_to_its_end() {
    let site = site();
    assert!(Command::new("mkfifo").arg(site.path("fifo")).status().expect("runs").success());
    let running = start(&mut site.command(&["send", "--json", "fifo"]));
    fs::write(site.path("fifo"), events(0..2000)).expect("read");
    assert_eq!(running.end().with_code(0).counts("main"), [2000, 0, 0, 0, 0]);
    assert_eq!(ids(&site.read("out.jsonl")).len(), 2000);
    arrived(&site, 2000);
}

#[test]
fn a_file_that_is_sent_into_itself_is_sent_once() {
    let site = site();
    site.write("out.jsonl", events(0..2000));
    let ended = site.run(&["send", "--json", "out.jsonl"]).with_code(0);
    assert_eq!(ended.counts("main"), [2000, 0, 0, 0, 0]);
    assert_eq!(site.read("out.jsonl"), events(0..2000).repeat(2));
}

#[test]
fn nesting_without_end_is_no_crash() {
    let pretty = crate::site::backend("pretty", &jackfield_tests::plugin("stdout"), "");
    let site = Site::new(&[to_file("main", "out.jsonl"), pretty]);
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let deep = nested(100_000);
    let event_with = |deep: &str| event(0).replacen('{', &format!("{{\"deep\":{deep},"), 1);
    let allowed = event_with(&nested(126));
    let input = format!("{}\n{deep}\n{}\n{allowed}\n{}\n", event_with(&deep), event_with("[[[["), event(1));
    let ended = site.send(input, &[]).with_code(5);
    assert_eq!(ended.counts("main"), [2, 0, 0, 0, 0]);
    assert_eq!(ended.counts("pretty"), [2, 0, 0, 0, 0]);
    assert!(ended.stderr.contains("line 1: nested too deep: limit 127 levels"), "{}", ended.stderr);
    assert!(site.read("out.jsonl") == format!("{allowed}\n{}\n", event(1)), "other events arrived");
}

#[test]
fn what_strict_readers_refuse_is_not_passed_on_to_them() {
    let site = site();
    let line = |value: &str| format!("{{\"type\":\"a\",\"name\":\"b\",\"x\":{value}}}\n");
    let input = [r#""\ud800""#, "1e400", "[[1]]"].map(line).concat();
    let ended = site.send(input, &[]).with_code(5);
    assert_eq!(ended.counts("main"), [1, 0, 0, 0, 0]);
    assert_eq!(ended.summary()["bad_lines"], 2);
}

#[test]
fn an_unreadable_input_is_named_before_plugins_open() {
    let site = site();
    fs::create_dir(site.path("folder")).expect("made");
    for (input, reason) in [("missing.jsonl", "No such file"), ("folder", "is a directory")] {
        let ended = site.run(&["send", input]).with_code(7);
        assert!(
            ended.stderr.starts_with(&format!("error: input {input}: ")) && ended.stderr.contains(reason),
            "{}",
            ended.stderr
        );
        assert_eq!((ended.stderr.lines().count(), ended.stdout.as_str()), (1, ""));
    }
    let ended = site.run(&["send", "--leftovers", "missing"]).with_code(7);
    assert!(ended.stderr.starts_with("error: leftovers missing: No such file"), "{}", ended.stderr);
    assert!(!site.path("out.jsonl").exists(), "the backend was opened");
}
