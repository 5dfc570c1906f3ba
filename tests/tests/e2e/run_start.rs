//! What `jackfield run` opens and checks before it reads, and what a reload of a wrong configuration does.

#![cfg(unix)]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use jackfield_tests::{fixture, plugin};

use crate::site::{Site, backend, events, hostile, to_file};

/// A backend that can't be used, for each cause, and what a command ends with for it.
fn causes(site: &Site) -> [(&'static str, String, i32); 4] {
    let writable = site.path("libminimal.so");
    fs::copy(fixture("minimal"), &writable).expect("copies");
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o777)).expect("chmod");
    let option = "config = { path = \"wrong.jsonl\", rotate_byte = 1 }";
    [
        ("did you mean `rotate_bytes`?", backend("wrong", &plugin("file"), option), 3),
        ("find: ", backend("wrong", "rabbitmqq".as_ref(), ""), 4),
        ("find: ", backend("wrong", "./lib/libx.so".as_ref(), ""), 4),
        ("0777", backend("wrong", &writable, ""), 4),
    ]
}

#[test]
fn an_unusable_backend_ends_a_run_like_send() {
    let site = Site::new(&[]);
    // A run names its configuration by the whole path.
    let config = site.path("config.toml");
    let config = config.to_str().expect("UTF-8");
    for (says, wrong, code) in causes(&site) {
        site.write("config.toml", &wrong);
        let sent = site.send(events(0..1), &["--config", config]).with_code(code);
        let ended = {
            let mut running = site.runs(&[]);
            running.feed(events(0..1).into());
            running.end().with_code(code)
        };
        assert!(sent.stderr.contains(says), "{sent:#?}");
        assert_eq!(ended.stderr, sent.stderr);
        // A good backend beside it changes nothing: nothing is read.
        site.write("config.toml", wrong.clone() + &to_file("good", "good.jsonl"));
        let mut running = site.runs(&[]);
        running.feed(events(0..1).into());
        assert_eq!(running.end().with_code(code).stderr, sent.stderr);
        assert_eq!(site.read("good.jsonl"), "", "{wrong}");
        let spools = site.run(&["run", "--state", "state", "--spools", "."]).with_code(code);
        assert_eq!(spools.stderr, sent.stderr);
    }
}

#[test]
fn with_start_anyway_events_wait_for_a_later_backend() {
    let site = Site::new(&[]);
    for (number, (says, wrong, _)) in causes(&site).into_iter().enumerate() {
        let (good, late) = (format!("good-{number}.jsonl"), format!("late-{number}.jsonl"));
        site.write("config.toml", to_file("good", &good) + &wrong);
        let mut running = site.runs(&["--start-anyway"]);
        let mut stdin = running.stdin();
        stdin.write_all(events(0..10).as_bytes()).expect("writable");
        running.until("the good backend", || site.lines(&good) == 10);
        site.write("config.toml", to_file("good", &good) + &to_file("wrong", &late));
        running.signal("HUP");
        running.until("the other one", || site.lines(&late) == 10);
        drop(stdin);
        let ended = running.end().with_code(0);
        let warning = ended.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
        assert!(warning.contains(says) && warning.ends_with("; its events wait"), "{ended:#?}");
    }
}

