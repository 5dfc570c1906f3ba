//! `jackfield check`: every plugin of ours passes it, and each fixture fails what it is wrong in.

use std::{path::Path, process::Stdio};

use jackfield_test_support::wait_until;
use jackfield_tests::{
    c_conduct, c_fixture, fixture, foreign_architecture, panic_abort, plugin, text_file, throws,
};
use serde_json::{Value, json};

use crate::site::{Ended, Site, start};

/// Runs the kit with few cycles, and `more` arguments.
fn check(site: &Site, file: &Path, more: &[&str]) -> Ended {
    let file = file.to_str().expect("UTF-8");
    site.run(&[&["check", file, "--json", "--cycles", "100"], more].concat())
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// The checks with this verdict.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    let checks = report["checks"].as_array().expect("a list").iter();
    let names = checks.filter(|check| check["verdict"] == verdict).map(|check| check["name"].as_str());
    names.map(|name| name.expect("a string").to_owned()).collect()
}

/// Requires that exactly these checks fail.
#[track_caller]
fn fails(site: &Site, file: &Path, more: &[&str], expected: &[&str]) -> Value {
    let ended = check(site, file, more);
    let report = report(&ended);
    let name = file.file_name().expect("a name");
    assert_eq!(with(&report, "fail"), expected, "{name:?} {more:?}: {report:#}");
    let code = if expected.is_empty() { 0 } else { 4 };
    ended.with_code(code);
    for check in report["checks"].as_array().expect("a list") {
        assert_eq!(check["advice"].is_string(), check["verdict"] == "fail", "{check}");
    }
    report
}

/// Passes with no more than these checks skipped.
#[track_caller]
fn passes(file: &Path, more: &[&str], skipped: &[&str]) {
    let site = Site::new(&[]);
    let report = fails(&site, file, more, &[]);
    assert_eq!(with(&report, "skipped"), skipped, "{report:#}");
}

#[test]
fn the_plugins_without_a_network_pass() {
    let no_network = ["unreachable", "deadline", "cancel", "close-in-flight", "deletion"];
    passes(&plugin("stdout"), &[], &[&no_network[..], &["stdout"]].concat());
    let site = Site::new(&[]);
    let config = json!({ "path": site.path("events") }).to_string();
    passes(&plugin("file"), &["--config-json", &config], &no_network);
    assert!(!site.read("events").is_empty(), "the events went where they were sent");
}

#[test]
fn http_plugins_pass_with_a_platform_that_is_away() {
    let away = "http://127.0.0.1:9";
    for (name, config) in [
        ("http", json!({ "url": away })),
        ("otlp", json!({ "endpoint": away })),
        ("datadog", json!({ "api_key": "0123456789abcdef0123456789abcdef", "url": away })),
        ("posthog", json!({ "api_key": "phc_check", "host": away })),
    ] {
        passes(&plugin(name), &["--config-json", &config.to_string()], &[]);
    }
}

#[test]
fn a_plugin_over_http_passes_with_a_platform_that_answers() {
    use jackfield_tests::peers::http::{HttpServer, Reply};
    let server = HttpServer::start(Reply::status(200));
    let config = json!({ "url": server.url("/events") }).to_string();
    passes(&plugin("http"), &["--config-json", &config], &[]);
    let got = server.received();
    assert!(got.iter().any(|request| request.json().as_array().is_some_and(|events| events.len() == 1000)));
}

#[test]
fn the_plugin_in_c_passes_by_every_transport() {
    for address in ["tcp://127.0.0.1:9", "udp://127.0.0.1:9", "unix:/no/such/socket"] {
        let config = json!({ "address": address }).to_string();
        passes(&plugin("syslog"), &["--config-json", &config], &["deletion"]);
    }
}

#[test]
fn rabbitmq_passes_with_a_broker_that_is_away() {
    let config = json!({ "url": "amqp://guest:guest@127.0.0.1:9/%2f", "queue": "check" }).to_string();
    passes(&plugin("rabbitmq"), &["--config-json", &config], &[]);
}

