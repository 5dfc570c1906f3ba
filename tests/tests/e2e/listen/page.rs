//! The page, in a browser.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use jackfield_tests::{fixture, peers::browser::Browser};
use serde_json::Value;

use super::{get, listening};
use crate::site::{Site, backend, events, to_file};

const JUDGE: &str = include_str!("judge.js");
/// What a plugin says that would like to run in the browser.
const HOSTILE: &str = r#"<script>alert(1)</script><img src="//evil.example/x" onerror='alert(2)'>"#;

/// Where the pictures of the page are left.
fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages").join(name)
}

#[test]
fn the_page_is_readable_wide_and_narrow_light_and_dark() {
    let rest = format!("[backend.config]\noutcome = \"retry\"\nsays = {HOSTILE:?}\nuntil = \"mended\"");
    let platform = backend("platform-with-a-rather-long-name", &fixture("hostile"), &rest);
    let site = Site::new(&[to_file("archive", "out.jsonl"), platform]);
    let (mut running, port) = listening(&site, &[]);
    let mut stdin = running.stdin();
    stdin.write_all((events(0..5100) + "this is none\n").as_bytes()).expect("writable");
    running.until("the open circuit", || get(port, "/").body.contains(">a circuit was open<"));
    running.until("the status", || get(port, "/").body.contains(">5100</td>"));
    let url = format!("http://127.0.0.1:{port}/?still");
    let mut browser = Browser::start();
    for (width, height) in [(1280, 900), (390, 844)] {
        for scheme in ["light", "dark"] {
            let at = format!("{width} {scheme}");
            let mut looked = None;
            // The circuit is closed for a moment whenever the backend is tried again.
            running.until("a page with an open circuit", || {
                let mut page = browser.open(&url, (width, height), scheme);
                page.picture(&picture(&format!("{width}-{scheme}.png")));
                let seen = page.evaluate(JUDGE);
                let is_open = seen["text"].as_str().is_some_and(|text| text.contains("open, "));
                looked = Some((page.requests, page.complaints, seen));
                is_open
            });
            let (requests, complaints, seen) = looked.expect("it has looked");
            assert_eq!(requests, [&*url], "{at}: it loads nothing else");
            assert_eq!(complaints, [""; 0], "{at}");
            assert_eq!(
                (&seen["width"], &seen["scrollWidth"]),
                (&width.into(), &width.into()),
                "{at}: {seen:#}"
            );
            assert_eq!((&seen["wide"], &seen["cut"]), (&Value::Array(Vec::new()), &0.into()), "{at}");
            assert_eq!(
                (&seen["faint"], &seen["faintLines"]),
                (&Value::Array(Vec::new()), &Value::Array(Vec::new())),
                "{at}"
            );
            assert!(
                seen["texts"].as_u64().is_some_and(|texts| texts > 40) && seen["lines"] == 6,
                "{at}: {seen:#}"
            );
            assert_eq!(seen["dark"], scheme == "dark", "{at}");
            assert_eq!(seen["stacked"], width == 390, "{at}");
            assert_eq!(
                (&seen["unnamed"], &seen["scripts"], &seen["styled"]),
                (&0.into(), &0.into(), &true.into()),
                "{at}"
            );
            let text = seen["text"].as_str().expect("text");
            for expected in [
                "ready",
                "5101 lines, 5100 events, 1 bad line",
                "Events per second",
                "Waiting events",
                "a circuit was open",
                "archive",
                "platform-with-a-rather-long-name",
                "<script>alert(1)</script>",
                "config.toml",
                "not updated, start",
            ] {
                assert!(text.contains(expected), "{at}: {expected}: {text}");
            }
        }
    }
    drop(browser);
    site.write("mended", "");
    drop(stdin);
    running.end().with_code(5);
}

#[test]
fn the_page_says_what_the_screen_says() {
    let site = Site::new(&[to_file("main", "out.jsonl"), backend("away", "./nowhere.so".as_ref(), "")]);
    let (mut running, port) = listening(&site, &["--start-anyway"]);
    running.until("the page", || get(port, "/").body.contains("not ready: away: "));
    let answer = get(port, "/");
    assert!(answer.head.contains("Content-Security-Policy: default-src 'none'; "), "{answer:?}");
    assert!(answer.body.contains("<meta http-equiv=\"refresh\" content=\"10\">"), "it is updated");
    // Words, without what changes from one moment to the next.
    let words = |text: &str| -> Vec<String> {
        let text = text.replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&");
        let words = text.split(|c: char| c.is_whitespace() || "<>;,".contains(c));
        words
            .filter(|word| !word.is_empty() && !word.chars().any(|c| c.is_ascii_digit()))
            .map(str::to_owned)
            .collect()
    };
    let page = words(&answer.body);
    let screen = site.run(&["status", "--state", "state"]).with_code(0).stdout;
    let missing: Vec<_> = words(&screen).into_iter().filter(|word| !page.contains(word)).collect();
    assert!(missing.is_empty(), "{missing:?} of\n{screen}\nare not in\n{}", answer.body);
    running.signal("TERM");
    running.end().with_code(0);
}