#[test]
fn a_platform_that_is_away_ends_no_run() {
    let unavailable = "fail = \"open\"\nerror = \"unavailable\"";
    let away = backend("away", &plugin("http"), "config = { url = \"http://127.0.0.1:1/\" }");
    let site = Site::new(&[to_file("good", "good.jsonl"), away, hostile("5s", unavailable)]);
    let mut running = site.runs(&["--grace", "1s"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the good backend", || site.lines("good.jsonl") == 10);
    drop(stdin);
    let ended = running.end().with_code(0);
    let warning = ended.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
    assert!(warning.contains("backend `hostile` does not open: "), "{ended:#?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_platform_that_is_away_ends_no_isolated_run() {
    let apart = hostile("5s", "fail = \"open\"\nerror = \"unavailable\"")
        .replace("[backend.config]", "isolation = \"process\"\n[backend.config]");
    let site = Site::new(&[to_file("good", "good.jsonl"), apart]);
    let mut running = site.runs(&["--grace", "1s"]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the good backend", || site.lines("good.jsonl") == 10);
    drop(stdin);
    running.end().with_code(0);
}

#[test]
fn a_reload_with_a_wrong_option_keeps_the_backend() {
    let site = Site::new(&[to_file("main", "old.jsonl")]);
    let mut running = site.runs(&[]);
    let mut stdin = running.stdin();
    stdin.write_all(events(0..10).as_bytes()).expect("writable");
    running.until("the first events", || site.lines("old.jsonl") == 10);
    let wrong = "config = { path = \"new.jsonl\", fsync = \"yes\", rotate_byte = 1 }";
    site.write("config.toml", backend("main", &plugin("file"), wrong));
    running.signal("HUP");
    running.until("the reload", || site.status()["last_reload"] == "backend `main` not swapped");
    stdin.write_all(events(10..20).as_bytes()).expect("writable");
    drop(stdin);
    let ended = running.end().with_code(0);
    assert_eq!(site.read("old.jsonl"), events(0..20));
    let config = site.path("config.toml");
    let config = ["--config", config.to_str().expect("UTF-8")];
    let sent = site.send(events(0..1), &config).with_code(3).stderr;
    let line = sent.trim_start_matches("error: ").trim_end().trim_end_matches("; nothing was read");
    assert!(
        line.contains("did you mean `rotate_bytes`?") && ended.stderr.contains(line),
        "{line}: {ended:#?}"
    );
}

#[test]
fn a_state_folder_of_others_is_refused_untouched() {
    let site = Site::new(&[to_file("good", "good.jsonl")]);
    let state = site.path("state");
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    let refusal = || {
        let mut running = site.runs(&[]);
        running.feed(events(0..3).into());
        let ended = running.end().with_code(7);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
        ended.stderr
    };
    fs::create_dir(&state).expect("writable");
    for bits in [0o777, 0o770, 0o702] {
        mode(&state, bits);
        let expected = format!("and has mode {bits:04o}: chmod go-w {}; nothing was read", state.display());
        let line = refusal();
        assert!(line.trim_end().ends_with(&expected), "{line}");
        assert_eq!(fs::read_dir(&state).expect("readable").count(), 0, "nothing was made in it");
    }
    mode(&state, 0o700);
    let spool = state.join("spool");
    fs::create_dir(&spool).expect("writable");
    mode(&spool, 0o777);
    let line = refusal();
    assert!(line.contains(&format!("chmod go-w {}", spool.display())), "{line}");
    assert!(!state.join("run.lock").exists());
    // The advice helps.
    mode(&spool, 0o755);
    let mut running = site.runs(&[]);
    running.feed(events(0..3).into());
    running.end().with_code(0);
    assert_eq!(site.read("good.jsonl"), events(0..3));
}

#[test]
fn a_state_folder_with_something_else_in_a_place_is_refused_untouched() {
    let site = Site::new(&[to_file("good", "good.jsonl")]);
    let state = site.path("state");
    for (name, expected, found) in [
        ("spool", "a folder", "a symbolic link"),
        ("spool", "a folder", "a file"),
        ("run.lock", "a regular file", "a symbolic link"),
        ("run.lock", "a regular file", "a folder"),
        ("status.v1.json", "a regular file", "a symbolic link"),
        ("status.v1.tmp", "a regular file", "a folder"),
    ] {
        fs::create_dir(&state).expect("free");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("ours");
        let path = state.join(name);
        let made = match found {
            "a symbolic link" => symlink("/etc", &path),
            "a file" => fs::write(&path, ""),
            _ => fs::create_dir(&path),
        };
        made.expect("free");
        let mut running = site.runs(&[]);
        running.feed(events(0..3).into());
        let ended = running.end().with_code(7);
        let line = format!(
            "error: state {}: expected {expected}, found {found}: move it away, or name another folder with --state; \
             nothing was read\n",
            path.display()
        );
        assert_eq!(ended.stderr, line);
        assert_eq!(fs::read_dir(&state).expect("readable").count(), 1, "nothing was made in it");
        fs::remove_dir_all(&state).expect("ours");
    }
}

#[test]
fn a_state_folder_of_another_user_is_refused() {
    let site = Site::new(&[to_file("good", "good.jsonl")]);
    // Root's, unless root runs the tests.
    let state = if rustix::process::geteuid().is_root() {
        fs::create_dir(site.path("state")).expect("writable");
        std::os::unix::fs::chown(site.path("state"), Some(65534), None).expect("root may");
        "state"
    } else {
        "/"
    };
    let ended = site.run(&["run", "--state", state]).with_code(7);
    assert!(ended.stderr.contains(", and belongs to user "), "{ended:#?}");
    assert!(ended.stderr.contains("name another folder with --state; nothing was read"), "{ended:#?}");
    assert!(!site.path("state/run.lock").exists());
}
