//! The connection of the plugin `rabbitmq`: who is let in, who is told what, and how long silence is borne.

use std::time::{Duration, Instant};

use jackfield_tests::{
    peers::{
        proxy::{Proxy, one_that_says},
        rabbitmq::{broker, own_broker},
    },
    plugin,
};
use serde_json::{Value, json};

use crate::{
    common::MS,
    rabbitmq::{LONG, assert_all_delivered, events, open, retry_reason, unique},
    site,
};

const SECOND: Duration = Duration::from_secs(1);

/// The reason of a retry from a broker that is given a few seconds.
fn refused(config: &Value) -> String {
    retry_reason(&open(config).send_within(&events("a", 3), 10 * SECOND))
}

#[test]
fn a_broker_that_checks_its_clients_is_shown_the_certificate() {
    let own = own_broker();
    let (cert_file, key_file) = own.client_files();
    let queue = unique("mutual");
    let config = |tls: Value| json!({"url": own.tls_url(), "queue": queue, "declare": {"queue": "classic"}, "tls": tls});
    let ca_file = own.ca_file();
    let shown = json!({"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file});
    let backend = open(&config(shown));
    assert_all_delivered(&backend.send(&events("a", 600)));
    backend.close(LONG).expect("closes");
    let reason = refused(&config(json!({"ca_file": ca_file})));
    assert!(reason.contains("client certificate") && reason.contains("tls.cert_file"), "{reason}");
}

#[test]
fn a_certificate_is_a_login() {
    let own = own_broker();
    let (cert_file, key_file) = own.client_files();
    let tls = json!({"ca_file": own.ca_file(), "cert_file": cert_file, "key_file": key_file});
    let queue = unique("external");
    let url = format!("amqps://127.0.0.1:{}/%2f", own.tls_port());
    let config = json!({
        "url": url, "auth": "external", "tls": tls, "queue": queue, "declare": {"queue": "classic"},
        "connection_name": "shop events",
    });
    let reason = refused(&config);
    assert!(reason.starts_with("access refused for the user of the certificate on vhost `/`"), "{reason}");
    own.ctl(&["add_user", "client", "never-used"]);
    own.ctl(&["clear_password", "client"]);
    own.ctl(&["set_permissions", "client", ".*", ".*", ".*"]);
    let backend = open(&config);
    assert_all_delivered(&backend.send(&events("a", 3)));
    let listed = own.ctl(&["list_connections", "user", "auth_mechanism", "client_properties"]);
    let is_ours = |line: &str| {
        line.starts_with("client\tEXTERNAL\t") && line.contains(r#"{"connection_name","shop events"}"#)
    };
    assert!(listed.lines().any(is_ours), "{listed}");
    backend.close(LONG).expect("closes");
    own.ctl(&["delete_user", "client"]);
}

#[test]
fn a_broker_without_logins_by_certificate_is_told_in_words() {
    let own = own_broker();
    let (cert_file, key_file) = own.client_files();
    let broker = broker();
    let tls = json!({"ca_file": broker.ca_file(), "cert_file": cert_file, "key_file": key_file});
    let url = format!("amqps://127.0.0.1:{}/%2f", broker.tls_port());
    let reason = refused(&json!({"url": url, "auth": "external", "tls": tls, "queue": "q"}));
    assert!(reason.contains("rabbitmq_auth_mechanism_ssl"), "{reason}");
}

#[test]
fn the_name_of_a_connection_is_the_tools_unless_an_option_names_it() {
    let client = broker().client();
    let queue = unique("named");
    client.queue(&queue, &json!({}));
    for (name, expected) in [(Some("events of the shop"), "events of the shop"), (None, "e2e-tool 1.2.3")] {
        let backend = open(&json!({"url": broker().url(), "queue": queue, "connection_name": name}));
        assert_all_delivered(&backend.send(&events("a", 1)));
        let listed = broker().ctl(&["list_connections", "client_properties"]);
        assert!(listed.contains(&format!(r#"{{"connection_name","{expected}"}}"#)), "{listed}");
        backend.close(LONG).expect("closes");
    }
}

#[test]
fn the_wrong_port_is_reported_with_the_right_scheme() {
    let broker = broker();
    let config = |url: String| json!({"url": url, "queue": "q", "tls": {}});
    let reason = refused(&config(format!("amqps://user:not-checked-1@127.0.0.1:{}", broker.port())));
    assert!(reason.contains("the server does not speak TLS on this port"), "{reason}");
    let reason = refused(&config(format!("amqp://user:not-checked-1@127.0.0.1:{}", broker.tls_port())));
    assert!(reason.contains("TLS needs amqps://"), "{reason}");
}

#[test]
fn a_slash_at_the_end_of_the_url_is_explained() {
    let url = format!("amqp://guest:guest@127.0.0.1:{}/", broker().port());
    let reason = refused(&json!({"url": url, "queue": "q"}));
    assert!(
        reason.contains("on vhost ``") && reason.ends_with("is written %2f, or left out with its slash"),
        "{reason}"
    );
}

#[test]
fn what_is_no_broker_is_told_in_words() {
    let address = one_that_says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let reason = refused(&json!({"url": format!("amqp://u:p@{address}"), "queue": "q"}));
    assert!(reason.starts_with(&format!("the server at {address} does not speak AMQP")), "{reason}");
}

#[test]
fn the_wait_for_confirmations_ends_after_its_option() {
    let proxy = Proxy::to(broker().port());
    let client = broker().client();
    let queue = unique("silent");
    client.queue(&queue, &json!({}));
    let url = format!("amqp://guest:guest@{}/%2f", proxy.address());
    let backend = open(&json!({"url": url, "queue": queue, "confirm_timeout": "500ms", "heartbeat": "0s"}));
    assert_all_delivered(&backend.send(&events("a", 10)));
    proxy.fall_silent();
    let started = Instant::now();
    let reason = retry_reason(&backend.send_within(&events("b", 10), 60 * SECOND));
    assert!(reason.ends_with("did not confirm it in time"), "{reason}");
    let waited = started.elapsed();
    assert!(waited >= 500 * MS && waited < 30 * SECOND, "{waited:?}");
}

#[test]
fn heartbeats_notice_a_dead_connection_during_a_call() {
    let proxy = Proxy::to(broker().port());
    let client = broker().client();
    let queue = unique("dead");
    client.queue(&queue, &json!({}));
    let url = format!("amqp://guest:guest@{}/%2f", proxy.address());
    let backend = open(&json!({"url": url, "queue": queue, "heartbeat": "1s"}));
    assert_all_delivered(&backend.send(&events("a", 10)));
    proxy.fall_silent();
    let started = Instant::now();
    let reason = retry_reason(&backend.send_within(&events("b", 10), 60 * SECOND));
    assert!(reason.ends_with("no heartbeat"), "{reason}");
    assert!(started.elapsed() < 30 * SECOND, "{:?}", started.elapsed());
}

#[test]
fn the_interval_of_the_heartbeats_is_what_the_option_says() {
    let client = broker().client();
    let queue = unique("heartbeat");
    client.queue(&queue, &json!({}));
    for (option, expected) in [(Some("7s"), "7"), (None, "30")] {
        let user = unique("heartbeat");
        broker().ctl(&["add_user", &user, "pw-of-heartbeat"]);
        broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
        let url = format!("amqp://{user}:pw-of-heartbeat@127.0.0.1:{}/%2f", broker().port());
        let backend = open(&json!({"url": url, "queue": queue, "heartbeat": option}));
        assert_all_delivered(&backend.send(&events("a", 1)));
        let listed = broker().ctl(&["list_connections", "user", "timeout"]);
        let line =
            listed.lines().find_map(|line| line.strip_prefix(&user)).unwrap_or_else(|| panic!("{listed}"));
        assert_eq!(line.trim(), expected, "{listed}");
    }
}

#[test]
fn a_password_that_the_broker_repeats_is_struck_out() {
    const PASSWORD: &str = "s3cret-passw0rd-repeated";
    let user = unique("repeated");
    broker().ctl(&["add_user", &user, PASSWORD]);
    broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let url = format!("amqp://{user}:{PASSWORD}@127.0.0.1:{}/%2f", broker().port());
    let queue = format!("queue-{PASSWORD}");
    let reason = refused(&json!({"url": url, "queue": queue, "declare": {"queue": "passive"}}));
    assert!(reason.contains("no queue 'queue-***'") && !reason.contains(PASSWORD), "{reason}");
}

#[test]
fn the_password_is_in_no_log_however_much_is_logged() {
    const PASSWORD: &str = "s3cret-passw0rd-logged";
    let user = unique("logged");
    broker().ctl(&["add_user", &user, PASSWORD]);
    broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let client = broker().client();
    let queue = unique("logged");
    client.queue(&queue, &json!({}));
    for (password, code) in [(PASSWORD, 0), ("s3cret-passw0rd-wrong", 6)] {
        let url = format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", broker().port());
        let rest = format!("timeout = \"5s\"\nconfig = {{ url = {url:?}, queue = {queue:?} }}");
        let site = site::Site::new(&[site::backend("rabbit", &plugin("rabbitmq"), &rest)]);
        site.write("in.jsonl", site::events(0..3));
        let mut command = site.command(&["send", "--give-up-after", "1s", "in.jsonl"]);
        let ended = site::start(command.env("JACKFIELD_LOG", "trace")).end().with_code(code);
        assert!(
            ended.stderr.contains("\ntrace: ") || ended.stderr.contains("\ndebug: "),
            "it logs: {}",
            ended.stderr
        );
        // Nor as the bytes of a frame.
        let bytes: Vec<String> = b"s3cret-passw0rd".iter().map(u8::to_string).collect();
        for part in ["s3cret", &bytes.join(", ")] {
            assert!(!ended.stderr.contains(part), "{}", ended.stderr);
        }
    }
}
