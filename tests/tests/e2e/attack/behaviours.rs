//! Everything that a plugin can do wrong, in a thread of the command and in a process of its own: the run ends with a
//! documented code, no event is lost or told twice, and the backend beside it has all of its events.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use jackfield_test_support::wait_until;
use jackfield_tests::{c_conduct, fixture};

use crate::site::{Ended, Site, backend, events, ids, start, to_file};

const EVENTS: usize = 4;
/// More bytes than a line of the log has.
const LONGEST: usize = 32 << 10;
/// How many runs at once: most of them wait for a deadline.
const AT_ONCE: usize = 8;

/// A behaviour of the fixture `hostile`, by its options, and the code with which a run ends.
type Behaviour = (String, i32);

/// The variants of `tests/fixtures/c/conduct.c` whose metadata is right.
const CONDUCT: &[&str] = &[
    "WELL_BEHAVED",
    "SETS_HANDLER",
    "SETS_MASK",
    "SETS_LOCALE",
    "SETS_FOLDER",
    "SETS_UMASK",
    "SETS_ENVIRONMENT",
    "LOADS_HANDLER",
    "LOADS_FOLDER",
    "LOADS_ENVIRONMENT",
    "CLOSES_OUTPUT",
    "CLOSES_STREAMS",
    "REPLACES_INPUT",
    "PRINTS",
    "EXITS",
    "LEAKS_MEMORY",
    "LEAKS_DESCRIPTOR",
    "LEAKS_THREAD",
    "TAKES_ANYTHING",
    "REFUSES_IN_SILENCE",
    "CLOSES_ONCE",
    "DIES_AFTER_CLOSE",
    "REPORTS_LATE",
    "REPORTS_TOO_MUCH",
    "REJECTS",
    "FAILS",
    "IGNORES_DEADLINE",
    "IGNORES_CANCEL",
    "TODAYS_HOST_ONLY",
    "NEEDS_NAMES",
    "FOLLOWS_EMPTY_LISTS",
    "ONE_INSTANCE",
    "LIES_ABOUT_SERIAL",
    "LIES_ABOUT_OFFERS",
    "BAD_SCHEMA",
    "STORES_NOTHING",
];

fn behaviours() -> Vec<Behaviour> {
    let mut all = Vec::new();
    let mut add = |options: &str, code: i32| all.push((options.to_owned(), code));
    for (place, code) in [("open", 4), ("send", 6), ("close", 6), ("drop", 6)] {
        for payload in ["text", "number", "bomb"] {
            add(&format!("panic = {place:?}\npayload = {payload:?}"), code);
        }
        add(&format!("hang = {place:?}"), code);
        // What was reported in time counts, and as many events as there are.
        add(&format!("hang = {place:?}\nreport_first = 1000"), if place == "send" { 0 } else { code });
    }
    for (place, codes) in [("open", [3, 4, 4]), ("close", [6, 6, 6])] {
        for (error, code) in ["config", "failed", "unavailable"].into_iter().zip(codes) {
            add(&format!("fail = {place:?}\nerror = {error:?}"), code);
        }
    }
    add("outcome = \"delivered\"", 0);
    for outcome in ["retry", "rejected", "too_large", "each", "half", "silent", "concurrency"] {
        add(&format!("outcome = {outcome:?}"), 6);
    }
    add("outcome = \"silent\"\nreport_first = 1", 0);
    add("report_first = 1000", 0);
    add("outcome = \"rejected\"\nreport_first = 9223372036854775807", 6);
    add("outcome = \"retry\"\nretry_after_ms = 9223372036854775807", 6);
    add("outcome = \"each\"\nretry_after_ms = 1", 6);
    add("too_large_above = 0", 6);
    add("too_large_above = 1", 0);
    add("too_large_above = 1\noutcome = \"each\"", 0);
    add("sleep_ms = 50", 0);
    add("sleep_ms = 4000", 6);
    let long = format!("{:?}", "long ".repeat(200_000));
    for says in ["\"\"", r#""\u001b[2J\u001b]0;t\u0007\n\r\u202e\u009b""#, &long] {
        for (how, code) in [
            ("outcome = \"rejected\"", 6),
            ("outcome = \"retry\"", 6),
            ("outcome = \"too_large\"", 6),
            ("fail = \"open\"", 4),
            ("fail = \"open\"\nerror = \"config\"", 3),
            ("fail = \"close\"", 6),
        ] {
            add(&format!("{how}\nsays = {says}"), code);
        }
        add(&format!("log = {says}"), 0);
    }
    all
}

/// What only a process of its own survives.
fn crashes() -> Vec<Behaviour> {
    let mut all = Vec::new();
    for (place, code) in [("open", 4), ("send", 6), ("close", 6), ("drop", 6)] {
        for by in ["segv", "abort", "exit"] {
            all.push((format!("crash = {place:?}\ncrash_by = {by:?}"), code));
        }
    }
    all.push(("print = 4000000".to_owned(), 0));
    all
}

