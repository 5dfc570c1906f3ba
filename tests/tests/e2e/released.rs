//! What vendors have built against released contracts loads and works, whatever has happened to this side since.

use std::{convert::Infallible, fs};

use jackfield_loader::{
    Backend, Batch, EventFields, Failure, Format, Layout,
    plugin_api::{Deletion, Outcome, Probe},
};
use jackfield_tests::{Released, released};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::common::{MS, load, open, options};

/// The libraries that this machine can run.
fn runnable() -> Vec<Released> {
    let mut all: Vec<_> = released().into_iter().flat_map(|(_, files)| files).collect();
    all.retain(|it| {
        let inspection = jackfield_loader::inspect(&it.file).unwrap_or_else(|error| panic!("{error}"));
        inspection.verdict().is_ok()
    });
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        assert!(all.len() >= 3, "two in Rust and one in C for each contract: {all:?}");
    }
    all
}

/// A batch of events with these names, and all that an event may have.
fn batch(names: &'static [&'static str]) -> Batch {
    Batch::build(names, |names, writer| {
        for name in *names {
            writer.push(&EventFields {
                json: r#"{"whole":"event"}"#,
                id: "id-1",
                timestamp: "2026-01-02T03:04:05Z",
                kind: "kind-1",
                name,
                machine_id: "machine-1",
                tool_name: "tool-1",
                tool_version: "version-1",
                os: "os-1",
                arch: "arch-1",
                os_version: "os-version-1",
                runtime_version: "größe",
                error: Some("error-1"),
                args: Some(&["one", "", "three"]),
                metadata: Some(&[("k", "v"), ("", "empty")]),
                time_unix_nanos: -5,
                duration_ms: Some(u64::MAX / 2),
                exit_code: Some(-7),
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

const FIELDS: &str = "e2e 1.2.3 under-test|{\"whole\":\"event\"}|id-1|2026-01-02T03:04:05Z|kind-1|machine-1|tool-1|\
    version-1|os-1|arch-1|os-version-1|größe|error-1|args,one,,three|metadata,k=v,=empty|-5|9223372036854775807|-7";

fn each(check: impl Fn(&Released, &Backend)) {
    for plugin in runnable() {
        check(&plugin, &open(&plugin.private(), &json!({})));
    }
}

#[test]
fn the_manifests_have_the_digests_of_exactly_these_files() {
    let contracts = released();
    assert!(!contracts.is_empty());
    for (folder, listed) in contracts {
        let mut names: Vec<_> = listed.iter().map(|it| it.name.clone()).collect();
        names.push("manifest.json".to_owned());
        names.sort();
        let entries = fs::read_dir(&folder).expect("readable");
        let mut there: Vec<_> =
            entries.map(|it| it.expect("readable").file_name().into_string().expect("UTF-8")).collect();
        there.sort();
        assert_eq!(there, names, "{}", folder.display());
        for it in listed {
            let digest: String = Sha256::digest(fs::read(&it.file).expect("readable"))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, it.sha256, "{}: a released binary is never changed", it.file.display());
        }
    }
}

#[test]
fn libraries_of_each_platform_keep_the_contract() {
    for it in released().into_iter().flat_map(|(_, files)| files) {
        let inspection = jackfield_loader::inspect(&it.file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(inspection.contract, Ok(()), "{}", it.file.display());
        assert!(inspection.exports_descriptor);
        let format = match it.name.rsplit_once('.').expect("an extension").1 {
            "so" => Format::Elf,
            "dll" => Format::Pe,
            _ => Format::MachO,
        };
        assert_eq!(inspection.format, format, "{}", it.name);
        let metadata = inspection.metadata;
        assert_eq!((metadata.name.as_raw(), metadata.version.as_raw()), ("skew", "1.0.0"));
        assert_eq!(metadata.requires, ["log", "cancel"]);
        assert_eq!(metadata.offers, ["deletion", "diagnostics"]);
        assert_eq!(metadata.language, if it.name.starts_with("rust") { "rust" } else { "c" });
    }
}

#[test]
fn layouts_are_compared_or_else_the_digest_decides() {
    for it in runnable() {
        let layout = load(&it.private()).layout();
        let expected = if it.name == "rust-layouts.so" { Layout::Compared } else { Layout::ByDigest };
        assert_eq!(layout, expected, "{} {}", it.contract, it.name);
    }
}

#[test]
fn each_outcome_arrives_and_every_field_was_read() {
    each(|plugin, backend| {
        let names = &["delivered", "retry", "retry after", "rejected", "too large", "delivered"];
        let report = backend.send_within(&batch(names), 10_000 * MS);
        let outcomes: Vec<_> = report.outcomes().cloned().collect();
        let expected = [
            Outcome::Delivered,
            Outcome::retry("later"),
            Outcome::Retry { after: Some(1500 * MS), reason: "in 1.5 s".into() },
            Outcome::rejected(FIELDS),
            Outcome::too_large("split it"),
            Outcome::Delivered,
        ];
        assert_eq!(outcomes, expected, "{plugin:?}: {:?}", report.failure());
        assert!(backend.send(&batch(&[])).is_empty());
    });
}

#[test]
fn a_panic_is_contained_and_a_fresh_instance_follows() {
    each(|plugin, backend| {
        let report = backend.send_within(&batch(&["delivered", "panic"]), 10_000 * MS);
        let Some(Failure::Panicked { message, .. }) = report.failure() else {
            panic!("{plugin:?}: {report:?}")
        };
        assert_eq!(message, "as it was asked to", "{plugin:?}");
        let report = backend.send_within(&batch(&["delivered"]), 10_000 * MS);
        assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{plugin:?}");
    });
}

#[test]
fn a_call_past_its_deadline_is_told_that_nobody_waits() {
    each(|plugin, backend| {
        let report = backend.send_within(&batch(&["hang"]), 50 * MS);
        assert!(matches!(report.uniform(), Some(Outcome::Retry { .. })), "{plugin:?}: {report:?}");
        // It returns once it has asked, so that its instance can be closed and freed.
        backend.close(10_000 * MS).unwrap_or_else(|error| panic!("{plugin:?}: {error}"));
    });
}

#[test]
fn the_optional_tables_of_the_release_answer() {
    each(|plugin, backend| {
        let deletion = backend.request_deletion("machine-1", &batch(&["delivered"]), 10_000 * MS);
        assert_eq!(deletion, Deletion::Sent("machine-1 in 1 event".to_owned()), "{plugin:?}");
        assert_eq!(backend.probe(10_000 * MS), Probe::Reachable("always".to_owned()), "{plugin:?}");
        let preview = backend.preview(&batch(&["delivered", "retry"]), 10_000 * MS).expect("a preview");
        let bodies: Vec<_> = preview.messages.iter().map(|message| message.bytes.clone()).collect();
        assert_eq!(bodies, [br#"{"whole":"event"}"#, br#"{"whole":"event"}"#], "{plugin:?}");
    });
}

#[test]
fn an_unknown_key_and_an_error_of_close_are_reported() {
    for plugin in runnable() {
        let refused = Backend::open(&load(&plugin.private()), &options(&json!({"clsoe": "x"})));
        let line = refused.expect_err("an unknown key").to_string();
        assert!(line.contains("clsoe") && line.contains("unknown key"), "{plugin:?}: {line}");

        let backend = open(&plugin.private(), &json!({"close": "not flushed"}));
        let line = backend.close(10_000 * MS).expect_err("as configured").to_string();
        assert!(line.contains("not flushed"), "{plugin:?}: {line}");
        let report = backend.send(&batch(&["delivered"]));
        assert!(matches!(report.uniform(), Some(Outcome::Retry { .. })), "{plugin:?}: {report:?}");
    }
}
