//! Plugins that take their process down, in a process of their own: the host goes on as it was, a backend beside them has
//! every event once, and their own events wait.
#![cfg(target_os = "linux")]

mod confined;
mod host;
mod tool;

use std::{path::Path, time::Duration};

use jackfield_test_support::{wait_until, within};
use jackfield_tests::faults;

use crate::site::{Ended, Site, backend, events, start, to_file};
use host::{Host, session_members};

/// What `send` is given: half of it, a look at the host, the other half.
const EVENTS: usize = 20;

/// How long the children of a process that was killed may still be there.
const GONE: Duration = Duration::from_secs(2);

/// The backend `faulty`, whose plugin does so at that place; `rest` are further lines of its table, and `config` of the
/// plugin's configuration.
fn faulty(site: &Path, fault: &str, at: &str, rest: &str, config: &str) -> String {
    let files = ["record", "reached"].map(|name| format!("{name} = {:?}\n", site.join(name))).concat();
    let rest = format!(
        "isolation = \"process\"\n{rest}\n[backend.config]\nfault = {fault:?}\nat = {at:?}\n{files}{config}\n"
    );
    backend("faulty", &faults(), &rest)
}

/// A run of the command with a faulty backend beside a healthy one.
struct Run {
    site: Site,
    ended: Ended,
    /// What could be seen of the command while the faulty plugin was done with.
    host: Host,
}

/// Sends [`EVENTS`] events, and fails unless the healthy backend has each of them once, standard output is the summary
/// alone, and no process is left.
fn run(fault: &str, at: &str, rest: &str) -> Run {
    let site = Site::new(&[]);
    let plugin = faulty(&site.path(""), fault, at, rest, &format!("path = {:?}", "/"));
    site.write("config.toml", plugin + &to_file("healthy", "healthy.jsonl"));
    let arguments = ["send", "--json", "--batch-events", "10", "--give-up-after", "500ms"];
    let mut running = start(site.command(&arguments).stdin(std::process::Stdio::piped()));
    let mut stdin = running.stdin();
    std::io::Write::write_all(&mut stdin, events(0..EVENTS / 2).as_bytes()).expect("it reads");
    running.until("the first half", || site.read("healthy.jsonl").lines().count() >= EVENTS / 2);
    if at != "close" {
        running.until("the fault", || !site.read("reached").is_empty());
    }
    let host = Host::look(running.id());
    std::io::Write::write_all(&mut stdin, events(EVENTS / 2..EVENTS).as_bytes()).expect("it reads on");
    drop(stdin);
    let ended = running.end();
    let context = format!("{fault} in {at}: {ended:#?}");
    assert_eq!(site.read("healthy.jsonl"), events(0..EVENTS), "{context}");
    assert_eq!(ended.counts("healthy"), [EVENTS as u64, 0, 0, 0, 0], "{context}");
    assert_eq!(ended.stdout.lines().count(), 1, "{context}");
    assert!(!site.read("reached").is_empty(), "the fault did happen: {context}");
    let children = processes(&site);
    wait_until(&format!("no process is left: {context}"), || session_members(&children).is_empty());
    Run { site, ended, host }
}

/// The processes in which the plugin was.
fn processes(site: &Site) -> Vec<u32> {
    site.read("reached").lines().map(|line| line.parse().expect("a number")).collect()
}

/// Fails unless the plugin's end is told, by one of `reasons`, and none of its events is lost, wherever the fault is.
fn ends_its_process(fault: &str, rest: &str, reasons: &[&str]) {
    for (at, code) in [("open", 4), ("send", 6), ("close", 6)] {
        let Run { site, ended, host } = run(fault, at, rest);
        let ended = ended.with_code(code);
        let delivered = if at == "close" { EVENTS } else { 0 };
        let waiting = EVENTS - delivered;
        let [done, _, rejected, left, lost] = ended.counts("faulty");
        assert_eq!(
            [done, rejected, left, lost],
            [delivered as u64, 0, waiting as u64, 0],
            "{at}: {ended:#?}"
        );
        if waiting > 0 {
            assert_eq!(site.kept(".faulty.undelivered.jsonl"), events(0..EVENTS), "{at}");
        }
        let told = &ended.summary()["backends"][0];
        let told = [&told["error"], &told["close_error"], &told["reasons"]].map(ToString::to_string).concat();
        assert!(reasons.iter().any(|reason| told.contains(reason)), "{fault} in {at}: {told}");
        host.is_as_ever(&site);
    }
    tool::goes_on_and_the_events_wait(fault, rest);
}

/// Fails unless all events are delivered by a plugin that does this, wherever.
fn is_of_no_consequence(fault: &str) {
    for at in ["open", "send", "close"] {
        let Run { site, ended, host } = run(fault, at, "");
        let ended = ended.with_code(0);
        assert_eq!(ended.counts("faulty"), [EVENTS as u64, 0, 0, 0, 0], "{fault} in {at}");
        assert_eq!(site.read("record").lines().count(), EVENTS, "{fault} in {at}");
        host.is_as_ever(&site);
    }
    tool::goes_on_and_the_events_arrive(fault);
}

