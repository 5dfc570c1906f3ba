//! Rejected events of a run: kept, listed, sent again, dropped.

use std::io::Write as _;

use jackfield_tests::{
    kill_loop::BATCH_EVENTS,
    peers::http::{HttpServer, REFUSED, Reply},
    plugin,
};
use serde_json::Value;

use crate::site::{self, Ended, Site, events, hostile, ids, to_file};

/// A run that reads these events, and ends when each backend has settled them or can't store a dead letter.
fn run(site: &Site, arguments: &[&str], input: &str) -> Ended {
    let mut running = site.runs(&[&["--json", "--grace", "300ms"], arguments].concat());
    let mut stdin = running.stdin();
    stdin.write_all(input.as_bytes()).expect("writable");
    let is_done = |backend: &Value| {
        let is_full = backend["last_error"].as_str().is_some_and(|error| error.contains(FULL));
        backend["waiting"] == 0 || is_full
    };
    running.until("the outcomes", || {
        let status = site.status();
        let backends = status["spools"][0]["backends"].as_array();
        status["events"] == input.lines().count()
            && backends.is_some_and(|backends| backends.iter().all(is_done))
    });
    drop(stdin);
    running.end()
}

/// What is said of a backend whose dead letters can't be stored.
const FULL: &str = "dead letters have reached their limit of ";

fn dead_letters(site: &Site, arguments: &[&str]) -> Ended {
    site.run(&[&["dead-letters"], arguments, &["--state", "state"]].concat())
}

/// The configuration has `hostile`, which rejects each event, and a file.
fn rejecting() -> Site {
    Site::new(&[hostile("5s", "outcome = \"rejected\""), to_file("one", "one.jsonl")])
}

/// The summary's member for this backend.
fn backend<'v>(summary: &'v Value, name: &str) -> &'v Value {
    let backends = summary["backends"].as_array().expect("a list");
    backends.iter().find(|backend| backend["name"] == name).expect("it is in force")
}

/// Fails unless the numbers of a backend add up.
fn assert_sum(summary: &Value, name: &str) {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{summary}"));
    let of = |member: &str| number(&backend(summary, name)[member]);
    let there = of("waiting_before") + number(&summary["read"]);
    let others = ["delivered", "rejected", "lost", "waiting", "missed"].map(of);
    assert_eq!((there, of("missed")), (others.iter().sum::<u64>(), 0), "{summary}");
}