#[test]
fn the_plugin_for_rabbitmq_passes_with_a_broker_that_answers() {
    use jackfield_tests::peers::rabbitmq::broker;
    let declare = json!({ "queue": "classic" });
    let config = json!({ "url": broker().url(), "queue": "conformance", "declare": declare }).to_string();
    passes(&plugin("rabbitmq"), &["--config-json", &config], &[]);
}

/// That of the guide for C is the one of `jackfield new --lang c`, of which `new.rs` tests the same.
#[test]
fn the_plugin_of_the_guide_for_rust_passes_with_a_broker_that_is_away_and_one_that_answers() {
    use jackfield_tests::peers::rabbitmq::broker;
    let (broker, queue) = (broker(), "guide-check");
    broker.client().queue(queue, &json!({}));
    for url in ["amqp://guest:guest@127.0.0.1:9/%2f".to_owned(), broker.url()] {
        let config = json!({ "url": url, "queue": queue }).to_string();
        // It is serial.
        passes(&fixture("guide"), &["--config-json", &config], &["close-in-flight"]);
    }
    broker.client().delete(queue);
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_whose_parent_is_killed_ends() {
    let site = Site::new(&[]);
    let file = fixture("hostile");
    let arguments =
        ["check", file.to_str().expect("UTF-8"), "--config-json", r#"{"hang":"open"}"#, "--only", "open"];
    let mut running = start(site.command(&arguments).stdin(Stdio::null()));
    let (id, mut child) = (running.id(), None);
    running.until("the check runs", || {
        child = children(id).into_iter().find(|(_, line)| line.contains("check open"));
        child.is_some()
    });
    let (child, _) = child.expect("seen");
    running.signal("KILL");
    wait_until("the child ends", || !Path::new("/proc").join(child.to_string()).join("exe").exists());
    drop(running);
}

#[test]
fn fixtures_that_are_right_pass() {
    let none = [
        "schema",
        "wrong-types",
        "schema-keys",
        "unreachable",
        "deadline",
        "cancel",
        "deletion",
        "preview",
        "probe",
    ];
    for name in ["minimal", "lean"] {
        passes(&fixture(name), &[], &none);
    }
    let serial = [
        "schema",
        "wrong-types",
        "schema-keys",
        "unreachable",
        "deadline",
        "cancel",
        "close-in-flight",
        "deletion",
        "preview",
        "probe",
    ];
    passes(&fixture("serial"), &["--config-json", r#"{"sleep_ms":1}"#], &serial);
    passes(
        &fixture("hostile"),
        &[],
        &["schema", "wrong-types", "schema-keys", "unreachable", "deadline", "cancel"],
    );
    passes(&c_conduct("WELL_BEHAVED"), &[], &["deletion", "preview", "probe"]);
}

#[test]
fn what_belongs_to_a_process_of_its_own_is_skipped_there() {
    let site = Site::new(&[]);
    let skipped = ["process-state", "deletion", "preview", "probe", "process-exit"];
    passes(&c_conduct("SETS_HANDLER"), &["--isolation", "process"], &skipped);
    // Its metadata says where it runs.
    let needs = c_conduct("NEEDS_PROCESS");
    passes(&needs, &[], &skipped);
    let refused = fails(&site, &needs, &["--isolation", "thread"], &["verdict"]);
    assert!(refused.to_string().contains("can run only in a process of its own"), "{refused:#}");
    let text = site.run(&["check", needs.to_str().expect("UTF-8"), "--cycles", "20"]).with_code(0).stdout;
    let last = text.lines().last().expect("a conclusion");
    assert!(
        last.starts_with("It keeps the contract in ")
            && last.contains(", for a process of its own. Not shown: "),
        "{last}"
    );
    assert!(last.contains("process-state, process-exit (in a process of its own)"), "{last}");
    let abort = ["--isolation", "process", "--only", "panic-strategy", "--only", "load"];
    passes(&panic_abort("minimal"), &abort, &["panic-strategy"]);
    // The rest of the contract is the same.
    fails(&site, &c_conduct("LEAKS_MEMORY"), &["--isolation", "process"], &["leaks"]);
}

#[test]
fn a_library_that_can_not_be_loaded_runs_no_checks() {
    let site = Site::new(&[]);
    let mark = site.path("mark");
    for (file, expected) in [
        (text_file(), &["metadata"][..]),
        (site.path("missing.so"), &["metadata"]),
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
const SENDING: [&str; 21] = [
    "batch-sizes",
    "strings",
    "event-shapes",
    "outcomes",
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
    ] {
        let only = ["--only", "process-state", "--only", "process-exit"];
        let report = fails(&site, &c_conduct(variant), &only, &["process-state"]);
        assert!(report.to_string().contains(&format!("changed: {named}\"")), "{report:#}");
    }
    fails(&site, &c_conduct("PRINTS"), &[], &["stdout"]);
    for (variant, named) in [
        ("LEAKS_MEMORY", " bytes of memory"),
        ("LEAKS_DESCRIPTOR", "100 descriptors more"),
        ("LEAKS_THREAD", "100 threads more"),
        // The system may join one with its neighbour.
        ("LEAKS_MAPPING", " mappings more after 100 lives"),
    ] {
        let report = fails(&site, &c_conduct(variant), &[], &["leaks"]);
        assert!(report.to_string().contains(named), "{report:#}");
    }
    let little = c_conduct("LEAKS_LITTLE");
    let little = site.run(&["check", little.to_str().expect("UTF-8"), "--only", "leaks"]).with_code(4);
    assert!(little.stdout.contains(" bytes of memory"), "{little:#?}");
    for (variant, named) in [
        ("LEAVES_CHILD", "processes are left: jackfield"),
        ("LEAVES_ZOMBIE", "ended and not waited for"),
        ("LEAVES_DAEMON", "processes are left: jackfield"),
        ("LEAVES_FILE", "4 files are left, such as conduct-"),
        ("LEAVES_FILE_HERE", "1 files are left, such as conduct.cache"),
        ("LEAVES_SHARED", "memory is left mapped: /memfd:conduct"),
    ] {
        let report = fails(&site, &c_conduct(variant), &["--only", "leftovers"], &["leftovers"]);
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
        ("DIES_AFTER_CLOSE", &["send-after-close"]),
        ("TODAYS_HOST_ONLY", &["newer-host"]),
        ("NEEDS_NAMES", &["older-host"]),
        ("FOLLOWS_EMPTY_LISTS", &["empty-pointers"]),
        ("REJECTS", &["unreachable", "deadline"]),
        ("FAILS", &["unreachable", "deadline"]),
        ("SCHEMA_WANTS_MORE", &["open"]),
        ("SCHEMA_NAMES_MORE", &["schema-keys"]),
        ("CLAIMS_DELIVERY", &["unreachable", "deadline"]),
        ("FORGETS_MANY", &["outcomes"]),
        ("WRITES_BATCH", &["read-only"]),
        ("WRITES_CONFIG", &["read-only"]),
        ("EXITS_AT_END", &["process-exit"]),
        ("EXITS_BY_ATEXIT", &["process-exit"]),
        ("DELIVERS_CLOSED", &["send-after-close"]),
    ] {
        fails(&site, &c_conduct(variant), &[], expected);
    }
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
    fails(&site, &c_conduct("IGNORES_DEADLINE"), &["--only", "deadline"], &["deadline"]);
    fails(&site, &c_conduct("IGNORES_CANCEL"), &["--only", "deadline", "--only", "cancel"], &["cancel"]);
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
        (r#"{"fail":"open","error":"config"}"#, &[], &["open"]),
        (r#"{"fail":"close"}"#, &[], &["open"]),
        (r#"{"outcome":"silent"}"#, &[], &["outcomes", "concurrency"]),
        (r#"{"outcome":"half"}"#, &[], &["outcomes", "concurrency"]),
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
        ("LEAVES", "crashed by signal 6"),
        // Its metadata says that the language has no panics.
        ("LEAVES_NONE", "crashed by signal 6"),
    ] {
        let report = fails(&site, &throws(variant), &["--only", "batch-sizes"], &["batch-sizes"]);
        assert!(report.to_string().contains(said), "{report:#}");
    }
    let library = throws("CATCHES");
    let inspected = site.run(&["inspect", library.to_str().expect("UTF-8"), "--json"]).with_code(0);
    let said = format!("{inspected:?}");
    assert!(said.contains("c++") && said.contains("unwind"), "{said}");
}

#[test]
fn options_come_from_a_configuration_and_reports_have_three_forms() {
    let site = Site::new(&[]);
    let file = plugin("file");
    let path = site.path("events");
    site.write(
        "check.toml",
        format!("[[backend]]\nplugin = \"stdout\"\n[[backend]]\nplugin = \"file\"\nconfig = {{ path = {path:?} }}\n"),
    );
    let file = file.to_str().expect("UTF-8");
    let arguments = [
        "check",
        file,
        "--config",
        "check.toml",
        "--only",
        "open",
        "--only",
        "stdout",
        "--junit",
        "report.xml",
    ];
    let ended = site.run(&arguments).with_code(0);
    assert!(
        ended.stdout.contains("open    pass") && ended.stdout.contains("opened with 1 options"),
        "{ended:#?}"
    );
    let last = "2 passed, 0 failed, 0 skipped\nIt keeps the contract in 2 checks.\n";
    assert!(ended.stdout.ends_with(last), "{ended:#?}");
    assert!(site.read("report.xml").contains("<testcase classname=\"jackfield.check\" name=\"open\""));

    let hostile = fixture("hostile");
    let rest = "[backend.config]\nlog = \"${CHECK_SECRET}\"\npanic = \"${CHECK_SECRET}\"";
    site.write("secret.toml", crate::site::backend("hostile", &hostile, rest));
    let arguments = ["check", hostile.to_str().expect("UTF-8"), "--config", "secret.toml", "--only", "open"];
    let mut command = site.command(&arguments);
    let ended = start(command.stdin(Stdio::null()).env("CHECK_SECRET", "s3cret-value")).end().with_code(4);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("s3cret-value"), "{ended:#?}");

    let refused = site.run(&["check", file, "--only", "probe"]).with_code(4);
    assert!(
        refused.stdout.contains("open: give the options that the plugin needs with --config"),
        "{refused:#?}"
    );
    for (arguments, code, said) in [
        (&["--only", "nonsense"][..], 2, "there is no check \"nonsense\""),
        (&["--endpoint", "pahth"], 2, "has no option `pahth`: its options are "),
        (&["--config-json", "{}", "--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--config", "check.json", "--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--config-json", "[]"], 3, "expected a JSON object"),
        (&["--config", "check.toml", "--backend", "nobody"], 3, "no backend `nobody`"),
        (
            &["--config-json", "{}", "--junit", "/no/such/folder/x", "--only", "metadata"],
            7,
            "can't be written",
        ),
    ] {
        let ended = site.run(&[&["check", file], arguments].concat()).with_code(code);
        assert!(ended.stderr.contains(said), "{ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    }

    let (bare, given) = (c_fixture("GOOD"), ["--config-json", r#"{"where":"x"}"#]);
    let arguments = ["check", bare.to_str().expect("UTF-8"), "--only", "metadata", "--endpoint", "where"];
    let unknown = site.run(&arguments).with_code(2);
    assert!(unknown.stderr.contains("the given options have no `where`"), "{unknown:#?}");
    site.run(&[&arguments[..], &given].concat()).with_code(0);
    let by_schema = ["--config", "check.toml", "--only", "metadata", "--endpoint", "fsync"];
    site.run(&[&["check", file], &by_schema[..]].concat()).with_code(0);
}

/// A busy machine fails no good plugin. Prints the false alarms; `JACKFIELD_CHECK_ROUNDS` is the number of rounds.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes long, and every processor"]
fn twenty_runs_of_every_plugin_at_load_ten_fail_none() {
    use std::{process::Command, sync::Mutex, thread};

    let rounds =
        std::env::var("JACKFIELD_CHECK_ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"));
    let away = "http://127.0.0.1:9";
    let plugins: Vec<_> = [
        ("stdout", json!({})),
        ("file", json!({ "path": "events" })),
        ("http", json!({ "url": away })),
        ("otlp", json!({ "endpoint": away })),
        ("datadog", json!({ "api_key": "0123456789abcdef0123456789abcdef", "url": away })),
        ("posthog", json!({ "api_key": "phc_check", "host": away })),
        ("rabbitmq", json!({ "url": "amqp://guest:guest@127.0.0.1:9/%2f", "queue": "check" })),
        ("syslog", json!({ "address": "udp://127.0.0.1:9" })),
    ]
    .map(|(name, config)| (name, plugin(name), config.to_string()))
    .into();
    // Of ten processes that want to run, two are kits.
    let mut busy: Vec<_> = (0..8)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"))
        .collect();
    let work: Mutex<Vec<_>> = Mutex::new((0_usize..rounds).flat_map(|_| plugins.iter()).collect());
    let alarms = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().expect("no panic").pop();
                    let Some((name, file, config)) = next else { return };
                    let site = Site::new(&[]);
                    let report = report(&check(&site, file, &["--config-json", config]));
                    let failed = report["checks"].as_array().expect("a list").iter();
                    let failed = failed.filter(|it| it["verdict"] == "fail");
                    let failed = failed.map(|it| format!("{name}: {}: {}", it["name"], it["found"]));
                    let failed: Vec<_> = failed.collect();
                    println!("{name}: {} false alarms {failed:?}", failed.len());
                    alarms.lock().expect("no panic").extend(failed);
                }
            });
        }
    });
    for process in &mut busy {
        let _ = process.kill();
        let _ = process.wait();
    }
    let alarms = alarms.into_inner().expect("no panic");
    println!("{} runs of {} plugins, {} false alarms", rounds * plugins.len(), plugins.len(), alarms.len());
    assert!(alarms.is_empty(), "{alarms:#?}");
}

/// Nothing of what a plugin starts is left when the kit has ended, also not what holds the kit's pipes open.
#[cfg(target_os = "linux")]
#[test]
fn the_kit_leaves_no_process() {
    for variant in ["LEAVES_CHILD", "LEAVES_DAEMON"] {
        let site = Site::new(&[]);
        let (file, mark) = (c_conduct(variant), site.path("mark").display().to_string());
        let arguments = ["check", file.to_str().expect("UTF-8"), "--only", "leftovers", "--only", "open"];
        start(site.command(&arguments).stdin(Stdio::null()).env("CONDUCT_MARK", &mark)).end().with_code(4);
        let is_marked = |entry: std::io::Result<std::fs::DirEntry>| {
            let environment = std::fs::read(entry.ok()?.path().join("environ")).ok()?;
            String::from_utf8_lossy(&environment).contains(&mark).then_some(())
        };
        assert_eq!(std::fs::read_dir("/proc").expect("Linux").filter_map(is_marked).count(), 0, "{variant}");
    }
}

/// The children of a process, with their command lines.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<(u32, String)> {
    let child = |entry: std::io::Result<std::fs::DirEntry>| {
        let folder = entry.ok()?.path();
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let of: u32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        let line = (of == parent).then(|| std::fs::read(folder.join("cmdline")))?.ok()?;
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        Some((id, String::from_utf8_lossy(&line).into_owned()))
    };
    std::fs::read_dir("/proc").expect("Linux").filter_map(child).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_list_of_processes_has_no_secret_option() {
    let site = Site::new(&[]);
    site.write("check.json", r#"{"hang":"open","log":"s3cret-of-the-check"}"#);
    let file = fixture("hostile");
    let arguments =
        ["check", file.to_str().expect("UTF-8"), "--config", "check.json", "--limit", "5s", "--only", "open"];
    let mut running = start(site.command(&arguments).stdin(Stdio::null()));
    let (id, mut seen) = (running.id(), Vec::new());
    running.until("a child runs", || {
        seen = children(id);
        seen.iter().any(|(_, line)| line.contains("jackfield:check"))
    });
    assert!(seen.iter().all(|(_, line)| !line.contains("s3cret-of-the-check")), "{seen:?}");
    let ended = running.end().with_code(4);
    assert!(ended.stdout.contains("hung: no end after 5 s"), "{ended:#?}");
}