#[test]
fn a_segmentation_fault_ends_the_child_alone() {
    ends_its_process("segv", "", &["SIGSEGV"]);
}

#[test]
fn an_abort_ends_the_child_alone() {
    ends_its_process("abort", "", &["SIGABRT"]);
}

#[test]
fn a_call_of_exit_ends_the_child_alone() {
    ends_its_process("exit", "", &["exit code 0"]);
}

#[test]
fn an_exit_within_a_destructor_ends_the_child_alone() {
    ends_its_process("exit_in_destructor", "", &["exit code 0"]);
}

#[test]
fn a_stack_overflow_ends_the_child_alone() {
    // Rust's handler of the signal aborts, where it is in place.
    ends_its_process("overflow", "", &["SIGSEGV", "SIGABRT"]);
}

#[test]
fn memory_hunger_ends_the_child_alone() {
    ends_its_process("hunger", "limits = { memory = \"512MiB\" }", &["SIGABRT"]);
}

#[test]
fn a_plugin_that_unloads_itself_ends_the_child_alone() {
    ends_its_process("unload", "", &["SIGSEGV"]);
}

#[test]
fn a_plugin_that_ignores_sigterm_is_killed() {
    ends_its_process("sleep_through_sigterm", "timeout = \"300ms\"", &["no answer within"]);
}

#[test]
fn a_plugin_that_closes_every_descriptor_loses_no_event() {
    for at in ["open", "send", "close"] {
        let Run { site, ended, host } = run("close_descriptors", at, "");
        // Its answers may reach the host or not: what counts as delivered was recorded, and the rest is kept.
        let [delivered, _, rejected, left, lost] = ended.counts("faulty");
        assert_eq!((delivered + left, rejected, lost), (EVENTS as u64, 0, 0), "{at}: {ended:#?}");
        let recorded: std::collections::BTreeSet<String> =
            site.read("record").lines().map(str::to_owned).collect();
        assert!(recorded.len() as u64 >= delivered, "{at}: {ended:#?}");
        host.is_as_ever(&site);
    }
}

#[test]
fn a_plugin_that_forks_leaves_no_process_behind() {
    is_of_no_consequence("fork");
}

#[test]
fn a_plugin_that_makes_a_daemon_leaves_no_process_behind() {
    is_of_no_consequence("daemon");
}

#[test]
fn processes_that_leave_the_session_end_with_the_child() {
    for at in ["open", "send"] {
        let Run { site, ended, .. } = run("slip_away", at, "");
        assert_eq!(ended.with_code(0).counts("faulty"), [EVENTS as u64, 0, 0, 0, 0], "{at}");
        assert!(processes(&site).len() > 3, "{at}");
    }
}

#[test]
fn a_plugin_that_changes_the_directory_changes_its_own() {
    is_of_no_consequence("change_directory");
}

#[test]
fn a_plugin_that_sets_signal_handlers_sets_its_own() {
    is_of_no_consequence("signals");
}

#[test]
fn a_gigabyte_on_standard_output_goes_nowhere() {
    is_of_no_consequence("print");
}

#[test]
fn standard_error_of_a_plugin_is_logged() {
    let Run { ended, .. } = run("complain", "send", "");
    let ended = ended.with_code(0);
    assert!(ended.stderr.len() < 1 << 20, "{} bytes of 128 MiB", ended.stderr.len());
    let shown = ended.stderr.lines().filter(|line| line.contains(&"y".repeat(1000))).count();
    assert!(shown > 10, "{}", ended.stderr);
    assert!(ended.stderr.contains("more bytes of standard error are not shown"), "{}", ended.stderr);
}

#[test]
fn the_last_words_of_a_crash_are_logged() {
    let Run { ended, .. } = run("last_words", "send", "");
    let ended = ended.with_code(6);
    assert!(ended.stderr.contains("faults: assertion failed"), "{}", ended.stderr);
}

#[test]
fn no_process_outlives_a_killed_host() {
    for (fault, sandbox) in [("fork", false), ("sleep_through_sigterm", false), ("escape", true)] {
        let site = Site::new(&[]);
        let folder = site.path("");
        let granted = if sandbox { format!("sandbox = {{ write = [{folder:?}] }}") } else { String::new() };
        let rest = format!("timeout = \"60s\"\n{granted}");
        site.write("config.toml", faulty(&folder, fault, "send", &rest, ""));
        let mut running = start(site.command(&["send"]).stdin(std::process::Stdio::piped()));
        let mut stdin = running.stdin();
        std::io::Write::write_all(&mut stdin, events(0..1).as_bytes()).expect("it reads");
        running.until("the fault", || !site.read("reached").is_empty());
        let children = processes(&site);
        if sandbox {
            running.until("its events are delivered", || !site.read("record").is_empty());
            assert_eq!(processes(&site), children, "it has started no other");
        } else if fault == "fork" {
            running.until("the fork", || session_members(&children).len() >= 2);
        }
        assert!(!session_members(&children).is_empty());
        running.signal("KILL");
        assert_eq!(running.end().code, None);
        let left = within(GONE, || session_members(&children), Vec::is_empty);
        assert!(left.is_ok(), "{fault}: the children {left:?} go on");
    }
}
