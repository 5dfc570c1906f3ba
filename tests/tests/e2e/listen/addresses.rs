//! The address of `--listen`: ports, and UNIX sockets.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener,
    },
};

use super::{get_at, listening};
use crate::site::{Site, to_file};

/// Runs with an address that can't be used, and gives the line that says why.
fn refused(site: &Site, address: &str, code: i32) -> String {
    let ended = site.run(&["run", "--state", "refused", "--listen", address]).with_code(code);
    let mut lines = ended.stderr.lines().filter(|line| line.contains("--listen"));
    let line = lines.next().unwrap_or_else(|| panic!("{ended:#?}")).to_owned();
    assert!(lines.next().is_none(), "{ended:#?}");
    line
}

#[test]
fn an_address_that_can_not_be_used_ends_the_run_before_it_reads() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    for address in ["9464", "127.0.0.1", "127.0.0.1:99999", "example.com:9464"] {
        let line = refused(&site, address, 2);
        assert!(line.contains("expected IP:PORT such as 127.0.0.1:9464"), "{line}");
    }
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let used = other.local_addr().expect("bound").to_string();
    let line = refused(&site, &used, 7);
    assert!(
        line.contains(&format!("--listen {used}: Address already in use"))
            && line.ends_with("; nothing was read"),
        "{line}"
    );
    // No address of this machine: of a network for documents.
    let line = refused(&site, "192.0.2.1:9464", 7);
    assert!(line.contains("--listen 192.0.2.1:9464: Cannot assign requested address"), "{line}");
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = site.runs(&["--listen", "0.0.0.0:0"]);
    running.until_said("whoever reaches this address can read the status");
    running.signal("TERM");
    running.end().with_code(0);
    let (mut running, _) = listening(&site, &[]);
    running.until("the status", || site.status()["state"] == "running");
    running.signal("TERM");
    let ended = running.end().with_code(0);
    assert!(!ended.stderr.contains("whoever reaches"), "{ended:#?}");
}

#[test]
fn a_socket_is_for_the_user_alone_and_goes_with_the_run() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = site.runs(&["--listen", "./metrics.sock"]);
    running.until_said("metrics and status: the socket ");
    let found = fs::metadata(site.path("metrics.sock")).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    running.until("the backend", || get_at(&site, "metrics.sock", "/readyz").status == 200);
    assert!(get_at(&site, "metrics.sock", "/metrics").body.contains("\njackfield_ready 1\n"));
    let line = refused(&site, "./metrics.sock", 7);
    assert!(line.contains("another process listens there"), "{line}");
    assert_eq!(get_at(&site, "metrics.sock", "/healthz").status, 200, "the first run keeps it");
    running.signal("TERM");
    running.end().with_code(0);
    assert!(!site.path("metrics.sock").exists());
}

#[test]
fn a_socket_of_a_killed_run_is_replaced() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut running = site.runs(&["--listen", "./metrics.sock"]);
    running.until_said("metrics and status: the socket ");
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    assert!(site.path("metrics.sock").exists(), "nobody has removed it");
    let mut running = site.runs(&["--listen", "./metrics.sock"]);
    running.until_said("metrics and status: the socket ");
    running.until("the backend", || get_at(&site, "metrics.sock", "/readyz").status == 200);
    // Whoever replaces it meanwhile keeps what is theirs.
    fs::remove_file(site.path("metrics.sock")).expect("it is there");
    let other = UnixListener::bind(site.path("metrics.sock")).expect("a socket");
    running.signal("TERM");
    running.end().with_code(0);
    assert!(site.path("metrics.sock").exists());
    drop(other);
}

#[test]
fn a_socket_takes_the_place_of_no_file_and_is_in_no_folder_of_others() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    site.write("file", "precious");
    let line = refused(&site, "./file", 7);
    assert!(
        line.contains("expected a socket or nothing, found a file: name another path; nothing was read"),
        "{line}"
    );
    assert_eq!(site.read("file"), "precious");
    let shared = site.path("shared");
    fs::create_dir(&shared).expect("a folder");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("ours");
    let line = refused(&site, "./shared/metrics.sock", 7);
    assert!(line.contains("its folder must not be writable by group or others"), "{line}");
    assert!(!shared.join("metrics.sock").exists());
    let line = refused(&site, &format!("./{}", "x".repeat(200)), 7);
    assert!(line.contains("at most 107 bytes"), "{line}");
    let line = refused(&site, "./nowhere/metrics.sock", 7);
    assert!(line.contains("No such file or directory"), "{line}");
}
