//! What users of OpenTelemetry set in the environment, and when the plugin reads it.

use std::{fs, io::Write as _, process::Stdio, time::Duration};

use jackfield_tests::{
    peers::{
        http::{HttpServer, Reply},
        pki::{Pki, ServerCertificate},
    },
    plugin,
};
use serde_json::Value;

use crate::site::{Ended, Site, backend, events, start};

/// Sends two events with these options and variables.
fn send(options: &str, variables: &[(&str, &str)]) -> Ended {
    let site = Site::new(&[backend("otlp", &plugin("otlp"), &format!("[backend.config]\n{options}"))]);
    site.write("in.jsonl", events(0..2));
    let mut command = site.command(&["send", "--give-up-after", "100ms", "in.jsonl"]);
    start(command.envs(variables.iter().copied())).end()
}

/// The attributes of the first resource in a body of OTLP in JSON.
fn resource(body: &Value) -> Vec<(String, String)> {
    let attributes = body.pointer("/resourceLogs/0/resource/attributes").and_then(Value::as_array);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let pair = |one: &Value| (text(&one["key"]), text(&one["value"]["stringValue"]));
    attributes.expect("a resource").iter().map(pair).collect()
}

#[test]
fn options_that_are_left_out_come_from_the_variables() {
    let server = HttpServer::start(Reply::status(200));
    let ended = send(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &server.url("/collector/")),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x-tenant=blue"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%2Cb,service.version=9"),
            ("OTEL_SERVICE_NAME", "shop"),
        ],
    );
    ended.with_code(0);
    let received = server.received().remove(0);
    assert_eq!(received.path, "/collector/v1/logs");
    assert_eq!(received.header("api-key"), Some("a b"));
    assert_eq!(received.header("x-tenant"), Some("blue"));
    assert_eq!(received.header("content-encoding"), Some("gzip"));
    let resource = resource(&received.json());
    let value = |key: &str| {
        resource.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(value("service.name"), ["shop"]);
    assert_eq!(value("service.version"), ["9"]);
    assert_eq!(value("deployment.environment.name"), ["a,b"]);
    assert_eq!(value("tool.name").len(), 1, "the tool is still known: {resource:?}");
}

#[test]
fn the_endpoint_of_logs_is_taken_as_it_is() {
    let server = HttpServer::start(Reply::status(200));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &server.url("/in")),
    ];
    send("", &variables).with_code(0);
    assert_eq!(server.received()[0].path, "/in");
}

#[test]
fn an_endpoint_of_the_configuration_gets_no_header_of_the_variables() {
    let server = HttpServer::start(Reply::status(200));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2"),
        ("OTEL_RESOURCE_ATTRIBUTES", "secret.attribute=hunter2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    send(&format!("endpoint = {:?}\nprotocol = \"http/json\"", server.url("")), &variables).with_code(0);
    let received = server.received().remove(0);
    assert_eq!(received.header("authorization"), None);
    assert!(!String::from_utf8_lossy(&received.body).contains("hunter2"));
}

#[test]
fn certificates_and_the_time_of_a_call_come_from_variables() {
    let pki = Pki::new();
    let server = HttpServer::tls(&pki, ServerCertificate::Good, true, Reply::status(200));
    let [ca, cert, key] =
        [pki.ca_file(), pki.cert_file(), pki.key_file()].map(|file| file.display().to_string());
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*server.url("")),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &cert),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
    ];
    send("", &variables).with_code(0);
    assert_eq!(server.served(), 1);
    let slow = HttpServer::start(Reply::status(200).delay(Duration::from_secs(60)));
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*slow.url("")), ("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
    let ended = send("", &variables).with_code(6);
    assert!(ended.stderr.contains("no answer within 0.3 s"), "{ended:#?}");
}

