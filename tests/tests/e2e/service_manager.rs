//! What a run tells systemd, and the unit that is shipped.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use jackfield_tests::{peers::free_port, plugin, workspace};

use crate::site::{Running, Site, backend, events, start, to_file};

/// The socket of a service manager, and what has come to it.
struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    fn at(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("settable");
        Self { socket, told: Vec::new() }
    }

    /// Whether this line has been told, since the last time that this was asked of any line.
    fn heard(&mut self, line: &str) -> bool {
        let mut datagram = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            let text = String::from_utf8(datagram[..length].to_vec()).expect("UTF-8");
            self.told.extend(text.lines().map(str::to_owned));
        }
        let at = self.told.iter().position(|told| told.starts_with(line));
        at.is_some_and(|at| self.told.drain(..=at).count() > 0)
    }

    fn run(&self, site: &Site, watchdog_us: Option<&str>) -> Running {
        let mut command = site.command(&["run", "--state", "state", "--grace", "2s"]);
        command.env("NOTIFY_SOCKET", site.path("notify")).stdin(Stdio::piped());
        if let Some(time) = watchdog_us {
            command.env("WATCHDOG_USEC", time);
        }
        start(&mut command)
    }
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_end() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    let mut manager = Manager::at(&site);
    let mut run = manager.run(&site, None);
    let stdin = run.stdin();
    run.until("ready", || manager.heard("READY=1"));
    run.until("a text", || manager.heard("STATUS=0 events, 0 waiting events"));
    run.signal("HUP");
    run.until("a reload", || manager.heard("RELOADING=1"));
    run.until("its time", || manager.heard("MONOTONIC_USEC="));
    run.until("ready again", || manager.heard("READY=1"));
    run.signal("TERM");
    run.until("the end", || manager.heard("STOPPING=1"));
    drop(stdin);
    run.end().with_code(0);
    assert!(!manager.told.iter().any(|told| told.starts_with("WATCHDOG")), "{:?}", manager.told);
}

#[test]
fn the_watchdog_is_told_in_time_and_the_text_has_the_problem() {
    let refused = format!("config = {{ url = \"http://127.0.0.1:{}/\" }}", free_port());
    let site = Site::new(&[backend("away", &plugin("http"), &refused)]);
    let mut manager = Manager::at(&site);
    let mut run = manager.run(&site, Some("4000000"));
    let mut stdin = run.stdin();
    stdin.write_all(events(0..3).as_bytes()).expect("a run that reads");
    run.until("one sign of life", || manager.heard("WATCHDOG=1"));
    run.until("another one", || manager.heard("WATCHDOG=1"));
    run.until("the problem", || {
        manager.heard("STATUS=3 events, 3 waiting events; away: circuit open, next attempt")
    });
    run.signal("TERM");
    run.end().with_code(0);
}

#[test]
fn a_run_that_does_not_start_is_never_ready() {
    let site = Site::new(&[backend("missing", "./libnone.so".as_ref(), "")]);
    let mut manager = Manager::at(&site);
    manager.run(&site, None).end().with_code(4);
    assert!(!manager.heard("READY=1"), "{:?}", manager.told);
}

/// The unit as it is shipped, with the programs of a scratch root.
fn analyze(root: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(root.join("jackfield.service")).env("SYSTEMD_LOG_LEVEL", "warning");
    let out = command.output().expect("systemd-analyze runs: scripts/setup installs it");
    (
        out.status.success(),
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
    )
}

#[test]
fn systemd_accepts_the_unit_and_finds_little_exposure() {
    let packaging = workspace().join("packaging");
    let folder = tempfile::tempdir().expect("room");
    let unit = fs::read_to_string(packaging.join("jackfield.service")).expect("a unit");
    // The programs have to be there.
    symlink(jackfield_tests::cli(), folder.path().join("jackfield")).expect("a link");
    let command = folder.path().join("jackfield").display().to_string();
    fs::write(folder.path().join("jackfield.service"), unit.replace("/usr/bin/jackfield", &command))
        .expect("room");
    let (good, said) = analyze(folder.path(), &["verify", "--man=no"]);
    assert!(good && said.is_empty(), "{said}");
    let (good, said) =
        analyze(folder.path(), &["security", "--offline=true", "--threshold=25", "--no-pager"]);
    assert!(good && said.contains("Overall exposure level"), "{said}");
}
