//! A plugin that is not there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jackfield::{Deliver, DeliveryMode};

use super::common::{self, Clocked, names, track};

/// The plugin `file`, built as the tests are.
fn file_plugin() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a workspace");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", "jackfield-file-library", "--message-format", "json", "--quiet"])
        .current_dir(workspace)
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    let mut files = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "file" && message["target"]["kind"][0] == "cdylib";
        is_it.then(|| PathBuf::from(message["filenames"][0].as_str().unwrap_or_default()))
    });
    files.next_back().expect("cargo says what it has built")
}

#[test]
fn events_for_a_missing_plugin_wait_until_it_is_back() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let built = file_plugin();
    let plugin = home.join("plugins").join(built.file_name().expect("a file"));
    fs::create_dir(home.join("plugins")).expect("room");
    let events = home.join("events.jsonl");
    let config = format!(
        "[plugins]\npath = [{:?}]\n[[backend]]\nplugin = \"file\"\nconfig = {{ path = {events:?} }}\n",
        home.join("plugins")
    );
    fs::write(home.join("ops.toml"), config).expect("room");
    let arrived = || {
        let lines = fs::read_to_string(&events).unwrap_or_default();
        let name = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["name"].as_str().expect("text").to_owned()
        };
        lines.lines().map(name).collect::<Vec<_>>()
    };
    let clock = Clocked::new();
    let run = |mode: DeliveryMode, numbers: std::ops::Range<u32>| {
        let builder = common::tool(home).file_system(clock.clone()).delivery_mode(mode);
        let telemetry = builder.deliver(Deliver::AtExit { within: Duration::from_secs(20) }).build();
        track(&telemetry, numbers);
        telemetry.close();
        clock.forward(Duration::from_secs(3600));
        telemetry.status()
    };
    fs::copy(&built, &plugin).expect("room");
    run(DeliveryMode::AtLeastOnce, 0..3);
    assert_eq!(arrived(), names(0..3));

    fs::remove_file(&plugin).expect("there");
    for (mode, numbers) in [(DeliveryMode::AtLeastOnce, 3..6), (DeliveryMode::AtMostOnce, 6..9)] {
        let status = run(mode, numbers.clone());
        assert_eq!(arrived(), names(0..3));
        assert_eq!(status.events, u64::from(numbers.end - 3), "{status}");
        let backend = &status.backends[0];
        let error = backend.last_error.as_ref().expect("an error").as_raw();
        assert!(error.contains("file") && error.contains("plugins"), "what is missing, and where: {error}");
        assert_eq!(backend.lost, 0, "{status}");
    }

    fs::copy(&built, &plugin).expect("room");
    let status = run(DeliveryMode::AtLeastOnce, 9..12);
    assert_eq!(arrived(), names(0..12));
    assert_eq!((status.events, &status.backends[0].last_error), (0, &None), "{status}");
}
