//! Options from variables and files: `${NAME:-default}` and `${file:PATH}`.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use jackfield_tests::{
    peers::http::{HttpServer, Received, Reply},
    plugin,
};
use serde_json::json;

use crate::site::{Ended, Site, backend, events, start};

/// Sends one event by the plugin `file` with these options and variables.
fn to_file(config: &str, variables: &[(&str, &str)]) -> (Site, Ended) {
    let site = Site::new(&[backend("main", &plugin("file"), &format!("[backend.config]\n{config}"))]);
    site.write("in.jsonl", events(0..1));
    let mut command = site.command(&["send", "in.jsonl"]);
    let ended = start(command.envs(variables.iter().copied())).end();
    (site, ended)
}

#[test]
fn a_number_or_boolean_comes_from_a_variable_where_the_schema_wants_one() {
    let config = "path = \"${E2E_NAME:-7}\"\nrotate_bytes = \"${E2E_BYTES}\"\nfsync = \"${E2E_FSYNC:-true}\"";
    let (site, ended) = to_file(config, &[("E2E_BYTES", "1000000")]);
    ended.with_code(0);
    assert_eq!(site.read("7"), events(0..1), "a text stays a text where the schema wants one");
    for (variable, value, expected) in [
        (
            "E2E_BYTES",
            "hunter2",
            "config.toml:6: backend `main`: `backend.config.rotate_bytes`: expected an integer, found a string",
        ),
        (
            "E2E_FSYNC",
            "8675309",
            "config.toml:7: backend `main`: `backend.config.fsync`: expected a boolean, found an integer",
        ),
    ] {
        let (_, ended) = to_file(config, &[("E2E_BYTES", "1000000"), (variable, value)]);
        let ended = ended.with_code(3);
        assert!(ended.stderr.contains(expected) && !ended.stderr.contains(value), "{ended:#?}");
    }
    // What the file itself has in quotes is a text.
    let (_, ended) = to_file("path = \"x\"\nrotate_bytes = \"1000000\"", &[]);
    assert!(ended.with_code(3).stderr.contains("expected an integer, found a string"));
}

#[test]
fn check_reads_numbers_from_variables_too() {
    let site = Site::new(&[backend(
        "main",
        &plugin("file"),
        "config = { path = \"x\", rotate_bytes = \"${E2E_BYTES}\" }",
    )]);
    let file = plugin("file");
    let file = file.to_str().expect("UTF-8");
    let arguments = ["check", file, "--config", "config.toml", "--only", "open"];
    let check = |value: &str| start(site.command(&arguments).env("E2E_BYTES", value)).end();
    check("1000000").with_code(0);
    assert_ne!(check("x").code, Some(0));
}

/// A backend whose token is in a file of the folder with the service's credentials, as systemd makes it.
fn with_a_credential(server: &HttpServer) -> Site {
    let config = format!(
        "config = {{ url = {:?}, bearer_token = \"${{file:${{CREDENTIALS_DIRECTORY}}/token}}\" }}",
        server.url("/")
    );
    let site = Site::new(&[backend("main", &plugin("http"), &config)]);
    fs::create_dir(site.path("credentials")).expect("room");
    site
}

fn with_credentials<'c>(site: &Site, command: &'c mut Command) -> &'c mut Command {
    command.env("CREDENTIALS_DIRECTORY", site.path("credentials"))
}

#[test]
fn a_secret_in_a_file_is_used_and_never_printed() {
    let repeats = |received: &Received| {
        let token = received.header("authorization").unwrap_or_default().to_owned();
        Reply::status(401).body(format!("no such token: {token}"))
    };
    let server = HttpServer::start(Reply::with(repeats));
    let site = with_a_credential(&server);
    site.write("in.jsonl", events(0..1));
    let run = || {
        let mut command = site.command(&["send", "--give-up-after", "100ms", "in.jsonl"]);
        start(with_credentials(&site, &mut command).env("JACKFIELD_LOG", "trace")).end()
    };
    let missing = run().with_code(3);
    let expected =
        "config.toml:4: `backend.config.bearer_token`: file ${CREDENTIALS_DIRECTORY}/token: can't be used: ";
    assert!(missing.stderr.contains(expected), "{missing:#?}");
    assert_eq!(missing.stderr.lines().count(), 1, "{missing:#?}");
    site.write("credentials/token", "hunter2-hunter2\n");
    let refused = run();
    let header = server.received()[0].header("authorization").map(str::to_owned);
    assert_eq!(header.as_deref(), Some("Bearer hunter2-hunter2"));
    assert!(refused.stderr.contains("401") && !format!("{refused:?}").contains("hunter2"), "{refused:#?}");
}

/// A run notices a new secret in the file; while the file is missing, the old one stays in force.
#[test]
fn a_watch_notices_a_new_secret_in_a_file() {
    let server = HttpServer::start(Reply::status(200));
    let site = with_a_credential(&server);
    site.write("credentials/token", "first-token");
    let mut command = site.command(&["run", "--state", "state", "--watch"]);
    let mut running = start(with_credentials(&site, &mut command).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    let mut send = |count: usize| stdin.write_all(events(count..count + 1).as_bytes()).expect("writable");
    let used = |token: &str| {
        let received = server.received();
        received.last().and_then(|last| last.header("authorization")) == Some(&format!("Bearer {token}"))
    };
    send(0);
    running.until("the first event", || used("first-token"));
    fs::remove_file(site.path("credentials/token")).expect("it is there");
    running.until("the refusal", || {
        site.status()["last_reload"].as_str().is_some_and(|last| last.contains("can't be used: No such file"))
    });
    let before = server.served();
    send(1);
    running.until("the next event", || server.served() > before && used("first-token"));
    site.write("credentials/token", "second-token");
    running.until("the swap", || site.status()["last_reload"] == "backend `main` swapped");
    send(2);
    running.until("the last event", || used("second-token"));
    drop(stdin);
    let ended = running.end().with_code(0);
    assert!(!ended.stderr.contains("first-token") && !ended.stderr.contains("second-token"), "{ended:#?}");
}

#[test]
fn editors_accept_a_reference_for_a_number() {
    let site =
        Site::new(&[format!("[plugins]\npath = [{:?}]\n", plugin("file").parent().expect("a folder"))]);
    let schema = site.run(&["schema"]).with_code(0).json();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let fits = |bytes: &str| {
        validator.is_valid(
            &json!({"backend": [{"plugin": "file", "config": {"path": "x", "rotate_bytes": bytes}}]}),
        )
    };
    assert!(fits("${BYTES:-5}") && !fits("5"));
}
