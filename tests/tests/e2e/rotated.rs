//! A file that a backend has read when it opened is replaced under a run.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use jackfield_test_support::wait_until;
use jackfield_tests::{
    peers::{
        http::{HttpServer, Reply},
        pki::{Pki, ServerCertificate},
    },
    plugin,
};

use crate::site::{Running, Site, backend, events};

/// Puts a file in place, as a tool that rotates certificates does.
fn put(from: &Path, to: &Path) {
    let half = to.with_extension("half");
    fs::copy(from, &half).expect("a copy");
    fs::rename(half, to).expect("writable");
}

/// Waits until the files are two seconds old. The times of a younger file may not show a later change, so a reload reads
/// it again in any case.
fn wait_until_old() {
    let put_at = Instant::now();
    wait_until("the file is old enough", || put_at.elapsed() > Duration::from_millis(2100));
}

/// The run trusts another authority than that of its server until the file is replaced.
fn rotates(arguments: &[&str], reload: impl Fn(&Running)) {
    let (right, wrong) = (Pki::new(), Pki::new());
    let server = HttpServer::tls(&right, ServerCertificate::Good, false, Reply::status(200));
    let site = Site::new(&[]);
    put(&wrong.ca_file(), &site.path("ca.pem"));
    let config = format!(
        "[backend.config]\nurl = {:?}\ntls = {{ ca_file = {:?} }}",
        server.url("/"),
        site.path("ca.pem")
    );
    site.write("config.toml", backend("main", &plugin("http"), &config));
    wait_until_old();
    let mut running = site.runs(arguments);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until_said("backend main is down");
    put(&right.ca_file(), &site.path("ca.pem"));
    reload(&running);
    running.until("the events", || server.served() > 0);
    drop(stdin);
    let ended = running.end().with_code(0);
    assert!(ended.stderr.contains("main: 10 delivered"), "{ended:#?}");
}

#[test]
fn a_watch_notices_a_new_certificate() {
    rotates(&["--watch"], |_| {});
}

#[test]
fn a_hangup_reads_a_new_certificate() {
    rotates(&[], |running| running.signal("HUP"));
}

#[test]
fn a_reload_without_a_change_opens_nothing_anew() {
    let pki = Pki::new();
    let server = HttpServer::tls(&pki, ServerCertificate::Good, false, Reply::status(200));
    let site = Site::new(&[]);
    put(&pki.ca_file(), &site.path("ca.pem"));
    let config = format!(
        "[backend.config]\nurl = {:?}\ntls = {{ ca_file = {:?} }}",
        server.url("/"),
        site.path("ca.pem")
    );
    site.write("config.toml", backend("main", &plugin("http"), &config));
    wait_until_old();
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the events", || server.served() > 0);
    running.signal("HUP");
    running.until_said("reload: ");
    drop(stdin);
    let ended = running.end().with_code(0);
    let told = ended.stderr.lines().find(|line| line.starts_with("reload: ")).unwrap_or_default();
    assert!(told.contains("unchanged"), "{ended:#?}");
}