#[test]
fn rejected_events_are_kept_listed_sent_again_and_dropped() {
    let site = rejecting();
    let summary = run(&site, &[], &events(0..30)).with_code(6).summary();
    assert_sum(&summary, "hostile");
    assert_sum(&summary, "one");
    assert_eq!((&summary["dead_letters"], &backend(&summary, "one")["delivered"]), (&30.into(), &30.into()));

    let listed: Value = dead_letters(&site, &["list", "--json"]).with_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(30));
    assert_eq!(
        (&listed[0]["backend"], listed[0]["reason"].is_string()),
        (&"hostile".into(), true),
        "{listed}"
    );
    assert!(listed[0]["rejected_at"].as_u64() > Some(1_700_000_000_000), "{listed}");
    let text = dead_letters(&site, &["list"]).with_code(0).stdout;
    assert!(text.lines().count() == 31 && text.ends_with("30 dead letters\n"), "{text}");
    let shown = dead_letters(&site, &["show", "--backend", "hostile"]).with_code(0).stdout;
    assert_eq!(ids(&shown), ids(&events(0..30)));
    assert_eq!(dead_letters(&site, &["show", "--backend", "one"]).with_code(0).stdout, "");
    let typo = dead_letters(&site, &["drop", "--backend", "hostil"]).with_code(2).stderr;
    assert!(typo.contains(r#"no backend "hostil" in this spool, which has `hostile`, `one`"#), "{typo}");

    // Rejected again, they stay; accepted, they leave.
    let again: Value = dead_letters(&site, &["resend", "--json"]).with_code(6).json();
    assert_eq!(again["backends"][0]["rejected"], 30, "{again}");
    site.write("config.toml", hostile("5s", "outcome = \"delivered\""));
    let again: Value = dead_letters(&site, &["resend", "--json"]).with_code(0).json();
    assert_eq!(again["backends"][0]["delivered"], 30, "{again}");
    assert_eq!(dead_letters(&site, &["list"]).stdout, "0 dead letters\n");

    site.write("config.toml", rejecting().read("config.toml"));
    run(&site, &[], &events(30..40)).with_code(6);
    let dropped: Value = dead_letters(&site, &["drop", "--json"]).with_code(0).json();
    assert_eq!(dropped["dropped"], 10);
    assert_eq!(dead_letters(&site, &["list"]).stdout, "0 dead letters\n");
}

#[test]
fn only_what_this_run_rejects_decides_its_exit_code() {
    let site = rejecting();
    run(&site, &[], &events(0..3)).with_code(6);
    site.write("config.toml", hostile("5s", "outcome = \"delivered\""));
    let ended = run(&site, &[], &events(3..5)).with_code(0);
    let summary = ended.summary();
    assert_sum(&summary, "hostile");
    assert_eq!((&summary["dead_letters"], &backend(&summary, "hostile")["rejected"]), (&3.into(), &0.into()));
    assert!(ended.stderr.contains("hostile: 2 delivered\n"), "{ended:#?}");
    assert!(ended.stderr.contains("the spool keeps 3 dead letters"), "{ended:#?}");
}

#[test]
fn the_end_of_the_grace_keeps_the_outcomes_of_a_call() {
    let options = |url: &str| {
        site::backend("server", &plugin("http"), &format!("timeout = \"60s\"\nconfig = {{ url = {url:?} }}"))
    };
    // All events wait for the next run, which sends them in one batch.
    let site = Site::new(&[options(REFUSED)]);
    let mut running = site.runs(&["--grace", "100ms"]);
    running.feed(events(0..16).into());
    running.end().with_code(0);
    // The batch is halved: 16, 8, 4, 2, 1 and 1 events are refused, and the next request has no answer.
    let server = HttpServer::script(vec![Reply::status(400); 6], Reply::silence());
    site.write("config.toml", options(&server.url("/")));
    let mut running = site.runs(&["--json", "--grace", "200ms"]);
    running.until("the last request", || server.received().len() == 7);
    running.signal("TERM");
    let summary = running.end().with_code(6).summary();
    assert_sum(&summary, "server");
    let server = backend(&summary, "server");
    assert_eq!((&server["rejected"], &server["waiting"]), (&2.into(), &14.into()), "{summary}");
    let kept = dead_letters(&site, &["show"]).with_code(0).stdout;
    assert_eq!(ids(&kept), ids(&events(0..2)));
}

#[test]
fn full_dead_letters_stop_their_backend_and_no_other() {
    let site = rejecting();
    let full = ["--dead-letter-size", "1kB"];
    run(&site, &full, &events(0..2000)).with_code(6);
    let ended = run(&site, &full, &events(2000..6000)).with_code(0);
    let summary = ended.summary();
    assert_sum(&summary, "hostile");
    assert_eq!(backend(&summary, "one")["delivered"], 4000, "{summary}");
    assert_eq!(
        (&backend(&summary, "one")["waiting"], &summary["dropped"]),
        (&0.into(), &serde_json::json!({}))
    );
    let number = |member: &str| summary[member].as_u64().expect("a number");
    let kept = number("dead_letters");
    assert!(kept > 0 && kept <= BATCH_EVENTS as u64, "one batch at most: {summary}");
    assert_eq!(kept + number("waiting"), 6000, "{summary}");
    let status = site.status();
    let error = &status["spools"][0]["backends"][0]["last_error"];
    assert!(error.as_str().is_some_and(|error| error.contains(&format!("{FULL}1000 bytes"))), "{status:#}");
}

#[test]
fn resend_drops_nothing_that_the_run_keeps() {
    let site = rejecting();
    let file = "state/spool/dead-letters.v1.jsonl";
    run(&site, &["--dead-letter-age", "90d"], &events(0..1)).with_code(6);
    let mut letter: Value = serde_json::from_str(&site.read(file)).expect("one");
    let at = letter["rejected_at"].as_u64().expect("a time");
    letter["rejected_at"] = (at - 40 * 24 * 60 * 60 * 1000).into();
    site.write(file, letter.to_string() + "\n");
    let again = dead_letters(&site, &["resend", "--json"]).with_code(6).json();
    assert_eq!(again["backends"][0]["rejected"], 1, "{again}");
    assert!(dead_letters(&site, &["list"]).stdout.ends_with("1 dead letter\n"));
}

#[test]
fn a_run_that_has_stored_nothing_has_no_dead_letters() {
    let site = rejecting();
    let mut running = site.runs(&[]);
    running.until("a status", || site.status()["state"] == "running");
    assert!(!site.path("state/spool").exists());
    assert_eq!(dead_letters(&site, &["list"]).with_code(0).stdout, "0 dead letters\n");
    assert_eq!(dead_letters(&site, &["show"]).with_code(0).stdout, "");
    assert_eq!(dead_letters(&site, &["drop", "--json"]).with_code(0).json()["dropped"], 0);
    let again = dead_letters(&site, &["resend", "--json"]).with_code(0).json();
    assert_eq!(again, serde_json::json!({ "backends": [], "of_others": 0 }));
    running.feed(Vec::new());
    running.end().with_code(0);
    // A run with --spools has no spool in its own folder: its dead letters are elsewhere.
    let mut running = site.runs(&["--spools", "."]);
    running.until("its status", || site.status()["input"].to_string().contains("spools of"));
    let ended = dead_letters(&site, &["list"]).with_code(7);
    assert!(ended.stderr.contains("the data folder of a tool"), "{ended:#?}");
    running.signal("TERM");
    running.end().with_code(0);
}

#[test]
fn a_folder_without_a_spool_is_refused() {
    let site = rejecting();
    let ended = dead_letters(&site, &["list"]).with_code(7);
    assert!(
        ended.stderr.contains("there is no spool: name the folder of `jackfield run --state`"),
        "{ended:#?}"
    );
    let ended = site.run(&["run", "--state", "state", "--dead-letter-age", "30x"]).with_code(2);
    assert!(ended.stderr.contains("an age from 1m to 3650d"), "{ended:#?}");
}
