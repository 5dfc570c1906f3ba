//! The backend `http`: the forms of its bodies, and the ways that its requests take: a proxy, or a UNIX socket.

use std::{process::Command, time::Duration};

use jackfield_loader::{Backend, plugin_api::Outcome};
use jackfield_test_support::rerun;
use jackfield_tests::{
    peers::{
        http::{HttpServer, Reply},
        http_proxy::HttpProxy,
        pki::{Pki, ServerCertificate},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::{
    common::{load, options},
    http_faults::{self, events, strings},
    vendor::id,
};

const TIMEOUT: Duration = Duration::from_secs(10);

fn refusable(config: &Value) -> Result<Backend, String> {
    Backend::open(&load(&plugin("http")), &options(config)).map_err(|error| error.to_string())
}

fn assert_delivered(config: &Value, count: usize) {
    let backend = refusable(config).unwrap_or_else(|error| panic!("{error}"));
    http_faults::assert_delivered(&backend.send_within(&events(count), TIMEOUT));
    backend.close(TIMEOUT).expect("closes");
}

#[test]
fn ndjson_is_a_line_for_each_event() {
    let server = HttpServer::start(Reply::status(200));
    let config = json!({"url": server.url("/"), "format": "ndjson", "limits": {"max_events": 3}});
    assert_delivered(&config, 5);
    let received = server.received();
    let lines: Vec<Vec<Value>> = received
        .iter()
        .map(|request| {
            assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
            assert!(request.body.ends_with(b"}\n"));
            let text = String::from_utf8_lossy(&request.body);
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        })
        .collect();
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
    let ids = strings(&lines.concat().into(), "/id");
    assert_eq!(ids, (0..5).map(id).collect::<Vec<_>>());
}

#[test]
fn single_is_a_request_for_each_event() {
    let server = HttpServer::start(Reply::status(200));
    assert_delivered(&json!({"url": server.url("/"), "format": "single", "gzip": true}), 3);
    let received = server.received();
    let ids: Vec<_> = received.iter().map(|request| request.json()["id"].clone()).collect();
    assert_eq!(ids, (0..3).map(|at| json!(id(at))).collect::<Vec<_>>());
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    // One that is refused for its content leaves the others alone.
    let server = HttpServer::script([Reply::status(200), Reply::status(400)], Reply::status(200));
    let backend = refusable(&json!({"url": server.url("/"), "format": "single"})).expect("opens");
    let report = backend.send_within(&events(3), TIMEOUT);
    assert_eq!((report.outcome(0), report.outcome(2)), (&Outcome::Delivered, &Outcome::Delivered));
    assert!(matches!(report.outcome(1), Outcome::Rejected { .. }), "{:?}", report.outcome(1));
    assert_eq!(server.served(), 3);
}

#[cfg(unix)]
#[test]
fn requests_go_to_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("events.sock");
    let config = json!({"url": "http://localhost/in?a=b", "unix_socket": socket, "bearer_token": "t-1"});
    let nobody = refusable(&config).expect("opens").send_within(&events(1), TIMEOUT);
    let expected = format!("localhost by the socket {}: ", socket.display());
    assert!(nobody.outcome(0).reason().starts_with(&expected), "{:?}", nobody.outcome(0));
    let server = HttpServer::unix(&socket, Reply::status(200));
    assert_delivered(&config, 600);
    assert_delivered(&config, 1);
    let received = server.received();
    assert_eq!(received[0].path, "/in?a=b");
    assert_eq!(received[0].header("host"), Some("localhost"));
    assert_eq!(received[0].header("authorization"), Some("Bearer t-1"));
    assert_eq!(strings(&received[0].json(), "/id").len(), 600);
    for (config, expected) in [
        (
            json!({"url": "http://localhost/", "unix_socket": "events.sock"}),
            "`unix_socket`: expected an absolute path",
        ),
        (
            json!({"url": "http://localhost/", "unix_socket": socket, "proxy": "none"}),
            "`proxy`: is set together with",
        ),
    ] {
        let refusal = refusable(&config).expect_err("it makes no sense");
        assert!(refusal.contains(expected), "{refusal}");
    }
}

/// A process that sends three events with these options and variables, and says what became of them.
fn child(config: &Value, environment: &[(&str, &str)]) -> String {
    let mut command: Command = rerun("http::child_that_sends");
    command.env("JACKFIELD_TEST_CONFIG", config.to_string());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    let output = command.envs(environment.iter().copied()).output().expect("runs");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.success() { said } else { format!("it fails: {said}") }
}

#[test]
fn a_backend_has_a_proxy_of_its_own() {
    let server = HttpServer::start(Reply::status(200));
    let proxy = HttpProxy::before(server.address());
    // The proxy of the option is used for this machine, too, and for a host in NO_PROXY.
    let config = json!({"url": "http://localhost:1/in", "proxy": proxy.url("me:p%40ss%23@")});
    let said = child(&config, &[("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]);
    assert!(said.contains("outcome: Delivered"), "{said}");
    assert_eq!(server.received()[0].path, "/in");
    let seen = proxy.seen();
    assert!(seen[0].starts_with("POST http://localhost:1/in HTTP/1.1\r\n"), "{seen:?}");
    // `me:p@ss#` in base64.
    assert!(
        seen[0]
            .to_ascii_lowercase()
            .contains(&"proxy-authorization: Basic bWU6cEBzcyM=".to_ascii_lowercase()),
        "{seen:?}"
    );
    // And `none` goes directly, whatever the environment says.
    let config = json!({"url": server.url("/direct"), "proxy": "none"});
    let said = child(&config, &[("HTTP_PROXY", "http://127.0.0.1:1")]);
    assert!(said.contains("outcome: Delivered"), "{said}");
    assert_eq!(server.received()[1].path, "/direct");
    assert_eq!(proxy.seen().len(), 1);
}

#[test]
fn a_tunnel_of_the_environments_proxy_carries_tls() {
    let pki = Pki::new();
    let server = HttpServer::tls(&pki, ServerCertificate::OtherName, false, Reply::status(200));
    let proxy = HttpProxy::before(server.address());
    let config = json!({"url": "https://other.example/in", "tls": {"ca_file": pki.ca_file()}});
    let said = child(&config, &[("https_proxy", &proxy.url("me:pw@"))]);
    assert!(said.contains("outcome: Delivered"), "{said}");
    assert!(proxy.seen()[0].starts_with("CONNECT other.example:443 HTTP/1.1\r\n"), "{:?}", proxy.seen());
    assert_eq!(server.received()[0].path, "/in");
}

#[test]
fn hosts_of_no_proxy_get_requests_directly() {
    let server = HttpServer::start(Reply::status(200));
    let proxy = HttpProxy::before(server.address());
    let url = proxy.url("");
    let send = |no_proxy: &str| {
        child(&json!({"url": "http://a.test.invalid/"}), &[("HTTP_PROXY", &url), ("NO_PROXY", no_proxy)])
    };
    for (no_proxy, goes_directly) in [
        ("", false),
        ("b.test.invalid, *.other.invalid", false),
        ("a.test.invalid:81", false),
        ("*", true),
        ("x *.test.invalid", true),
        ("A.test.invalid:80", true),
    ] {
        let before = proxy.seen().len();
        let said = send(no_proxy);
        assert_eq!(proxy.seen().len() == before, goes_directly, "{no_proxy:?}: {said}");
        assert_eq!(said.contains("outcome: Delivered"), !goes_directly, "{no_proxy:?}: {said}");
    }
    // As in Go, this machine is reached directly without an entry.
    let said = child(&json!({"url": server.url("/")}), &[("HTTP_PROXY", "http://127.0.0.1:1")]);
    assert!(said.contains("outcome: Delivered"), "{said}");
}

#[test]
fn a_proxy_with_a_raw_character_in_its_password_is_refused_without_any_of_it() {
    let config = json!({"url": "http://behind.invalid/in"});
    for value in ["http://me:hun#ter2@proxy.invalid:3128", "http://me:hun@ter2@proxy.invalid:3128"] {
        let said = child(&config, &[("http_proxy", value)]);
        assert!(said.starts_with("it fails: "), "{said}");
        assert!(said.contains("the environment variable http_proxy has one of the characters"), "{said}");
        for part in ["hun", "ter2", "proxy.invalid", "3128"] {
            assert!(!said.contains(part), "{said}");
        }
        let option = refusable(&json!({"url": "http://behind.invalid/in", "proxy": value})).expect_err("raw");
        assert!(option.contains("`proxy`: has one of the characters") && !option.contains("hun"), "{option}");
        assert!(
            child(&config, &[("http_proxy", value), ("no_proxy", "behind.invalid")])
                .contains("outcome: Retry")
        );
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_refused_and_nothing_goes_directly() {
    let server = HttpServer::start(Reply::status(200));
    // A name of this machine that needs an entry in NO_PROXY, unlike 127.0.0.1.
    let url = server.url("/in").replace("127.0.0.1", "0.0.0.0");
    let config = json!({ "url": url });
    for (value, expected) in [
        ("http://me:s3cret@127.0.0.1:99999", "does not name a proxy; expected an address"),
        ("htp://x", "does not name a proxy; expected an address"),
        ("http://", "does not name a proxy; expected an address"),
        ("socks5://me:s3cret@h:1", "names a SOCKS proxy; this build speaks http and https proxies"),
    ] {
        for variable in ["HTTP_PROXY", "all_proxy"] {
            let said = child(&config, &[(variable, value)]);
            let expected =
                format!("`proxy`: is left out, and the environment variable {variable} {expected}");
            assert!(said.starts_with("it fails: ") && said.contains(&expected), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        let option = refusable(&json!({"url": url, "proxy": value})).expect_err("it names no proxy");
        assert!(option.contains(&format!("`proxy`: {expected}")) && !option.contains("s3cret"), "{option}");
    }
    assert_eq!(server.served(), 0, "nothing went around the proxy");
    for environment in [&[("HTTP_PROXY", "htp://x"), ("NO_PROXY", "0.0.0.0")][..], &[("HTTP_PROXY", "")]] {
        let said = child(&config, environment);
        assert!(said.contains("outcome: Delivered"), "{said}");
    }
    assert_eq!(server.served(), 2);
}