#[test]
fn a_reload_reads_the_new_certificate_of_a_variable() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = HttpServer::tls(&pki, ServerCertificate::Good, false, Reply::status(200));
    let site = Site::new(&[backend("otlp", &plugin("otlp"), "")]);
    let ca = site.path("ca.pem");
    fs::copy(other.ca_file(), &ca).expect("room");
    let mut command = site.command(&["run", "--state", "state"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", server.url("")).env("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca);
    let mut running = start(command.stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(events(0..2).as_bytes()).expect("a run that reads");
    running.until_said("backend otlp is down");
    fs::copy(pki.ca_file(), &ca).expect("room");
    running.signal("HUP");
    running.until("the new certificate", || server.served() > 0);
    drop(stdin);
    running.end().with_code(0);
}

#[test]
fn config_show_says_which_variables_are_in_force() {
    let show = |options: &str| {
        let site = Site::new(&[backend("otlp", &plugin("otlp"), &format!("[backend.config]\n{options}"))]);
        let mut command = site.command(&["config", "show", "--json"]);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hunter2")
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "100").env("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem");
        let ended = start(&mut command).end().with_code(0);
        assert!(!ended.stdout.contains("hunter2"), "{ended:#?}");
        ended.json()
    };
    let from = |rows: &Value, key: &str| {
        let row = rows.as_array().expect("a list").iter().find(|row| row["key"] == key);
        row.map(|row| [&row["value"], &row["from"]].map(|text| text.as_str().unwrap_or_default().to_owned()))
    };
    let rows = show("protocol = \"http/json\"");
    for (key, name) in [
        ("config.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("config.gzip", "OTEL_EXPORTER_OTLP_COMPRESSION"),
        ("config.tls.ca_file", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ("config", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    ] {
        let expected = [format!("${{{name}}}"), format!("${name}")];
        assert_eq!(from(&rows, key), Some(expected), "{key}: {rows:#}");
    }
    assert_eq!(from(&rows, "config.tls.key_file"), None);
    let rows = show("endpoint = \"http://h\"");
    assert_eq!(
        from(&rows, "config.gzip").map(|row| row[1].clone()),
        Some("default of the plugin".to_owned())
    );
    assert_eq!(from(&rows, "config"), None, "no variable counts");
}

#[test]
fn what_a_variable_has_wrong_is_told_with_its_name_and_without_its_value() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    for (variables, expected) in [
        (
            vec![],
            "config.toml:4: backend `otlp`: `backend.config.endpoint`: is missing: set it, or the environment variable OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2:4318")],
            "`backend.config.endpoint`: is left out, and the environment variable OTEL_EXPORTER_OTLP_ENDPOINT: has no scheme",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "`backend.config.protocol`: is left out, and the environment variable OTEL_EXPORTER_OTLP_PROTOCOL: is `grpc`, which this backend does not have",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "a=b,hunter2")],
            "`backend.config.headers`: is left out, and the environment variable OTEL_EXPORTER_OTLP_LOGS_HEADERS: expected `name=value` pairs",
        ),
        (
            vec![endpoint, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem")],
            "`backend.config.tls.ca_file`: ",
        ),
    ] {
        let ended = send("", &variables).with_code(3);
        assert!(ended.stderr.contains(expected) && !ended.stderr.contains("hunter2"), "{ended:#?}");
    }
    let ended = send("", &[endpoint, ("OTEL_EXPORTER_OTLP_COMPRESSION", "hunter2")]);
    let warning =
        "the environment variable OTEL_EXPORTER_OTLP_COMPRESSION is not used: expected `gzip` or `none`";
    assert!(ended.stderr.contains(warning) && !ended.stderr.contains("hunter2"), "{ended:#?}");
}

#[test]
fn inspect_says_from_which_variables_an_option_comes() {
    let site = Site::new(&[]);
    let file = plugin("otlp");
    let file = file.to_str().expect("UTF-8");
    let text = site.run(&["inspect", file]).with_code(0).stdout;
    let line =
        |option: &str| text.lines().find(|line| line.starts_with(option)).unwrap_or_else(|| panic!("{text}"));
    let expected = "(if left out: $OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, $OTEL_EXPORTER_OTLP_ENDPOINT)";
    assert!(line("endpoint ").ends_with(expected), "{text}");
    assert!(line("protocol ").contains("\"http/protobuf\"") && line("gzip ").contains("false"), "{text}");
    assert!(!line("proxy ").contains("OTEL"), "{text}");
    assert!(line("tls.ca_file ").ends_with("$OTEL_EXPORTER_OTLP_CERTIFICATE)"), "{text}");
    let json = site.run(&["inspect", "--json", file]).with_code(0).json();
    let variables = &json[0]["metadata"]["config_schema"]["properties"]["gzip"]["x-env"];
    assert_eq!(variables[1], "OTEL_EXPORTER_OTLP_COMPRESSION", "{json:#}");
    // The list in the schema and what the plugin reads are the same.
    let schema = json[0]["metadata"]["config_schema"].to_string();
    let source =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/otlp/src/environment.rs"))
            .expect("readable");
    for end in source.split("exporter(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schema.contains(&format!("OTEL_EXPORTER_OTLP_{end}")), "{end}");
    }
}
