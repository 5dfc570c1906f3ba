//! `/healthz` and `/readyz`, requests that are wrong, and clients that are slow.

use std::{
    io::{Error, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{ask, get, listening};
use crate::site::{Site, backend, events, hostile, to_file};

fn nowhere() -> String {
    backend("main", "./nowhere.so".as_ref(), "")
}

#[test]
fn a_run_is_ready_when_every_backend_is_open_and_its_input_is_read() {
    let site = Site::new(&[nowhere()]);
    let (mut running, port) = listening(&site, &["--start-anyway"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the status", || get(port, "/readyz").body.starts_with("main: "));
    let answer = get(port, "/readyz");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.ends_with("; its events wait\n"), "{answer:?}");
    assert_eq!(get(port, "/healthz").status, 200, "it goes on");
    site.write("config.toml", to_file("main", "out.jsonl"));
    running.signal("HUP");
    running.until("the backend", || get(port, "/readyz").status == 200);
    assert_eq!(get(port, "/readyz").body, "ok\n");
    drop(stdin);
    running.end().with_code(0);
    assert_eq!(site.read("out.jsonl"), events(0..10));
}

#[test]
fn a_run_that_opens_its_backends_or_ends_is_healthy_and_not_ready() {
    let site = Site::new(&[hostile("60s", "hang = \"open\"\nuntil = \"mended\"")]);
    let (mut running, port) = listening(&site, &["--grace", "60s"]);
    for path in ["/readyz", "/metrics", "/"] {
        let answer = get(port, path);
        assert_eq!(
            (answer.status, &*answer.body),
            (503, "the run starts: its backends are being opened\n"),
            "{path}"
        );
    }
    assert_eq!(get(port, "/healthz").status, 200);
    site.write("mended", "");
    running.until("the backend", || get(port, "/readyz").status == 200);
    running.signal("TERM");
    running.end().with_code(0);
}

#[test]
fn a_run_whose_input_is_held_is_not_ready_and_says_why() {
    let site = Site::new(&[hostile("60s", "hang = \"send\"\nuntil = \"mended\"")]);
    let (mut running, port) = listening(&site, &["--spool-size", "64KiB"]);
    let mut stdin = running.stdin();
    let feed = std::thread::Builder::new();
    let feed = feed.spawn(move || stdin.write_all(events(0..5000).as_bytes())).expect("a thread");
    running.until("the hold", || get(port, "/readyz").body.contains("spool full (bytes); its writers wait"));
    let answer = get(port, "/readyz");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(get(port, "/metrics").body.contains("\njackfield_input_held 1\n"));
    site.write("mended", "");
    feed.join().expect("no panic").expect("all of it is read");
    running.end().with_code(0);
}

#[test]
fn wrong_requests_are_answered_with_what_was_expected() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let (mut running, port) = listening(&site, &[]);
    running.until("the backend", || get(port, "/readyz").status == 200);
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(8 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: x\r\n".repeat(70));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
        ("GET /.. HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405),
        (&long, 431),
        (&many, 431),
    ] {
        let answer = ask(port, request);
        assert_eq!((answer.status, answer.body.lines().count()), (status, 1), "{request:?}: {answer:?}");
    }
    assert!(ask(port, "PUT / HTTP/1.1\r\nHost: localhost\r\n\r\n").head.contains("\r\nAllow: GET, HEAD"));
    let head = ask(port, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, &*head.body), (200, ""));
    running.signal("TERM");
    running.end().with_code(0);
}

/// What answers, if something does.
fn try_get(port: u16, path: &str) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.map_or_else(|error| error.to_string(), |_| answer)
}

/// Sets a flag when it is dropped, even by a test that fails.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn slow_clients_hold_up_neither_the_run_nor_others_for_long() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let (mut running, port) = listening(&site, &[]);
    let mut stdin = running.stdin();
    running.until("the backend", || get(port, "/readyz").status == 200);
    // More than are served at once. None of their requests ends, and each of them comes again when it is closed.
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = Set(&ended);
        for number in 0..64 {
            let ended = &ended;
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
                    if number % 2 == 0 {
                        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: local");
                    }
                    let timed_out =
                        |error: &Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    while !ended.load(Ordering::Relaxed)
                        && stream.read(&mut [0; 64]).is_err_and(|error| timed_out(&error))
                    {
                        // A byte at a time.
                        let _ = stream.write_all(b"x");
                    }
                }
            });
        }
        let statuses: Vec<_> = (0..20).map(|_| try_get(port, "/healthz")).collect();
        stdin.write_all(events(0..100).as_bytes()).expect("writable");
        running.until("the events", || site.lines("out.jsonl") == 100);
        drop(at_end);
        assert!(statuses.iter().all(|answer| answer.ends_with("\r\n\r\nok\n")), "{statuses:?}");
    });
    // One that is alone is given up, too, and gets to know why.
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    slow.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(stdin);
    running.end().with_code(0);
}
