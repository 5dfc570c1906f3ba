//! What arrives: by configuration, after panics, hangs and kills, while backends are swapped.

use std::{fs, io::Write as _, net::TcpListener, path::Path, process::Stdio, thread, time::Duration};

use jackfield_test_support::LONG;
use jackfield_tests::{
    c_fixture_for_windows,
    events::{events, ids},
    otlp::attribute,
    peers::{
        http::{HttpServer, Reply},
        rabbitmq::broker,
        syslog::{next_frame, parse},
    },
    syslog_for_windows, syslog_for_windows_by_zig,
};

use serde_json::json;

use super::{Windows, backend};
use crate::{rabbitmq::unique, site::start};

pub(super) fn file(name: &str, path: &str) -> String {
    backend("file", &format!("name = {name:?}\nconfig = {{ path = {path:?} }}"))
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn two_plugins_are_swapped_by_the_configuration() {
    let server = HttpServer::start(Reply::status(200));
    let site = Windows::new(&["file", "http"], &[file("first", "öut put.jsonl")]);
    assert_eq!(site.send(&events(0..20), &[]).with_code(0).counts("first"), [20, 0, 0, 0, 0]);
    assert_eq!(site.read("öut put.jsonl"), events(0..20));
    let http = backend("http", &format!("name = \"second\"\nconfig = {{ url = {:?} }}", server.url("/in")));
    site.configure("", &[http]);
    assert_eq!(site.send(&events(20..30), &[]).with_code(0).counts("second"), [10, 0, 0, 0, 0]);
    let bodies: Vec<_> = server.received().iter().map(|request| request.json()).collect();
    let sent: usize = bodies.iter().map(|body| body.as_array().map_or(1, Vec::len)).sum();
    assert_eq!(sent, 10, "{bodies:?}");
    assert_eq!(site.read("öut put.jsonl"), events(0..20), "the first plugin has no part in it");
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_panic_and_a_hang_of_a_plugin_are_answered_in_time() {
    let site = Windows::new(&["hostile", "file"], &[]);
    let hostile = |how: &str| {
        let rest = format!("name = \"hostile\"\ntimeout = \"1s\"\n[backend.config]\n{how} = \"send\"");
        site.configure("", &[backend("hostile", &rest), file("good", "good.jsonl")]);
        site.send(&events(0..3), &["--give-up-after", "2s"])
    };
    for (how, said) in [("panic", "panicked"), ("hang", "no answer within")] {
        let ended = hostile(how);
        assert_eq!(ended.counts("good"), [3, 0, 0, 0, 0], "{ended:#?}");
        assert_eq!(ended.counts("hostile")[0], 0, "{ended:#?}");
        assert!(ended.stdout.contains(said) || ended.stderr.contains(said), "{how}: {ended:#?}");
        assert!(ended.took < LONG / 2, "{how}: {ended:#?}");
        fs::remove_file(site.path("good.jsonl")).expect("written");
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn otlp_and_rabbitmq_deliver() {
    let collector = HttpServer::start(Reply::status(200));
    let (broker, queue) = (broker(), unique("windows"));
    let client = broker.client();
    client.queue(&queue, &json!({}));
    let otlp = format!("config = {{ endpoint = {:?} }}", collector.url(""));
    let rabbitmq = format!("config = {{ url = {:?}, queue = {queue:?} }}", broker.url());
    let backends = [("otlp", otlp), ("rabbitmq", rabbitmq)];
    let names = backends.each_ref().map(|(name, _)| *name);
    let site = Windows::new(&names, &backends.map(|(name, config)| backend(name, &config)));
    let ended = site.send(&events(0..20), &[]).with_code(0);
    for name in names {
        assert_eq!(ended.counts(name), [20, 0, 0, 0, 0], "{name}");
    }
    let exported: Vec<_> = collector.received().iter().flat_map(|it| attribute(it, "event.id")).collect();
    assert_eq!(exported, expected(20));
    assert_eq!(client.take(&queue).len(), 20);
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_destructor_that_hangs_keeps_no_process_from_its_end() {
    let site = Windows::new(&[], &[backend("fixture", "")]);
    site.put(&c_fixture_for_windows("DESTRUCTOR_HANGS"), "fixture");
    assert_eq!(site.send(&events(0..2), &[]).with_code(0).counts("fixture"), [2, 0, 0, 0, 0]);
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn the_plugin_in_c_writes_to_a_receiver_over_tcp() {
    for library in [syslog_for_windows(), syslog_for_windows_by_zig()] {
        writes_to_a_receiver_over_tcp(&library);
    }
}

fn writes_to_a_receiver_over_tcp(library: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("bound"));
    let receive = move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let messages =
            [(); 5].map(|()| parse(&next_frame(&mut stream).expect("readable").expect("a message")));
        // The plugin notices a receiver that closes the connection, and sends again.
        (stream, listener, messages)
    };
    let receiver = thread::Builder::new().spawn(receive).expect("a thread");
    let site = Windows::new(&[], &[backend("syslog", &format!("config = {{ address = {address:?} }}"))]);
    site.put(library, "syslog");
    assert_eq!(site.send(&events(0..5), &[]).with_code(0).counts("syslog"), [5, 0, 0, 0, 0]);
    let (.., messages) = receiver.join().expect("no panic");
    assert!(messages.iter().all(|message| message.header[2] == "e2e"), "{messages:?}");
}

/// All ids of these files, sorted. A line that is being written does not count yet.
fn arrived(site: &Windows, files: &[&str]) -> Vec<String> {
    let whole = |file: &&str| {
        let text = site.read(file);
        ids(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
    };
    let mut all: Vec<_> = files.iter().flat_map(whole).collect();
    all.sort();
    all
}

fn expected(count: usize) -> Vec<String> {
    ids(&events(0..count))
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn backends_are_swapped_while_events_come_and_none_is_lost_or_sent_twice() {
    let site = Windows::new(&["file"], &[file("main", "out-0.jsonl")]);
    let mut running = site.runs(&["--watch"]);
    let mut stdin = running.stdin();
    const SWAPS: usize = 4;
    let names: Vec<_> = (0..=SWAPS).map(|swap| format!("out-{swap}.jsonl")).collect();
    let mut written = 0;
    for (swap, name) in names.iter().enumerate() {
        if swap > 0 {
            site.configure("", &[file("main", name)]);
        }
        running.until("events reach the new backend", || {
            stdin.write_all(events(written..written + 100).as_bytes()).expect("writable");
            written += 100;
            thread::sleep(Duration::from_millis(50));
            site.lines(name) > 0
        });
    }
    drop(stdin);
    running.end().with_code(0);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(arrived(&site, &names), expected(written));
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_followed_file_that_is_renamed_is_read_to_its_end_and_the_new_one_after_it() {
    let site = Windows::new(&["file"], &[file("main", "out.jsonl")]);
    site.write("in.jsonl", events(0..10));
    let mut running = site.runs(&["in.jsonl"]);
    running.until("the first events", || site.lines("out.jsonl") == 10);
    fs::rename(site.path("in.jsonl"), site.path("in.1.jsonl")).expect("ours");
    let mut old = fs::OpenOptions::new().append(true).open(site.path("in.1.jsonl")).expect("there");
    old.write_all(events(10..20).as_bytes()).expect("writable");
    site.write("in.jsonl", events(20..30));
    running.until("all events", || site.lines("out.jsonl") == 30);
    assert_eq!(site.read("out.jsonl"), events(0..30));
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn kills_at_random_moments_lose_no_event() {
    const KILLS: u64 = 6;
    let site = Windows::new(&["file"], &[file("main", "out.jsonl")]);
    site.write("in.jsonl", "");
    let mut input = fs::OpenOptions::new().append(true).open(site.path("in.jsonl")).expect("writable");
    let mut written = 0;
    let mut write = |count| {
        for _ in 0..count {
            input.write_all(events(written..written + 1).as_bytes()).expect("writable");
            written += 1;
        }
        written
    };
    for kill in 0..KILLS {
        let mut running = site.runs(&["in.jsonl"]);
        let before = site.lines("out.jsonl");
        if kill % 2 == 0 {
            write(500);
            running.until("events arrive", || site.lines("out.jsonl") > before);
        }
        let moment = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), kill) % 300;
        for _ in 0..moment {
            write(1);
            thread::sleep(Duration::from_millis(1));
        }
        running.signal("KILL");
        assert_eq!(running.end().code, None, "killed");
    }
    let all = write(100);
    let mut running = site.runs(&["in.jsonl"]);
    let found = || {
        let mut found = arrived(&site, &["out.jsonl"]);
        found.dedup();
        found
    };
    running.until("all has arrived", || site.lines("out.jsonl") >= all && found().len() == all);
    assert_eq!(found(), expected(all));
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn ctrl_c_at_a_console_ends_a_run_in_order() {
    let site = Windows::new(&["file"], &[file("main", "out.jsonl")]);
    site.write("in.jsonl", events(0..10));
    // Wine's console is on a terminal. No shell stays beside the command: Ctrl-C would end it, too.
    let run = site.jackfield(&["run", "--state", "state", "in.jsonl"]);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("UTF-8"));
    let words: Vec<_> = [run.get_program()].into_iter().chain(run.get_args()).map(quoted).collect();
    let mut script = site.on_a_terminal(&format!("exec {}", words.join(" ")));
    script.env_remove("HOME").env_remove("XDG_CONFIG_HOME").stdin(Stdio::piped());
    let mut running = start(&mut script);
    let mut keyboard = running.stdin();
    running.until("the events", || site.lines("out.jsonl") == 10);
    keyboard.write_all(b"\x03").expect("a terminal");
    let ended = running.end().with_code(0);
    assert!(ended.stdout.contains("stopping"), "{ended:#?}");
    assert!(site.read("state/status.v1.json").contains("\"state\":\"ended\""));
}
