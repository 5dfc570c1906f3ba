//! Each fixture fails the checks of what it is wrong in.

use std::{path::Path, process::Stdio};

use jackfield_tests::{
    c_conduct, c_fixture, fixture, foreign_architecture, panic_abort, plugin, text_file, throws,
};
use serde_json::json;

use super::fails;
use crate::site::{Site, start};

#[test]
fn a_library_that_can_not_be_loaded_runs_no_checks() {
    let site = Site::new(&[]);
    let mark = site.path("mark");
    for (file, expected) in [
        (text_file(), &["metadata"][..]),
        (c_fixture("NO_METADATA"), &["metadata"]),
        (foreign_architecture(), &["verdict"]),
        (c_fixture("ABI_TOMORROW"), &["verdict"]),
        (c_fixture("REQUIRES_TELEPORT"), &["verdict"]),
        (c_fixture("WRONG_DIGEST"), &["verdict"]),
        (c_fixture("NO_DESCRIPTOR"), &["verdict"]),
        (c_fixture("PANIC_ABORT"), &["verdict", "panic-strategy"]),
        (panic_abort("minimal"), &["verdict", "panic-strategy"]),
    ] {
        let report = fails(&site, &file, &[], expected);
        let ran = report["checks"].as_array().expect("a list").iter().filter(|check| check["seconds"] != 0.0);
        assert_eq!(ran.count(), 0, "{report:#}");
    }
    assert!(!mark.exists());
    let missing = site.run(&["check", "missing.so"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(4), ""));
    assert!(missing.stderr.contains("missing.so: no such file: correct the path"), "{}", missing.stderr);
    // Also when another check was asked for.
    fails(&site, &text_file(), &["--only", "open"], &["metadata"]);
    for variant in [
        "METADATA_LIES",
        "OTHER_METADATA",
        "WRONG_MAGIC",
        "NO_TABLE",
        "SMALL_TABLE",
        "UNKNOWN_FLAG",
        "MISSING_DEPENDENCY",
    ] {
        fails(&site, &c_fixture(variant), &[], &["load"]);
    }
    fails(&site, &fixture("lying"), &[], &["load"]);
    fails(&site, &c_conduct("LIES_ABOUT_SERIAL"), &[], &["load"]);
    fails(&site, &c_conduct("LIES_ABOUT_OFFERS"), &[], &["load"]);
}

/// The checks that send.
const SENDING: [&str; 24] = [
    "batch-sizes",
    "strings",
    "event-shapes",
    "outcomes",
    "delivery",
    "concurrency",
    "unreachable",
    "deadline",
    "cancel",
    "close-twice",
    "send-after-close",
    "close-in-flight",
    "close-after-failure",
    "process-state",
    "leftovers",
    "leaks",
    "older-host",
    "newer-host",
    "empty-pointers",
    "read-only",
    "view-ends",
    "lent-memory",
    "late-calls",
    "several-instances",
];

