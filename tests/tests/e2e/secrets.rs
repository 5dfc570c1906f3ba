//! Secrets in the wrong place: a configuration that is refused is told by key and type, and not by what stands there.

use jackfield_loader::Backend;
use jackfield_tests::{peers::pki::Pki, plugin};
use serde_json::{Value, json};

use crate::common::{load, options};

const SECRET: &str = "hunter2";
/// A secret of digits, which TOML takes for a number.
const NUMBER: u64 = 5_309_530_953_095;

/// What a plugin needs to open, and options that it can't open with.
fn subjects() -> Vec<(&'static str, Value, Vec<Value>)> {
    let http = json!({"url": "http://127.0.0.1:1/"});
    let otlp = json!({"endpoint": "http://127.0.0.1:1/"});
    let datadog = json!({"api_key": "k"});
    let posthog = json!({"api_key": "k", "region": "eu"});
    let rabbitmq = json!({"url": "amqp://guest:guest@127.0.0.1:1", "queue": "q"});
    let amqps = json!({"url": "amqps://guest:guest@127.0.0.1:1", "queue": "q"});
    let url = format!("amqp://u:{SECRET}@h");
    let header = json!({format!("Authorization: Bearer {SECRET}"): "x"});
    vec![
        (
            "http",
            http,
            vec![
                json!({"url": NUMBER}),
                json!({"url": [SECRET]}),
                json!({"url": SECRET}),
                json!({"basic": format!("user:{SECRET}")}),
                json!({"basic": {"username": "u", "password": NUMBER}}),
                json!({"headers": format!("X-Api-Key: {SECRET}")}),
                json!({"headers": [format!("X-Api-Key: {SECRET}")]}),
                json!({"headers": {"X-Api-Key": NUMBER}}),
                json!({"headers": {"X-Api-Key": [SECRET]}}),
                json!({"headers": header}),
                json!({"bearer_token": NUMBER}),
                json!({"bearer_token": {"token": SECRET}}),
                json!({"method": SECRET}),
                json!({"gzip": SECRET}),
                json!({"tls": SECRET}),
                json!({"limits": SECRET}),
                json!({"limits": {"max_events": SECRET}}),
                json!({format!("bearer_token: {SECRET}"): 1}),
            ],
        ),
        (
            "otlp",
            otlp,
            vec![
                json!({"endpoint": NUMBER}),
                json!({"headers": format!("Authorization: Bearer {SECRET}")}),
                json!({"headers": header}),
                json!({"headers": {"x-key": NUMBER}}),
                json!({"protocol": SECRET}),
                json!({"gzip": SECRET}),
                json!({"tls": SECRET}),
                json!({"resource": SECRET}),
                json!({"resource": {"a": NUMBER}}),
            ],
        ),
        (
            "datadog",
            datadog,
            vec![
                json!({"api_key": NUMBER}),
                json!({"api_key": [SECRET]}),
                json!({"site": format!("{SECRET}.com")}),
                json!({"site": NUMBER}),
                json!({"tags": SECRET}),
                json!({"old_events": SECRET}),
                json!({"gzip": SECRET}),
                json!({"tls": SECRET}),
            ],
        ),
        (
            "posthog",
            posthog,
            vec![
                json!({"api_key": NUMBER}),
                json!({"region": format!("phc_{SECRET}")}),
                json!({"region": null, "host": format!("phc_{SECRET}")}),
                json!({"gzip": SECRET}),
                json!({"tls": SECRET}),
                json!({"historical_migration": SECRET}),
            ],
        ),
        (
            "rabbitmq",
            rabbitmq,
            vec![
                json!({"url": null, "urls": url}),
                json!({"url": null, "urls": {"a": url}}),
                json!({"url": [url]}),
                json!({"url": NUMBER}),
                json!({"window": SECRET}),
                json!({"window": NUMBER}),
                json!({"confirm_timeout": SECRET}),
                json!({"heartbeat": NUMBER}),
                json!({"declare": SECRET}),
                json!({"declare": {"queue": SECRET}}),
                json!({"declare": {"exchange": SECRET}}),
                json!({"tls": SECRET}),
                json!({"app_id": NUMBER}),
                json!({url.as_str(): 1}),
            ],
        ),
        ("rabbitmq", amqps, vec![json!({"tls": {"ca_file": NUMBER}}), json!({"tls": [SECRET]})]),
        (
            "stdout",
            json!({}),
            vec![json!({"format": SECRET}), json!({"format": NUMBER}), json!({"tls": SECRET})],
        ),
        ("file", json!({"path": "x"}), vec![json!({"path": NUMBER}), json!({"rotate_bytes": SECRET})]),
    ]
}

fn refusal(name: &str, config: &Value) -> String {
    let Err(error) = Backend::open(&load(&plugin(name)), &options(config)) else {
        panic!("{name} opens with {config}");
    };
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    format!("{line}\n{error:?}")
}

#[test]
fn no_plugin_repeats_a_misplaced_value() {
    for (name, needed, wrong) in subjects() {
        for options in wrong {
            let mut config = needed.clone();
            for (key, value) in options.as_object().expect("an object") {
                config[key] = value.clone();
            }
            let said = refusal(name, &config);
            assert!(
                !said.contains(SECRET) && !said.contains(&NUMBER.to_string()),
                "{name} {options}: {said}"
            );
        }
    }
}

#[test]
fn no_plugin_repeats_a_private_key_whose_lines_were_joined() {
    let pki = Pki::new();
    let key = std::fs::read_to_string(pki.key_file()).expect("a key");
    let joined = pki.folder().join("joined.key");
    std::fs::write(&joined, key.replace('\n', "")).expect("writable");
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes: Vec<String> = body.bytes().skip(12).take(4).map(|byte| byte.to_string()).collect();
    let tls = json!({"cert_file": pki.cert_file(), "key_file": joined});
    for (name, config) in [
        ("http", json!({"url": "https://127.0.0.1:1/", "tls": tls})),
        ("otlp", json!({"endpoint": "https://127.0.0.1:1/", "tls": tls})),
        ("datadog", json!({"api_key": "k", "tls": tls})),
        ("posthog", json!({"api_key": "k", "region": "eu", "tls": tls})),
        ("rabbitmq", json!({"url": "amqps://guest:guest@127.0.0.1:1", "queue": "q", "tls": tls})),
    ] {
        let said = refusal(name, &config);
        assert!(said.contains("`tls.key_file`: ") && said.contains("is damaged"), "{said}");
        assert!(!said.contains(&body[12..20]) && !said.contains(&bytes.join(", ")), "{said}");
    }
}
