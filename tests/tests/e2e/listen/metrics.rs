//! `/metrics`, which promtool judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jackfield_tests::{
    peers::{
        http::{HttpServer, Reply},
        prometheus,
    },
    plugin, workspace,
};

use super::{get, listening};
use crate::site::{Running, Site, backend, events, id, to_file};

/// Starts a run that listens, and waits until its backends were opened.
fn serving(site: &Site, arguments: &[&str]) -> (Running, u16) {
    let (mut running, port) = listening(site, arguments);
    running.until("metrics", || get(port, "/metrics").status == 200);
    (running, port)
}

/// The samples of `/metrics`, by name and labels; promtool has nothing to say against them.
fn scrape(port: u16) -> BTreeMap<String, f64> {
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer:?}");
    prometheus::check_metrics(&answer.body);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{error}: {line}")))
        })
        .collect()
}

/// Waits until a sample has a value; gives all samples of that time. Nothing that counts goes down meanwhile.
fn until(running: &mut Running, port: u16, sample: &str, value: f64, last: &mut BTreeMap<String, f64>) {
    running.until(sample, || {
        let now = scrape(port);
        for (name, before) in last.iter().filter(|(name, _)| name.contains("_total")) {
            assert!(now.get(name).is_some_and(|now| now >= before), "{name}: {before}, then {now:#?}");
        }
        *last = now;
        last.get(sample) == Some(&value)
    });
}

const MAIN: &str = r#"{tool="jackfield",backend="main"}"#;

fn of_main(name: &str) -> String {
    format!("jackfield_{name}{MAIN}")
}

#[test]
fn metrics_say_what_the_status_says() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let (mut running, port) = serving(&site, &[]);
    let mut stdin = running.stdin();
    stdin.write_all((events(0..50) + "this is none\n" + &events(50..100)).as_bytes()).expect("writable");
    let mut now = BTreeMap::new();
    until(&mut running, port, &of_main("events_delivered_total"), 100.0, &mut now);
    until(&mut running, port, &of_main("backend_events_waiting"), 0.0, &mut now);
    running.until("the status", || site.status()["spools"][0]["waiting"] == 0);
    let (status, now) = (site.status(), scrape(port));
    let (spool, main) = (&status["spools"][0], &status["spools"][0]["backends"][0]);
    let tool = r#"{tool="jackfield"}"#;
    for (name, value) in [
        ("jackfield_lines_read_total".to_owned(), &status["lines"]),
        ("jackfield_events_read_total".to_owned(), &status["events"]),
        ("jackfield_bad_lines_total".to_owned(), &status["bad_lines"]),
        ("jackfield_lines_not_stored_total".to_owned(), &status["not_stored"]),
        (format!("jackfield_events_waiting{tool}"), &spool["waiting"]),
        (format!("jackfield_spool_bytes{tool}"), &spool["bytes"]),
        (format!("jackfield_dead_letters{tool}"), &spool["dead_letters"]),
        (of_main("events_rejected_total"), &main["rejected"]),
        (of_main("backend_swaps_total"), &main["swaps"]),
        (of_main("backend_restarts_total"), &main["restarts"]),
        (of_main("backend_call_duration_seconds_count"), &main["calls"]),
        (of_main("backend_call_duration_seconds_sum"), &main["call_times"]["sum_s"]),
    ] {
        assert_eq!(now.get(&name).copied(), value.as_f64(), "{name}: {now:#?}");
    }
    assert!(main["calls"].as_u64().is_some_and(|calls| calls > 0), "{main}");
    for (name, value) in [("backend_open", 1.0), ("backend_circuit_open", 0.0)] {
        assert_eq!(now[&of_main(name)], value, "{name}");
    }
    // Every call is in the last bucket, and no bucket has more than the next.
    let buckets: Vec<f64> = main["call_times"]["at_most"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|bucket| {
            let name = format!(
                "jackfield_backend_call_duration_seconds_bucket{{tool=\"jackfield\",backend=\"main\",le=\"{}\"}}",
                bucket[0].as_f64().expect("seconds")
            );
            assert_eq!(now.get(&name).copied(), bucket[1].as_f64(), "{name}: {now:#?}");
            now[&name]
        })
        .collect();
    assert!(buckets.is_sorted() && buckets.last().copied() == main["calls"].as_f64(), "{buckets:?}");
    // What never happened is 0, so that its first time is an increase.
    let dropped = r#"jackfield_events_dropped_total{tool="jackfield",reason="too old"}"#;
    assert_eq!(now[dropped], 0.0);
    drop(stdin);
    running.end().with_code(5);
}

