//! `jackfield doctor` and `jackfield telemetry`: what is so, and for the latter of this command itself.

use jackfield_test_support::wait_until;
use jackfield_tests::{
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::Value;

use crate::site::{Site, backend};

fn http(name: &str, url: &str) -> String {
    backend(name, &plugin("http"), &format!("config = {{ url = {url:?} }}"))
}

#[test]
fn each_backend_is_probed_and_failing_servers_do_not_pass() {
    let (good, bad) = (HttpServer::start(Reply::status(200)), HttpServer::start(Reply::status(500)));
    let refusing = HttpServer::start(Reply::status(401));
    let gone = "http://127.0.0.1:1/";
    let site = Site::new(&[
        http("good", &good.url("/")),
        http("bad", &bad.url("/")),
        http("refusing", &refusing.url("/")),
        http("gone", gone),
        backend("stdout", &plugin("stdout"), ""),
    ]);
    let ended = site.run(&["doctor", "--json"]).with_code(6);
    let answers: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let told: Vec<_> = answers
        .as_array()
        .expect("a list")
        .iter()
        .map(|answer| (answer["name"].as_str().expect("text"), answer["answer"].as_str().expect("text")))
        .collect();
    assert_eq!(
        told,
        [
            ("good", "reachable"),
            ("bad", "unreachable"),
            ("refusing", "refused"),
            ("gone", "unreachable"),
            ("stdout", "reachable")
        ]
    );
    assert_eq!(good.received()[0].body, b"[]", "a probe delivers no event");
    site.run(&["doctor", "--only", "good"]).with_code(0);
    site.run(&["doctor", "--only", "nobody"]).with_code(2);
    let broken = Site::new(&[http("broken", "no url")]);
    assert!(broken.run(&["doctor"]).with_code(3).stdout.starts_with("broken: unusable: "));
}

#[test]
fn the_command_collects_nothing_about_itself_without_consent() {
    let server = HttpServer::start(Reply::status(200));
    let site = Site::new(&[backend("stdout", &plugin("stdout"), "")]);
    let ops = site.write("ops.toml", http("own", &server.url("/")));
    let run = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command
            .env("JACKFIELD_TELEMETRY_CONFIG", &ops)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME");
        let output = command.output().expect("starts");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    assert!(run(&["telemetry", "status"]).1.starts_with("Telemetry: disabled\n"));
    run(&["plugins"]);
    assert!(server.received().is_empty());
    assert_eq!(run(&["telemetry", "enable"]).0, Some(0));
    run(&["plugins"]);
    // The command leaves at once; what it has recorded follows.
    wait_until("an event has arrived", || !server.received().is_empty());
    let received = server.received();
    assert_eq!(received.len(), 1);
    let event = &received[0].json()[0];
    assert_eq!(
        (&event["tool_name"], &event["name"], &event["exit_code"]),
        (&"jackfield".into(), &"plugins".into(), &0.into())
    );
    assert!(event.get("args").is_none());
    let disabled = run(&["telemetry", "disable"]).1;
    assert_eq!(disabled, "Telemetry disabled.\nAll pending events have been discarded.\n");
    run(&["plugins"]);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn the_doctor_names_line_and_key_of_wrong_options() {
    let site = Site::new(&[]);
    let option = "config = { path = \"events.jsonl\", fsnc = true }";
    let ops = site.write("ops.toml", backend("own", &plugin("file"), option));
    let run = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.env("JACKFIELD_TELEMETRY_CONFIG", &ops).env_remove("XDG_CONFIG_HOME");
        String::from_utf8(command.output().expect("starts").stdout).expect("text")
    };
    let says = "ops.toml:4: backend `own`: `backend.config.fsnc`: unknown key, did you mean `fsync`?";
    // Without consent the plugin is not run, and its options are compared with its schema all the same.
    let doctor = run(&["telemetry", "doctor"]);
    assert!(doctor.contains(says), "{doctor}");
    run(&["telemetry", "enable"]);
    let doctor = run(&["telemetry", "doctor"]);
    assert!(doctor.contains(says) && doctor.contains("; events wait"), "{doctor}");
    // A child that delivers knows the line, too.
    run(&["plugins"]);
    wait_until("the line in the status", || run(&["telemetry", "status"]).contains(says));
}