/// What is wrong with a run, whatever the backend `hostile` does.
fn faults(site: &Site, ended: &Ended) -> Vec<String> {
    let mut faults = Vec::new();
    let mut holds = |holds: bool, what: &str| faults.extend((!holds).then(|| what.to_owned()));
    holds(ended.stdout.lines().count() == 1, "standard output is not the summary alone");
    let is_harmless =
        |line: &str| line.len() < LONGEST && !line.chars().any(|c| c.is_control() || c == '\u{202e}');
    holds(ended.stderr.lines().chain(ended.stdout.lines()).all(is_harmless), "a line is long or not escaped");
    holds(site.read("healthy.jsonl") == events(0..EVENTS), "the backend beside it lacks an event");
    if !ended.stdout.contains("\"backends\"") {
        holds(false, "there is no summary");
        return faults;
    }
    holds(ended.counts("healthy") == [EVENTS as u64, 0, 0, 0, 0], "the backend beside it is miscounted");
    let [delivered, _, rejected, undelivered, lost] = ended.counts("hostile");
    holds(
        (delivered + rejected + undelivered, lost) == (EVENTS as u64, 0),
        "an event is lost or counted twice",
    );
    for (ending, count) in
        [(".hostile.undelivered.jsonl", undelivered), (".hostile.rejected.jsonl", rejected)]
    {
        let kept: usize = site.files(ending).iter().map(|file| ids(&site.read(file)).len()).sum();
        holds(kept as u64 == count, "a file of left events differs from the count");
    }
    faults
}

/// Runs each in a site of its own, some at once. Fails with what is wrong with each, and gives their number.
fn each<T: Sync>(all: &[T], run: impl Fn(&T) -> Option<String> + Sync) -> usize {
    let (next, wrong) = (Mutex::new(all.iter()), Mutex::new(Vec::new()));
    let one = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let work = || {
                while let Some(one) = one() {
                    let found = run(one);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            };
            thread::Builder::new().spawn_scoped(scope, work).expect("a thread");
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    all.len()
}

/// The processes whose working folder is that of the site.
fn processes(site: &Site) -> usize {
    let folder = site.path("").canonicalize().expect("there");
    let all = fs::read_dir("/proc").expect("Linux").flatten();
    all.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|found| found == folder)).count()
}

/// Sends events to the backend `hostile`, with this plugin and these lines, and to another one beside it. What is wrong with
/// the run, which has to end with one of these codes.
fn send(what: &str, plugin: &Path, rest: &str, codes: &[i32]) -> Option<String> {
    let site = Site::new(&[]);
    site.write("config.toml", backend("hostile", plugin, rest) + &to_file("healthy", "healthy.jsonl"));
    let arguments = ["send", "--json", "--give-up-after", "300ms"];
    let mut running = start(site.command(&arguments).stdin(std::process::Stdio::piped()));
    running.feed(events(0..EVENTS).into());
    let ended = running.end();
    let mut faults = faults(&site, &ended);
    if !ended.code.is_some_and(|code| codes.contains(&code)) {
        faults.push(format!("ended with {:?}, expected one of {codes:?}", ended.code));
    }
    wait_until(&format!("no process is left: {what}"), || processes(&site) == 0);
    wrong(what, &faults, &ended)
}

/// The lines of a backend with these options of its plugin. A call that hangs is waited for, another one has more time than it
/// takes.
fn table(isolation: &str, options: &str) -> String {
    let hangs = options.contains("hang") || options.contains("sleep");
    let timeout = if hangs { "1500ms" } else { "60s" };
    format!("timeout = {timeout:?}\nisolation = {isolation:?}\n[backend.config]\n{options}")
}

fn wrong(what: &str, faults: &[String], ended: &Ended) -> Option<String> {
    let cut = |text: &str| text.chars().take(400).collect::<String>();
    (!faults.is_empty()).then(|| {
        let faults = faults.join("; ");
        format!("{}: {faults}\n  {}\n  {}", cut(what), cut(&ended.stdout), cut(&ended.stderr))
    })
}

fn misbehave(isolation: &str, behaviours: &[Behaviour]) -> usize {
    each(behaviours, |(options, code)| {
        let what = format!("{isolation}: {options}");
        send(&what, &fixture("hostile"), &table(isolation, options), &[*code])
    })
}

#[test]
#[ignore = "takes a minute; scripts/test --attack runs it"]
fn no_behaviour_of_a_plugin_loses_an_event_or_holds_the_command() {
    let all = misbehave("thread", &behaviours());
    super::tried("behaviours of plugins in a thread", all);
}

#[test]
#[ignore = "takes a minute; scripts/test --attack runs it"]
fn no_behaviour_of_an_isolated_plugin_loses_an_event_or_holds_the_command() {
    let mut all = misbehave("process", &[behaviours(), crashes()].concat());
    let rest = "timeout = \"1500ms\"\nisolation = \"process\"";
    all += each(CONDUCT, |variant| send(variant, &c_conduct(variant), rest, &[0, 4, 6]));
    super::tried("behaviours of plugins in a process of their own", all);
}

/// What a request for deletion and a question about the backend are answered with.
#[test]
#[ignore = "takes a minute; scripts/test --attack runs it"]
fn no_answer_of_a_plugin_holds_forget_or_doctor() {
    let mut all = Vec::new();
    for isolation in ["thread", "process"] {
        for (answer, code) in [("sent", 0), ("unsupported", 0), ("failed", 6), ("panic", 6), ("hang", 6)] {
            all.push((isolation, format!("deletion = {answer:?}"), vec!["forget", "m-1"], code));
        }
        for (answer, code) in [
            ("reachable", 0),
            ("unreachable", 6),
            ("refused", 6),
            ("unsupported", 0),
            ("panic", 6),
            ("hang", 6),
            ("flood", 0),
        ] {
            all.push((isolation, format!("diagnostics = {answer:?}"), vec!["doctor"], code));
        }
    }
    let all = each(&all, |(isolation, options, arguments, code)| {
        let site = Site::new(&[backend("hostile", &fixture("hostile"), &table(isolation, options))]);
        let ended = site.run(arguments);
        let fault =
            (ended.code != Some(*code)).then(|| format!("ended with {:?}, expected {code}", ended.code));
        wrong(&format!("{isolation} {options}"), fault.as_slice(), &ended)
    });
    super::tried("answers to forget and doctor", all);
}
