//! A plugin that is built in, as the telemetry of a tool sees it.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{fs, path::Path};

use jackfield::plugin_api::{Backend, Batch, Call, Error, Host, Outcome, Outcomes, plugin};
use jackfield::{Config, Deliver, Telemetry, Verdict};
use jackfield_test_support::LONG;

#[derive(serde::Deserialize)]
struct Options {
    path: std::path::PathBuf,
}

/// Appends the names of events to a file.
struct Lines(Options);

impl Backend for Lines {
    type Config = Options;

    fn open(options: Options, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Ok(Self(options))
    }

    fn send(&self, batch: &Batch<'_>, _: &Call<'_>) -> Outcomes {
        let mut lines = fs::read_to_string(&self.0.path).unwrap_or_default();
        batch.iter().for_each(|event| lines += &format!("{}\n", event.name()));
        match fs::write(&self.0.path, lines) {
            Ok(()) => Outcome::Delivered.into(),
            Err(error) => Outcome::retry(error.to_string()).into(),
        }
    }
}

plugin! {
    backend: Lines,
    name: "test-lines",
    config_schema: r#"{"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}"#,
}

/// A tool whose configuration names the plugin and no folder. `key` is that of the path.
fn tool(home: &Path, key: &str) -> Telemetry {
    jackfield::init_with([PLUGIN]);
    let text = format!(
        "[plugins]\npath = []\n[[backend]]\nplugin = \"test_lines\"\nconfig = {{ {key} = {:?} }}\n",
        home.join("lines")
    );
    let config = Config::parse(&text, &home.join("config.toml")).expect("a configuration");
    common::tool(home).deliver(Deliver::ByHand).config(config).build()
}

#[test]
fn a_reload_leaves_a_built_in_plugin_as_it_is() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = tool(home.path(), "path");
    for round in 0..3 {
        telemetry.track(common::KIND, &format!("event {round}"), &[]);
        assert!(telemetry.flush(LONG).emptied);
        telemetry.reload().expect("nothing has changed");
    }
    let lines = fs::read_to_string(home.path().join("lines")).expect("written");
    assert_eq!(lines, "event 0\nevent 1\nevent 2\n");
    let [live] = &telemetry.live_backends()[..] else { panic!("one backend") };
    let plugin = live.plugin.as_ref().expect("it is open");
    assert_eq!((live.swaps, plugin.location.file()), (0, None));
    assert_eq!(plugin.location.to_string(), "built-in plugin test-lines");
}

#[test]
fn status_and_doctor_say_that_a_plugin_is_built_in() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = tool(home.path(), "path");
    let status = telemetry.status();
    assert!(status.backends[0].built_in && status.backends[0].missing.is_none(), "{status}");
    assert!(status.to_string().contains("  test_lines: 0 waiting, 0 delivered, built in\n"), "{status}");
    let doctor = telemetry.doctor();
    let finding = doctor.iter().find(|finding| finding.what == "backend test_lines").expect("a finding");
    assert_eq!(finding.verdict, Verdict::Note, "it has no diagnostics: {finding}");
    assert!(finding.detail.as_raw().starts_with("built in; "), "{finding}");
}

#[test]
fn the_schema_of_a_built_in_plugin_judges_its_options() {
    let home = tempfile::tempdir().expect("a folder");
    let telemetry = tool(home.path(), "paht");
    telemetry.track(common::KIND, "waits", &[]);
    let report = telemetry.flush(LONG);
    let reason = format!("{report:?}");
    assert!(!report.emptied && reason.contains("`path` is missing"), "{reason}");
    assert_eq!(telemetry.status().events, 1);
}
