use std::fs;

use super::*;
use crate::api::builder::Builder;
use crate::api::telemetry::Telemetry;
use crate::delivery::memory_backend::MemoryBackend;

/// What is chosen with these files, in this folder; `build` adds to a tool that has all of it.
fn chosen(
    folder: &Path,
    (ops, own): (Option<&str>, Option<&str>),
    local: bool,
    build: impl FnOnce(Builder) -> Builder,
) -> BackendInfo {
    for (name, text) in [("ops.toml", ops), ("own.toml", own)] {
        let file = folder.join(name);
        match text {
            Some(text) => fs::write(&file, text).expect("writable"),
            None => drop(fs::remove_file(&file)),
        }
    }
    fs::write(folder.join("config.toml"), "telemetry.enabled = true").expect("writable");
    let environment = move |name: &str| (local && name == "TELEMETRY_LOCAL").then(|| "true".into());
    let builder = Telemetry::builder("tool", "1")
        .environment(environment)
        .consent_file(folder.join("config.toml"))
        .data_folder(folder.join("data"))
        .ops_file(folder.join("ops.toml"))
        .config_file(folder.join("own.toml"));
    build(builder).build().backend_info()
}

const MAIN: &str = "[[backend]]\nplugin = \"rabbitmq\"\nname = \"main\"\n[[backend]]\nplugin = \"file\"\n";
const OTHER: &str = "[[backend]]\nplugin = \"stdout\"\n";

fn everything(builder: Builder) -> Builder {
    builder
        .backend("memory", MemoryBackend::new().maker())
        .otel_endpoint("collector:4318")
        .endpoint("https://me:pw@server/in?token=abc")
}

#[test]
fn the_first_line_that_applies_chooses() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |files, local| chosen(folder.path(), files, local, everything);
    let ops = folder.path().join("ops.toml");
    let info = at((Some(MAIN), Some(OTHER)), false);
    assert_eq!(
        (info.backends, info.why),
        (vec!["main".to_owned(), "file".to_owned()], SelectionReason::OpsFile(ops))
    );
    let info = at((None, Some(OTHER)), false);
    assert_eq!(info.why, SelectionReason::ConfigFile(folder.path().join("own.toml")));
    // A file that names no backend decides nothing.
    let info = at((Some("[plugins]\n"), None), false);
    assert_eq!((info.backends, info.why), (vec!["memory".to_owned()], SelectionReason::Code));
    let endpoints = |builder: Builder| builder.endpoint("https://me:pw@server/in?token=abc");
    let info = chosen(folder.path(), (None, None), true, endpoints);
    assert_eq!((info.backends, info.why), (vec!["file".to_owned()], SelectionReason::LocalOnly));
    let both = |builder: Builder| endpoints(builder.otel_endpoint("collector:4318"));
    let info = chosen(folder.path(), (None, None), false, both);
    assert_eq!(info.why, SelectionReason::OtelEndpoint("https://collector:4318".into()));
    let info = chosen(folder.path(), (None, None), false, endpoints);
    assert_eq!(info.to_string(), "http (server https://[redacted]@server/in)", "no credentials are shown");
    let info = chosen(folder.path(), (None, None), false, |builder| builder);
    assert_eq!((info.backends.len(), info.why), (0, SelectionReason::Nothing));
}

#[test]
fn configured_backends_win_over_local_only_by_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let info = chosen(folder.path(), (Some(MAIN), None), true, |builder| builder);
    assert!(info.ignores_local && info.backends == ["main", "file"], "{info:?}");
    assert!(info.to_string().contains("TELEMETRY_LOCAL is not followed"), "{info}");
    let info = chosen(folder.path(), (Some(MAIN), None), true, |builder| builder.local_only_wins(true));
    assert_eq!(
        (info.backends, info.why, info.ignores_local),
        (vec!["file".to_owned()], SelectionReason::LocalOnly, false)
    );
}

#[test]
fn a_file_that_can_not_be_used_chooses_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let info = chosen(folder.path(), (Some("[[backend]]\nplugn = 1\n"), Some(OTHER)), false, everything);
    let SelectionReason::Broken(reason) = &info.why else { panic!("{info:?}") };
    assert!(info.backends.is_empty() && reason.as_raw().contains("ops.toml:2"), "{reason}");
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_can_write_chooses_no_code_to_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    chosen(folder.path(), (Some(MAIN), None), false, everything);
    let ops = folder.path().join("ops.toml");
    fs::set_permissions(&ops, fs::Permissions::from_mode(0o666)).expect("ours");
    let info = chosen(folder.path(), (Some(MAIN), None), false, everything);
    let SelectionReason::Broken(reason) = &info.why else { panic!("{info:?}") };
    assert!(reason.as_raw().contains("mode 0666"), "{reason}");
}

#[test]
fn a_collector_without_a_scheme_gets_tls_by_default() {
    let folder = tempfile::tempdir().expect("a folder");
    for (insecure, endpoint) in [(false, "https://collector:4318"), (true, "http://collector:4318")] {
        let info = chosen(folder.path(), (None, None), false, |builder| {
            builder.otel_endpoint("collector:4318").otel_insecure(insecure)
        });
        assert_eq!(info.why, SelectionReason::OtelEndpoint(endpoint.into()));
    }
}
