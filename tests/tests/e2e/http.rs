//! The backend `http`: what its options do, and what it never says.

use std::{collections::BTreeSet, time::Duration};

use jackfield_loader::{
    Backend,
    plugin_api::{Deletion, Outcome, Probe},
};
use jackfield_test_support::{rerun, wait_until};
use jackfield_tests::{
    peers::{
        http::{HttpServer, REFUSED, Reply},
        pki::{Pki, ServerCertificate},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::{
    common::{load, options},
    http_faults::{self, events, strings},
    logs,
    vendor::id,
};

const TIMEOUT: Duration = Duration::from_secs(10);

fn open(config: &Value) -> Backend {
    refusable(config).unwrap_or_else(|error| panic!("{error}"))
}

fn refusable(config: &Value) -> Result<Backend, String> {
    Backend::open(&load(&plugin("http")), &options(config)).map_err(|error| error.to_string())
}

fn assert_delivered(backend: &Backend, count: usize) {
    http_faults::assert_delivered(&backend.send_within(&events(count), TIMEOUT));
}

#[test]
fn the_body_is_the_array_of_unchanged_events() {
    let server = HttpServer::start(Reply::status(204));
    let backend = open(&json!({"url": server.url("/in?source=tool")}));
    let batch = events(3);
    assert_eq!(backend.send(&batch).uniform(), Some(&Outcome::Delivered));
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/in?source=tool"));
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    let sent: Vec<&str> = batch.view().iter().map(|event| event.json()).collect();
    assert_eq!(String::from_utf8_lossy(&received[0].body), format!("[{}]", sent.join(",")));
}

#[test]
fn method_headers_and_credentials_are_by_option() {
    let server = HttpServer::start(Reply::status(200));
    let url = server.url("/");
    let headers = json!({"X-Team": "blue", "X-Api-Key": "k", "Content-Type": "application/vnd.events+json"});
    assert_delivered(
        &open(&json!({"url": url, "method": "PUT", "headers": headers, "bearer_token": "t-1"})),
        1,
    );
    assert_delivered(&open(&json!({"url": url, "basic": {"username": "me", "password": "pässword"}})), 1);
    let received = server.received();
    assert_eq!(received[0].method, "PUT");
    assert_eq!(received[0].header("x-team"), Some("blue"));
    assert_eq!(received[0].header("x-api-key"), Some("k"));
    assert_eq!(received[0].header("content-type"), Some("application/vnd.events+json"));
    assert_eq!(received[0].header("authorization"), Some("Bearer t-1"));
    assert_eq!(received[1].header("authorization"), Some("Basic bWU6cMOkc3N3b3Jk"));
}

#[test]
fn gzip_makes_the_body_smaller_and_says_so() {
    let server = HttpServer::start(Reply::status(200));
    assert_delivered(&open(&json!({"url": server.url("/"), "gzip": true})), 200);
    let received = server.received();
    assert_eq!(received[0].header("content-encoding"), Some("gzip"));
    assert!(received[0].wire_bytes * 4 < received[0].body.len(), "{} bytes", received[0].wire_bytes);
    assert_eq!(strings(&received[0].json(), "/id"), (0..200).map(id).collect::<Vec<_>>());
}

#[test]
fn batches_are_divided_by_events_and_bytes() {
    let server = HttpServer::start(Reply::status(200));
    let limits = |limits: Value| open(&json!({"url": server.url("/"), "limits": limits}));
    assert_delivered(&limits(json!({"max_events": 30})), 100);
    let sizes: Vec<usize> =
        server.received().iter().map(|received| strings(&received.json(), "/id").len()).collect();
    assert_eq!(sizes, [30, 30, 30, 10]);

    let server = HttpServer::start(Reply::status(200));
    let limits = |limits: Value| open(&json!({"url": server.url("/"), "limits": limits}));
    assert_delivered(&limits(json!({"max_body_bytes": 1000})), 20);
    assert!(server.received().iter().all(|received| received.body.len() <= 1000));
    let ids: Vec<String> =
        server.received().iter().flat_map(|received| strings(&received.json(), "/id")).collect();
    assert_eq!(ids, (0..20).map(id).collect::<Vec<_>>());

    let report = limits(json!({"max_body_bytes": 100})).send(&events(2));
    let Outcome::Rejected { reason } = report.outcome(1) else { panic!("{report:?}") };
    assert!(reason.contains("bytes as sent; the limit is 98"), "{reason}");
}

#[test]
fn a_retry_ends_the_batch_and_leaves_the_rest_unsent() {
    let server = HttpServer::script(
        [Reply::status(200), Reply::status(503).header("Retry-After", "3")],
        Reply::status(200),
    );
    let backend = open(&json!({"url": server.url("/"), "limits": {"max_events": 10}}));
    let report = backend.send(&events(50));
    for n in 0..50 {
        match report.outcome(n) {
            Outcome::Delivered => assert!(n < 10, "{n}"),
            Outcome::Retry { after, .. } => {
                assert!(n >= 10, "{n}");
                assert_eq!(*after, Some(Duration::from_secs(3)));
            }
            other => panic!("event {n}: {other:?}"),
        }
    }
    assert_eq!(server.served(), 2);
}

#[test]
fn a_rejected_part_does_not_stop_the_others() {
    let server = HttpServer::start(Reply::with(|received| {
        let wrong = strings(&received.json(), "/id").into_iter().any(|event| event < id(10));
        Reply::status(if wrong { 400 } else { 200 })
    }));
    let backend = open(&json!({"url": server.url("/"), "limits": {"max_events": 10}}));
    let report = backend.send(&events(30));
    let rejected: Vec<usize> =
        (0..30).filter(|n| matches!(report.outcome(*n), Outcome::Rejected { .. })).collect();
    assert_eq!(rejected, (0..10).collect::<Vec<_>>());
    assert_eq!(report.outcomes().filter(|outcome| **outcome == Outcome::Delivered).count(), 20);
}

#[test]
fn a_server_gets_the_client_certificate_it_requires() {
    let pki = Pki::new();
    let server = HttpServer::tls(&pki, ServerCertificate::Good, true, Reply::status(200));
    let ca_file = pki.ca_file();
    let tls = json!({"ca_file": ca_file, "cert_file": pki.cert_file(), "key_file": pki.key_file()});
    assert_delivered(&open(&json!({"url": server.url("/"), "tls": tls})), 3);
    let report = open(&json!({"url": server.url("/"), "tls": {"ca_file": ca_file}})).send(&events(1));
    let Outcome::Retry { reason, .. } = report.outcome(0) else { panic!("{report:?}") };
    assert!(reason.contains("wants a client certificate") || reason.contains("closed before"), "{reason}");
}

#[test]
fn certificates_that_can_not_be_used_are_refused_by_key() {
    let (pki, other) = (Pki::new(), Pki::new());
    let garbage = pki.folder().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n")
        .expect("written");
    for (tls, key, why) in [
        (json!({"ca_file": "/no/such/file"}), "tls.ca_file", "No such file"),
        (json!({"ca_file": garbage}), "tls.ca_file", "garbage.pem"),
        (json!({"ca_file": pki.key_file()}), "tls.ca_file", "no certificate in PEM form"),
        (json!({"cert_file": pki.cert_file()}), "tls.key_file", "missing"),
        (json!({"key_file": pki.key_file()}), "tls.cert_file", "missing"),
        (
            json!({"cert_file": pki.cert_file(), "key_file": other.key_file()}),
            "tls.key_file",
            "not the key of tls.cert_file",
        ),
        (
            json!({"cert_file": pki.cert_file(), "key_file": pki.cert_file()}),
            "tls.key_file",
            "no private key in PEM form",
        ),
        (json!({"ca_fil": "x"}), "tls.ca_fil", "unknown key"),
    ] {
        let error = refusable(&json!({"url": REFUSED, "tls": tls})).expect_err("it is refused");
        assert!(error.contains(key) && error.contains(why), "{tls}: {error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_deletion_request_goes_to_its_url_with_credentials() {
    let server = HttpServer::script([Reply::status(202)], Reply::status(500).body("not today"));
    let config = json!({"url": REFUSED, "deletion_url": server.url("/forget"), "bearer_token": "t-1"});
    let backend = open(&config);
    let ask = |backend: &Backend| backend.request_deletion("machine-\"1\"", &events(1), TIMEOUT);
    let Deletion::Sent(text) = ask(&backend) else { panic!("not sent") };
    assert!(text.contains("127.0.0.1"), "{text}");
    let received = server.received();
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/forget"));
    assert_eq!(received[0].json(), json!({"machine_id": "machine-\"1\""}));
    assert_eq!(received[0].header("authorization"), Some("Bearer t-1"));

    let Deletion::Failed(text) = ask(&backend) else { panic!("sent") };
    assert!(text.ends_with("answers 500 Internal Server Error: not today"), "{text}");
    let Deletion::Unsupported(text) = ask(&open(&json!({"url": REFUSED}))) else { panic!("sent") };
    assert!(text.contains("deletion_url"), "{text}");
}

#[test]
fn repeated_credentials_are_in_no_reason_error_or_log() {
    logs::collect();
    const SECRETS: [&str; 4] = ["s3cret-token", "s3cret-password", "s3cret-key", "s3cret-query"];
    let echo = Reply::with(|received| {
        let said: Vec<String> =
            received.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Reply::status(if received.path.contains("busy") { 503 } else { 403 })
            .header("Location", &format!("http://elsewhere.example/?{}", said.len()))
            .body(format!("{} {}", received.path, said.join(" ")))
    });
    let server = HttpServer::start(echo);
    let redirecting = HttpServer::start(Reply::redirect(307, "http://s3cret-token.example/"));
    let mut said = String::new();
    for url in [
        server.url("/?key=s3cret-query"),
        server.url("/busy?key=s3cret-query"),
        redirecting.url("/?key=s3cret-query"),
        format!("{REFUSED}?key=s3cret-query"),
        "http://nobody.invalid/?key=s3cret-query".to_owned(),
        server.url("/?key=s3cret-query").replace("http:", "https:"),
    ] {
        for auth in [
            json!({"bearer_token": "s3cret-token"}),
            json!({"basic": {"username": "me", "password": "s3cret-password"}}),
        ] {
            let mut config = json!({"url": url, "headers": {"X-Api-Key": "s3cret-key"}, "deletion_url": url});
            for (key, value) in auth.as_object().expect("an object") {
                config[key] = value.clone();
            }
            config["headers"]["X-Token"] = json!("s3cret-token");
            let backend = open(&config);
            let report = backend.send_within(&events(2), TIMEOUT);
            assert!(!matches!(report.outcome(0), Outcome::Delivered));
            said.push_str(&format!("{report:?} {backend:?}\n"));
            said.push_str(&format!("{:?}\n", backend.request_deletion("m", &events(1), TIMEOUT)));
        }
    }
    for config in [
        json!({"url": "http://me:s3cret-password@h/"}),
        json!({"url": "http://h/#s3cret-key"}),
        json!({"url": REFUSED, "bearer_token": "s3cret-token\n"}),
        json!({"url": REFUSED, "headers": {"X-Key": "s3cret-key\u{0}"}}),
        json!({"url": REFUSED, "bearer_token": ["s3cret-token"]}),
        json!({"url": REFUSED, "basic": {"username": "a:b", "password": "s3cret-password"}}),
    ] {
        said.push_str(&refusable(&config).expect_err("it is refused"));
        said.push('\n');
    }
    for record in logs::seen("") {
        said.push_str(&format!("{record:?}\n"));
    }
    assert!(said.contains("***"), "the server's words are there, without the credentials: {said}");
    for secret in SECRETS.into_iter().chain(["bWU6czNjcmV0"]) {
        for line in said.lines() {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn a_password_that_is_a_word_does_not_show_by_its_gap() {
    let server = HttpServer::start(Reply::with(|received| {
        let body = match received.path.split('?').next() {
            Some("/other") => "no such tenant",
            _ => "invalid token (error: hunter)",
        };
        Reply::status(401).body(body)
    }));
    let host = server.url("").replace("http://", "");
    for word in ["invalid", "error", "Token", "hunter"] {
        for config in [
            json!({"bearer_token": word}),
            json!({"basic": {"username": "me", "password": word}}),
            json!({"headers": {"X-Api-Key": word}}),
            json!({"headers": {"Authorization": format!("Splunk {word}")}}),
            json!({"query": format!("api_key={word}")}),
        ] {
            let at = |path: &str| {
                let mut config = config.clone();
                let query = config.as_object_mut().expect("an object").remove("query");
                let query = query.as_ref().and_then(Value::as_str).unwrap_or_default();
                config["url"] = json!(server.url(&format!("{path}?{query}")));
                open(&config)
            };
            let reason = |backend: &Backend| match backend.send_within(&events(2), TIMEOUT).outcome(0) {
                Outcome::Retry { reason, .. } => reason.to_string(),
                outcome => panic!("{outcome:?}"),
            };
            let (repeating, other) = (at("/in"), at("/other"));
            let hidden =
                format!("{host} answers 401 Unauthorized: (not shown, because it repeats a credential)");
            assert_eq!(reason(&repeating), hidden, "{config}");
            assert_eq!(
                reason(&other),
                format!("{host} answers 401 Unauthorized: no such tenant"),
                "{config}"
            );
            let Probe::Refused(found) = repeating.probe(TIMEOUT) else { panic!("{config}") };
            let advice = "the credentials are wrong or may not send events";
            assert!(found.starts_with(&hidden) && found.ends_with(advice), "{found}");
        }
    }
}

#[test]
fn encoded_or_cut_credentials_are_in_no_reason() {
    const TOKEN: &str = r#"t0ken-with-"quote"-and/slash"#;
    let said = |reply: Reply, path: &str| {
        let server = HttpServer::start(reply);
        let backend = open(&json!({
            "url": server.url(path), "bearer_token": TOKEN,
            "headers": {"x-pass": "pass-0f-the-header", "x-session": "session-0f-the-header"},
        }));
        format!("{:?}", backend.send_within(&events(1), TIMEOUT).outcome(0))
    };
    let echo = Reply::with(|received| {
        let headers: Vec<&str> = received.headers.iter().map(|(_, value)| value.as_str()).collect();
        Reply::status(403).body(json!({"path": received.path, "headers": headers}).to_string())
    });
    let reason = said(echo, "/in?key=p%40ssw0rd%2Bxyz");
    assert!(reason.contains("/in?key=***"), "{reason}");
    for part in ["ssw0rd", "t0ken", "slash", "pass-0f", "session-0f"] {
        assert!(!reason.contains(part), "{reason}");
    }
    for length in 4..TOKEN.len() {
        for reply in [
            Reply::status(403).body(format!("no key {}", &TOKEN[..length])),
            Reply::status(403).body(format!("no key {}", &TOKEN[..length])).length(1000).cut(),
        ] {
            let reason = said(reply, "/");
            assert!(!reason.contains("t0ken"), "{length}: {reason}");
        }
    }
}

#[test]
fn credentials_without_encryption_cause_a_warning() {
    logs::collect();
    let warning = "credentials for exposed.invalid go over the network without encryption";
    drop(open(&json!({"url": "http://exposed.invalid/"})));
    drop(open(&json!({"url": "https://exposed.invalid/", "bearer_token": "x"})));
    assert!(logs::seen(warning).is_empty());
    drop(open(&json!({"url": "http://exposed.invalid/", "bearer_token": "x"})));
    assert_eq!(logs::seen(warning).len(), 1);
}

/// Sends three events as the environment variable says, and prints what became of them.
#[test]
#[ignore = "run by proxies_come_from_the_environment"]
fn child_that_sends() {
    let config = std::env::var("JACKFIELD_TEST_CONFIG").expect("set by the parent");
    logs::collect();
    let backend = open(&serde_json::from_str(&config).expect("JSON"));
    for record in logs::seen("proxy") {
        println!("{}", record.message);
    }
    println!("outcome: {:?}", backend.send_within(&events(3), TIMEOUT).outcome(0));
}

#[test]
fn proxies_come_from_the_environment() {
    let child = |config: &Value, environment: &[(&str, String)]| {
        let mut command = rerun("http::child_that_sends");
        command.env("JACKFIELD_TEST_CONFIG", config.to_string());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        let output = command.envs(environment.iter().cloned()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let proxy = HttpServer::start(Reply::status(200));
    let authority = proxy.url("").replace("http://", "http://me:s3cret@");
    let config = json!({"url": "http://behind.invalid/in", "bearer_token": "t-1"});
    let said = child(&config, &[("http_proxy", authority.clone())]);
    assert!(said.contains("outcome: Delivered"), "{said}");
    let received = proxy.received();
    assert_eq!(received[0].path, "http://behind.invalid/in");
    assert_eq!(received[0].header("proxy-authorization"), Some("Basic bWU6czNjcmV0"));
    assert_eq!(strings(&received[0].json(), "/id").len(), 3);

    let said =
        child(&config, &[("http_proxy", authority.clone()), ("no_proxy", "behind.invalid".to_owned())]);
    assert!(said.contains("Retry") && !said.contains("s3cret"), "{said}");
    assert_eq!(proxy.served(), 1);

    let refusing = HttpServer::start(Reply::status(407).body("me may not use s3cret, Basic bWU6czNjcmV0"));
    let authority = refusing.url("").replace("http://", "http://me:s3cret@");
    let said = child(&config, &[("http_proxy", authority.clone())]);
    assert!(said.contains("Retry") && said.contains("407") && !said.contains("s3cret"), "{said}");
    assert!(said.contains("(not shown, because it repeats a credential)"), "{said}");
    let https = json!({"url": "https://behind.invalid/in"});
    let said = child(&https, &[("https_proxy", authority)]);
    assert!(said.contains("Retry") && !said.contains("s3cret"), "{said}");
    assert_eq!(refusing.received()[1].method, "CONNECT");

    for (scheme, variable) in [("http", "http_proxy"), ("https", "https_proxy")] {
        let config = json!({"url": format!("{scheme}://behind.invalid/in")});
        let said = child(&config, &[(variable, "http://me:s3cret@127.0.0.1:1".to_owned())]);
        assert!(said.contains("behind.invalid by the proxy 127.0.0.1:1: connection refused"), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_thread_is_left_after_close() {
    let resolvers = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("readable");
        let names: BTreeSet<_> = tasks
            .filter_map(Result::ok)
            .filter(|task| {
                std::fs::read_to_string(task.path().join("comm"))
                    .is_ok_and(|name| name.trim() == "jackfield-dns")
            })
            .map(|task| task.file_name())
            .collect();
        names
    };
    let before = resolvers();
    let server = HttpServer::start(Reply::status(200));
    let backend = open(&json!({"url": server.url("/").replace("127.0.0.1", "localhost")}));
    assert_delivered(&backend, 1);
    let during: BTreeSet<_> = resolvers().difference(&before).cloned().collect();
    backend.close(TIMEOUT).expect("closes");
    wait_until("the resolver's threads are gone", || resolvers().is_disjoint(&during));
}