#[test]
fn scrapes_show_a_backend_that_goes_down_and_comes_back() {
    let is_down = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&is_down);
    let server = HttpServer::start(Reply::with(move |_| {
        Reply::status(if state.load(Ordering::SeqCst) { 503 } else { 200 })
    }));
    let rest = format!("longest_pause = \"1s\"\nconfig = {{ url = {:?} }}", server.url("/"));
    let site = Site::new(&[backend("main", &plugin("http"), &rest)]);
    let (mut running, port) = serving(&site, &["--json"]);
    let mut stdin = running.stdin();
    let mut now = BTreeMap::new();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    until(&mut running, port, &of_main("events_delivered_total"), 10.0, &mut now);
    assert_eq!(now[&of_main("backend_circuit_open")], 0.0);
    is_down.store(true, Ordering::SeqCst);
    stdin.write_all(events(10..20).as_bytes()).expect("writable");
    until(&mut running, port, &of_main("backend_circuit_open"), 1.0, &mut now);
    until(&mut running, port, "jackfield_events_read_total", 20.0, &mut now);
    until(&mut running, port, &of_main("backend_events_waiting"), 10.0, &mut now);
    assert_eq!(now[&of_main("events_delivered_total")], 10.0, "{now:#?}");
    assert_eq!(now["jackfield_ready"], 1.0, "the input is read on");
    assert_eq!(get(port, "/readyz").status, 200);
    let calls = now[&of_main("backend_call_duration_seconds_count")];
    is_down.store(false, Ordering::SeqCst);
    until(&mut running, port, &of_main("events_delivered_total"), 20.0, &mut now);
    until(&mut running, port, &of_main("backend_circuit_open"), 0.0, &mut now);
    until(&mut running, port, &of_main("backend_events_waiting"), 0.0, &mut now);
    assert!(now[&of_main("backend_call_duration_seconds_count")] > calls, "{now:#?}");
    drop(stdin);
    let summary = running.end().with_code(0).summary();
    assert_eq!(
        (&summary["read"], &summary["backends"][0]["delivered"]),
        (&20.into(), &20.into()),
        "{summary}"
    );
    let accepted: BTreeSet<String> = server
        .received()
        .iter()
        .flat_map(|request| request.json().as_array().expect("a list of events").clone())
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(accepted, (0..20).map(id).collect(), "nothing is lost");
}

#[cfg(target_os = "linux")]
#[test]
fn restarts_of_an_isolated_plugin_are_counted() {
    let rest = "isolation = \"process\"\n[backend.config]\ncrash = \"send\"\n";
    let site = Site::new(&[backend("main", &jackfield_tests::fixture("hostile"), rest)]);
    let (mut running, port) = serving(&site, &[]);
    assert_eq!(scrape(port)[&of_main("backend_restarts_total")], 0.0);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..1).as_bytes()).expect("writable");
    running.until("a further process", || scrape(port)[&of_main("backend_restarts_total")] >= 1.0);
    drop(stdin);
    // The event waits for the next run.
    running.end().with_code(0);
}

fn page(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).expect("a page")
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("jackfield_")).map(str::to_owned).collect()
}

#[test]
fn the_documents_name_every_metric_and_their_rules_use_no_other() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let (running, port) = serving(&site, &[]);
    let text = get(port, "/metrics").body;
    running.signal("TERM");
    running.end().with_code(0);
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let metrics: BTreeSet<_> = kinds.map(|line| line.split(' ').next().expect("a name").to_owned()).collect();
    let described = page("docs/operating/metrics.md");
    let rows: String = described.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(names(&rows), metrics);
    let rules = page("packaging/alerts.yml");
    prometheus::check_rules(&rules);
    let parts = ["_bucket", "_sum", "_count"];
    let known = |name: &str| {
        metrics.contains(name)
            || parts.iter().any(|part| name.strip_suffix(part).is_some_and(|name| metrics.contains(name)))
    };
    let used = names(&rules);
    assert!(used.len() > 3 && used.iter().all(|name| known(name)), "{used:?}");
}