fn sending_but(without: &[&str], more: &[&'static str]) -> Vec<&'static str> {
    SENDING.into_iter().filter(|name| !without.contains(name)).chain(more.iter().copied()).collect()
}

#[test]
fn each_c_fixture_fails_its_check() {
    let site = Site::new(&[]);
    // None of them looks at its configuration.
    for variant in ["GOOD", "CONSTRUCTOR", "EXTRA_TABLE"] {
        fails(&site, &c_fixture(variant), &[], &["unknown-keys"]);
    }
    fails(&site, &c_fixture("DESTRUCTOR_HANGS"), &["--limit", "5s"], &["unknown-keys", "process-exit"]);
    for variant in ["UNKNOWN_STATUS", "UNKNOWN_OUTCOME"] {
        let no_endpoint =
            sending_but(&["unreachable", "deadline", "cancel", "send-after-close"], &["process-exit"]);
        let report = fails(&site, &c_fixture(variant), &[], &[&["unknown-keys"], &no_endpoint[..]].concat());
        let sizes = report["checks"].as_array().expect("a list").iter().find(|c| c["name"] == "batch-sizes");
        let found = sizes.expect("it ran")["found"].as_str().expect("text");
        assert!(found.contains("unknown status 99") || found.contains("outcome code 77"), "{found}");
    }
}

#[test]
fn what_belongs_to_the_tool_is_left_alone() {
    let site = Site::new(&[]);
    for (variant, named) in [
        ("SETS_HANDLER", "handler of signal 10"),
        ("SETS_MASK", "signal mask"),
        ("SETS_LOCALE", "locale"),
        ("SETS_FOLDER", "working folder"),
        ("SETS_UMASK", "umask"),
        ("SETS_ENVIRONMENT", "environment variable JACKFIELD_CONDUCT"),
        ("LOADS_HANDLER", "handler of signal 2"),
        ("LOADS_FOLDER", "working folder"),
        ("LOADS_ENVIRONMENT", "environment variable JACKFIELD_CONDUCT"),
        ("CLOSES_OUTPUT", "standard output"),
        ("CLOSES_STREAMS", "standard error, standard output"),
        ("REPLACES_INPUT", "standard input"),
        ("SETS_TIMER", "timer of time"),
        ("SETS_POSIX_TIMER", "timers of POSIX"),
        ("SETS_SCHEDULING", "scheduling"),
        ("SETS_GROUP", "process group"),
        ("SETS_SESSION", "process group, session"),
        ("SETS_PRIORITY", "priority"),
        ("SETS_PROCESSORS", "processors"),
        ("SETS_ROUNDING", "rounding and exceptions of floating-point numbers"),
        ("SETS_FLUSH_TO_ZERO", "rounding and exceptions of floating-point numbers"),
        ("SETS_NAME", "name of the process"),
        ("SETS_DUMPABLE", "whether a core is dumped (PR_SET_DUMPABLE)"),
        ("SETS_RIGHTS", "whether a program gains rights (PR_SET_NO_NEW_PRIVS)"),
        ("SETS_SUBREAPER", "whether orphans are adopted (PR_SET_CHILD_SUBREAPER)"),
        ("SETS_LIMIT", "limit of a file's size"),
        ("SETS_SIGPIPE", "handler of signal 13"),
        ("LOCKS_MEMORY", "locked memory"),
        ("LOCKS_NEW_MEMORY", "locked memory, locking of new memory"),
        ("KEEPS_RIGHTS", "rules for root's rights (PR_SET_SECUREBITS)"),
        ("CHANGES_OUTPUT", "standard output"),
        ("SETS_UMASK_DELIVERED", "umask"),
        ("SETS_UMASK_AWAY", "umask"),
        ("SETS_UMASK_REFUSED", "umask"),
        ("SETS_UMASK_TIMED_OUT", "umask"),
        ("SETS_UMASK_AFTER_CLOSE", "umask"),
        ("SETS_UMASK_MANY", "umask"),
        ("SETS_UMASK_PROBED", "umask"),
    ] {
        let only = ["--only", "process-state", "--only", "process-exit"];
        let report = fails(&site, &c_conduct(variant), &only, &["process-state"]);
        assert!(report.to_string().contains(&format!("changed: {named}\"")), "{report:#}");
    }
    fails(&site, &c_conduct("PRINTS"), &[], &["stdout"]);
    fails(&site, &c_conduct("PRINTS_LITTLE"), &["--only", "probe", "--only", "stdout"], &["stdout"]);
    for (variant, named) in [
        ("LEAKS_MEMORY", " bytes of memory"),
        ("LEAKS_DESCRIPTOR", " descriptors more after 100 lives"),
        ("LEAKS_CONNECTED", " descriptors more after 100 lives"),
        ("LEAKS_UNCONNECTED", " descriptors more after 100 lives"),
        ("LEAKS_REFUSED", " descriptors more after 100 lives"),
        ("LEAKS_THREAD", " threads more than before the plugin was loaded, after 100 lives"),
        ("KEEPS_THREAD", "1 thread more than before the plugin was loaded, after 100 lives"),
        // The system may join one with its neighbour.
        ("LEAKS_MAPPING", " mappings more after 100 lives"),
    ] {
        let report = fails(&site, &c_conduct(variant), &[], &["leaks"]);
        assert!(report.to_string().contains(named), "{report:#}");
    }
    for variant in [
        "LEAKS_TIMED_OUT",
        "LEAKS_SLOWLY",
        "LEAKS_CANCELLED",
        "LEAKS_AFTER_CLOSE",
        "LEAKS_UNCLOSED",
        "LEAKS_MANY",
        "LEAKS_DELETING",
        "LEAKS_PROBED",
    ] {
        let report = fails(&site, &c_conduct(variant), &["--only", "leaks"], &["leaks"]);
        let found = report.to_string();
        assert!(found.contains(" descriptor") && found.contains(" more after 100 lives"), "{report:#}");
    }
    fails(&site, &c_conduct("KEEPS_THREAD"), &["--only", "leaks", "--kept-threads", "1"], &[]);
    // A part of the time is for each, so that there are fewer.
    let slow = c_conduct("TAKES_TIME");
    let only = ["check", slow.to_str().expect("UTF-8"), "--only", "leaks", "--limit"];
    let fewer = site.run(&[&only[..], &["16s"]].concat()).with_code(0).stdout;
    assert!(fewer.contains(" lives instead of 1000, as each takes 0."), "{fewer}");
    let too_few = site.run(&[&only[..], &["4s"]].concat()).with_code(0).stdout;
    assert!(too_few.contains("Not shown: leaks (a life takes 0."), "{too_few}");
    for variant in ["LEAKS_LITTLE", "LEAKS_LITTLE_CONNECTED", "LEAKS_IN_STEPS"] {
        let little = c_conduct(variant);
        let little = site.run(&["check", little.to_str().expect("UTF-8"), "--only", "leaks"]).with_code(4);
        assert!(little.stdout.contains(" bytes of memory"), "{little:#?}");
    }
    for (variant, named) in [
        ("LEAVES_CHILD", "processes are left: jackfield"),
        ("LEAVES_ZOMBIE", "ended and not waited for"),
        ("LEAVES_DAEMON", "processes are left: jackfield"),
        ("LEAVES_FILE", " files and folders are left, such as conduct-"),
        ("LEAVES_FILE_HERE", "1 file or folder is left: conduct.cache"),
        ("LEAVES_FILE_DELIVERED", "1 file or folder is left: conduct.cache"),
        ("LEAVES_FILE_AWAY", "1 file or folder is left: conduct.cache"),
        ("LEAVES_FILE_MANY", "1 file or folder is left: conduct.cache"),
        ("LEAVES_FOLDER", "1 file or folder is left: conduct.d"),
        ("LEAVES_FILE_AFTER_FREE", "1 file or folder is left: conduct.cache"),
        ("LEAVES_SHARED", "memory is left mapped: /memfd:conduct"),
    ] {
        let report = fails(&site, &c_conduct(variant), &["--only", "leftovers"], &["leftovers"]);
        assert!(report.to_string().contains(named), "{report:#}");
    }
}

#[test]
fn what_comes_when_an_instance_or_the_process_is_gone_is_found() {
    let site = Site::new(&[]);
    for (variant, check, named) in [
        ("LOGS_AFTER_FREE", "after-free", " after `free`"),
        ("CONNECTS_AFTER_FREE", "after-free", "the platform is contacted after `free`"),
        (
            "LEAVES_FILE_AT_END",
            "process-exit",
            "by the end of the process 1 file or folder is left: conduct.cache",
        ),
        ("LEAVES_CHILD_AT_END", "process-exit", "processes are left by the end of the process: jackfield"),
    ] {
        let report = fails(&site, &c_conduct(variant), &["--only", check], &[check]);
        assert!(report.to_string().contains(named), "{report:#}");
    }
}

#[test]
fn each_breach_of_the_contract_is_found_by_its_check() {
    let site = Site::new(&[]);
    for (variant, expected) in [
        ("BAD_SCHEMA", &["schema"][..]),
        ("STORES_NOTHING", &["open"]),
        ("TAKES_ANYTHING", &["unknown-keys", "wrong-types"]),
        ("REFUSES_IN_SILENCE", &["unknown-keys", "wrong-types"]),
        ("CLOSES_ONCE", &["close-twice"]),
        ("DIES_AFTER_CLOSE", &["send-after-close", "process-state", "leftovers", "leaks"]),
        ("TODAYS_HOST_ONLY", &["newer-host"]),
        ("NEEDS_NAMES", &["older-host"]),
        ("FOLLOWS_EMPTY_LISTS", &["empty-pointers"]),
        ("REJECTS", &["unreachable", "deadline", "cancel", "close-in-flight", "close-after-failure"]),
        ("GIVES_UP_ALONE", &["unreachable", "deadline"]),
        ("SCHEMA_WANTS_MORE", &["open"]),
        ("SCHEMA_NAMES_MORE", &["schema-keys"]),
        ("CLAIMS_DELIVERY", &["unreachable", "deadline", "cancel", "close-in-flight", "close-after-failure"]),
        ("DELIVERS_CANCELLED", &["cancel"]),
        ("DELIVERS_MANY", &["unreachable"]),
        ("DELIVERS_UNANSWERED", &["unreachable"]),
        ("FORGETS_MANY", &["outcomes", "unreachable", "deadline"]),
        ("FORGETS_MANY_AWAY", &["unreachable"]),
        ("TRUSTS_FIRST", &["unreachable"]),
        ("TRUSTS_REST", &["unreachable"]),
        ("WRITES_BATCH", &["read-only"]),
        ("WRITES_BATCH_HEAD", &["read-only"]),
        ("WRITES_CALL", &["read-only"]),
        ("READS_BEHIND", &["view-ends"]),
        ("READS_BEHIND_CONFIG", &["view-ends"]),
        ("READS_BEHIND_LIST", &["view-ends"]),
        ("WRITES_CONFIG", &["read-only"]),
        ("WRITES_HOST", &["read-only"]),
        ("EXITS_AT_END", &["process-exit"]),
        ("EXITS_BY_ATEXIT", &["process-exit"]),
        ("DELIVERS_CLOSED", &["send-after-close"]),
    ] {
        fails(&site, &c_conduct(variant), &[], expected);
    }
    // Elsewhere other memory may be there by then, or nothing.
    for variant in ["KEEPS_CONFIG", "KEEPS_EVENT", "KEEPS_BATCH"] {
        let report = fails(&site, &c_conduct(variant), &["--only", "lent-memory"], &["lent-memory"]);
        assert!(report.to_string().contains("can't be read after the call has returned"), "{report:#}");
    }
    fails(&site, &c_conduct("NEEDS_PLATFORM"), &["--only", "unreachable"], &["unreachable"]);
    fails(&site, &c_conduct("TAKES_MORE"), &["--only", "unknown-keys"], &["unknown-keys"]);
    for (variant, check) in
        [("REPORTS_LATE", "late-calls"), ("REPORTS_FROM_THREAD", "late-calls"), ("KEEPS_CALL", "outcomes")]
    {
        let report = fails(&site, &c_conduct(variant), &["--only", check], &[check]);
        assert!(report.to_string().contains("calls were used after they had returned"), "{report:#}");
    }
    fails(&site, &c_conduct("REPORTS_TOO_MUCH"), &[], &sending_but(&["send-after-close"], &["process-exit"]));
    fails(&site, &c_conduct("EXITS"), &["--only", "batch-sizes", "--only", "probe"], &["batch-sizes"]);
    let several =
        fails(&site, &c_conduct("ONE_INSTANCE"), &["--only", "several-instances"], &["several-instances"]);
    assert!(several.to_string().contains("the end of one instance ended another one"), "{several:#}");
    let url = ["--config-json", r#"{"url":"http://127.0.0.1:9"}"#, "--only", "required-keys"];
    for (variant, said) in [
        ("SCHEMA_WANTS_MORE", "the schema requires the option `url`, and the plugin opens without it"),
        ("NEEDS_URL", "the schema does not require the option `url`, and the plugin does: url: is missing"),
    ] {
        let report = fails(&site, &c_conduct(variant), &url, &["required-keys"]);
        assert!(report.to_string().contains(said), "{report:#}");
    }
    for (variant, check, said) in [
        ("LIES_ABOUT_DELETION", "deletion", "the request is reported as sent to a platform that is away"),
        (
            "LIES_ABOUT_PROBE",
            "probe",
            "`probe` says that the platform is reachable, by a platform that is away",
        ),
        ("DENIES_PLATFORM", "probe", "`probe` says `unreachable` of the platform to which `send` delivers"),
        ("LABELS_LINES", "preview", "`preview`: the label of a preview has more than one line"),
        ("LOGS_BYTES", "batch-sizes", "the message of a log record is not UTF-8"),
        ("LOGS_LEVEL", "batch-sizes", "the level 6 of a log record is unknown"),
    ] {
        let report = fails(&site, &c_conduct(variant), &["--only", check], &[check]);
        assert!(report.to_string().contains(said), "{report:#}");
    }
    for (variant, when) in [("SHARES_OPTIONS", "later"), ("SHARES_FIRST_OPTIONS", "earlier")] {
        let shares =
            fails(&site, &c_conduct(variant), &["--only", "several-instances"], &["several-instances"]);
        let said = format!("sends to the platform of another one, which was opened {when}");
        assert!(shares.to_string().contains(&said), "{shares:#}");
    }
    let dies = fails(&site, &c_conduct("ENDS_BY_SIGPIPE"), &["--only", "unreachable"], &["unreachable"]);
    assert!(dies.to_string().contains("crashed by signal 13"), "{dies:#}");
    let lines = fails(&site, &c_conduct("SAYS_LINES"), &["--only", "outcomes"], &["outcomes"]);
    assert!(lines.to_string().contains("the reason of an outcome has more than one line"), "{lines:#}");
    fails(&site, &c_conduct("SAYS_MUCH"), &["--only", "outcomes", "--only", "unreachable"], &[]);
    fails(&site, &c_conduct("IGNORES_DEADLINE"), &["--only", "deadline"], &["deadline"]);
    let brief = ["--limit", "5s", "--only", "unreachable", "--only", "deadline", "--only", "cancel"];
    let connects = fails(&site, &c_conduct("CONNECTS_FOR_EVER"), &brief, &["unreachable", "cancel"]);
    assert!(connects.to_string().contains("hung: no end after 5 s"), "{connects:#}");
    fails(&site, &c_conduct("READS_FOR_EVER"), &brief, &["deadline"]);
    fails(&site, &c_conduct("IGNORES_CANCEL"), &["--only", "deadline", "--only", "cancel"], &["cancel"]);
}

/// The platforms of the kit answer otherwise.
#[test]
fn a_probe_is_compared_with_what_the_given_platform_takes() {
    use std::io::{Read as _, Write as _};

    let site = Site::new(&[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 1]).and_then(|_| client.write_all(b"y"));
        }
    });
    let denies = c_conduct("DENIES_GIVEN");
    let options = json!({ "url": url }).to_string();
    let report = fails(&site, &denies, &["--config-json", &options, "--only", "probe"], &["probe"]);
    let said = "`probe` says `unreachable` of the platform to which `send` delivers";
    assert!(report.to_string().contains(said), "{report:#}");
    let away = ["--config-json", r#"{"url":"http://127.0.0.1:9"}"#, "--only", "probe"];
    fails(&site, &denies, &away, &[]);
}

#[test]
fn each_misbehaviour_is_found_by_its_check() {
    let site = Site::new(&[]);
    let hostile = fixture("hostile");
    for (config, more, expected) in [
        (r#"{"panic":"open"}"#, &[][..], &["open"][..]),
        (r#"{"panic":"close"}"#, &[], &["open"]),
        (r#"{"panic":"drop"}"#, &[], &["open"]),
        (r#"{"fail":"open"}"#, &[], &["open"]),
        (r#"{"fail":"close"}"#, &[], &["open"]),
        (r#"{"outcome":"half"}"#, &[], &["outcomes"]),
        (r#"{"deletion":"panic"}"#, &[], &["deletion"]),
        (r#"{"diagnostics":"panic"}"#, &[], &["older-host", "newer-host", "preview", "probe"]),
        (r#"{"diagnostics":"hang"}"#, &["--limit", "5s", "--only", "probe"], &["probe"]),
        (r#"{"hang":"send"}"#, &["--limit", "5s", "--only", "batch-sizes"], &["batch-sizes"]),
        (r#"{"hang":"close"}"#, &["--limit", "5s"], &["open"]),
    ] {
        fails(&site, &hostile, &[&["--config-json", config], more].concat(), expected);
    }
    let panics = sending_but(&["unreachable", "deadline", "cancel", "send-after-close"], &["process-exit"]);
    let report = fails(&site, &hostile, &["--config-json", r#"{"panic":"send"}"#], &panics);
    assert!(report.to_string().contains("hostile by configuration"), "{report:#}");
}

#[test]
fn an_exception_in_cpp_is_caught_by_the_macro_of_the_header() {
    let site = Site::new(&[]);
    for (variant, said) in [
        ("CATCHES", "`send` panicked: thrown by send"),
        ("LEAVES", "in C++ the macro `JACKFIELD_CATCH`"),
        // Its metadata says that the language has no panics.
        ("LEAVES_NONE", "in C++ the macro `JACKFIELD_CATCH`"),
    ] {
        let report = fails(&site, &throws(variant), &["--only", "batch-sizes"], &["batch-sizes"]);
        assert!(report.to_string().contains(said), "{report:#}");
    }
    let library = throws("CATCHES");
    let inspected = site.run(&["inspect", library.to_str().expect("UTF-8"), "--json"]).with_code(0);
    let said = format!("{inspected:?}");
    assert!(said.contains("c++") && said.contains("unwind"), "{said}");
}

/// What is left in places that all programs share is found, and what others make there meanwhile is not taken for it.
#[cfg(target_os = "linux")]
#[test]
fn what_a_plugin_leaves_where_all_programs_may_make_things_is_found() {
    use std::{
        fs,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    let (site, own) = (Site::new(&[]), std::process::id());
    // Others that run these tests at the same time have other names and keys.
    let key = (0x6a00_0000 + own).to_string();
    let check = |variant: &str, code: i32| {
        let file = c_conduct(variant);
        let arguments = ["check", file.to_str().expect("UTF-8"), "--only", "leftovers"];
        start(site.command(&arguments).stdin(Stdio::null()).env("CONDUCT_KEY", &key))
            .end()
            .with_code(code)
            .stdout
    };
    for (variant, named) in [
        ("LEAVES_IN_TMP", format!("1 file or folder is left: /tmp/conduct-{key}")),
        ("LEAVES_FOLDER_IN_VAR", format!("1 file or folder is left: /var/tmp/conduct-{key}")),
        ("LEAVES_SOCKET", format!("1 file or folder is left: /tmp/conduct-{key}.socket")),
        ("LEAVES_POSIX_SHARED", format!("1 file or folder is left: /dev/shm/conduct-{key}")),
        ("LEAVES_POSIX_SEMAPHORE", format!("1 file or folder is left: /dev/shm/sem.conduct-{key}")),
        ("LEAVES_POSIX_QUEUE", format!("left: the POSIX message queue \"/conduct-{key}\"")),
        ("LEAVES_V_SHARED", "left: System V shared memory ".to_owned()),
        ("LEAVES_V_SEMAPHORES", "left: System V semaphores ".to_owned()),
        ("LEAVES_V_QUEUE", "left: System V message queue ".to_owned()),
    ] {
        let found = check(variant, 4);
        assert!(found.contains(&named), "{variant}: {found}");
        // It removes all of them when it is loaded.
        check("TIDIES", 0);
    }
    for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
        assert!(!Path::new(folder).join(format!("conduct-{key}")).exists(), "{folder}");
    }

    let done = AtomicBool::new(false);
    let other = |number: usize| format!("/tmp/conduct-other-{own}-{number}");
    let found = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let made = (0..).take_while(|_| !done.load(Ordering::Relaxed)).inspect(|number| {
                fs::write(other(*number), "").expect("a file");
                thread::sleep(std::time::Duration::from_millis(1));
            });
            made.count()
        });
        let found = check("WELL_BEHAVED", 0);
        done.store(true, Ordering::Relaxed);
        let made = others.join().expect("no panic");
        assert!(made > 0);
        (0..made).for_each(|number| fs::remove_file(other(number)).expect("it is there"));
        found
    });
    assert!(
        found.contains("nothing in /tmp, /var/tmp and /dev/shm, and no object of System V or queue"),
        "{found}"
    );
    // The file that the options name is none that is left, wherever it is.
    let events = format!("/tmp/conduct-events-{own}");
    let config = json!({ "path": events }).to_string();
    fails(&site, &plugin("file"), &["--config-json", &config, "--only", "leftovers"], &[]);
    fs::remove_file(&events).expect("the events");
}
