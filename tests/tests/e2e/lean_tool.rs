//! Tools with few features of the crate, and without any: they deliver, and say which feature a file would need.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use jackfield_tests::{Build, c_fixture, plugin};
use tempfile::TempDir;

/// The example of minisign's own page.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335\tfile:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
";

struct Tool {
    home: TempDir,
}

impl Tool {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a folder") }
    }

    /// What the tool prints with this backend, and these lines about plugins.
    fn prints(&self, plugin: &Path, plugins: &str, backend: &str) -> String {
        self.prints_for(&[], plugin, plugins, backend)
    }

    fn prints_for(&self, words: &[&str], plugin: &Path, plugins: &str, backend: &str) -> String {
        let config = self.home.path().join("ops.toml");
        let text =
            format!("[plugins]\n{plugins}\n[[backend]]\nname = \"b\"\nplugin = {plugin:?}\n{backend}\n");
        fs::write(&config, text).expect("writable");
        let mut command = Command::new(Build::package("fixture-lean-tool").binary("lean-tool"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .env("LEAN_TOOL_TELEMETRY_CONFIG", config);
        let output = command.env("LEAN_TOOL_TELEMETRY_ENABLED", "true").stdin(Stdio::null()).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[test]
fn a_host_without_layouts_loads_plugins_in_rust_and_c_by_their_digest() {
    let tool = Tool::new();
    let events = tool.home.path().join("events.jsonl");
    let path = format!("config = {{ path = {events:?} }}");
    for isolation in ["thread", "process"] {
        let backend = format!("isolation = {isolation:?}\n{path}");
        assert_eq!(tool.prints(&plugin("file"), "", &backend), "1 delivered\n", "{isolation}");
    }
    assert_eq!(fs::read_to_string(&events).expect("written").lines().count(), 2);
    assert_eq!(tool.prints(&c_fixture("GOOD"), "", ""), "1 delivered\n");
    let doctor = tool.prints_for(&["doctor"], &c_fixture("GOOD"), "", "");
    assert!(doctor.contains("plugins: their tables are judged by digest and sizes: "), "{doctor}");
    // The digest still decides.
    let refused = tool.prints(&c_fixture("WRONG_DIGEST"), "", "");
    assert!(refused.contains("expected surface digest"), "{refused}");
}

#[test]
fn a_sandbox_and_a_signature_name_the_feature_that_they_need() {
    let tool = Tool::new();
    let refused =
        tool.prints(&plugin("file"), "", "isolation = \"process\"\nsandbox = {}\nconfig = { path = \"/x\" }");
    let expected = "ops.toml:7: backend `b`: `backend.sandbox`: this program has no sandbox: build it with the feature \
                    `sandbox`, or remove [backend.sandbox]";
    assert!(refused.starts_with("0 delivered\n") && refused.contains(expected), "{refused}");

    let library = tool.home.path().join("libfile.so");
    fs::copy(plugin("file"), &library).expect("room");
    fs::write(tool.home.path().join("libfile.so.minisig"), SIGNATURE).expect("room");
    let signed = format!("trust = \"signed\"\nkeys = [{KEY:?}]");
    let refused = tool.prints(&library, &signed, "config = { path = \"/x\" }");
    assert!(
        refused.contains(
            "found one in a program without signatures: build the program with the feature `signatures`"
        ),
        "{refused}"
    );
}

/// What the tool without any feature prints.
fn bare(home: &Path, variables: &[(&str, &Path)], arguments: &[&str]) -> String {
    let mut command = Command::new(Build::package("fixture-bare-tool").binary("bare-tool"));
    command.env_clear().env("HOME", home).envs(variables.iter().copied()).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_tool_without_any_feature_keeps_its_users_consent_and_delivers() {
    let home = tempfile::tempdir().expect("a folder");
    let events = home.path().join("events.jsonl");
    let track = || bare(home.path(), &[], &[&events.to_string_lossy()]);
    assert_eq!(track(), "0 delivered, nobody has consented yet\n");
    let enabled = bare(home.path(), &[], &["enable"]);
    let file = home.path().join(".config/bare-tool/config.toml");
    assert_eq!(enabled, format!("telemetry.enabled = true at {}:2\n", file.display()));
    assert_eq!(track(), format!("1 delivered, {enabled}"));

    fs::write(&file, "# of the user\n[telemetry]\nenabled = true # now\n\n[other]\nfast = true\n")
        .expect("room");
    assert_eq!(bare(home.path(), &[], &["disable"]), "off\n");
    let text = fs::read_to_string(&file).expect("there");
    assert_eq!(text, "# of the user\n[telemetry]\nenabled = false # now\n\n[other]\nfast = true\n");
    assert!(track().starts_with("0 delivered, telemetry.enabled = false at "));

    // What it can't read gives no consent, and is left as it is.
    fs::write(&file, "[telemetry]\nenabled = true\nlevel = 3\n").expect("room");
    let refused = "expected `[TABLE]`, `KEY = true` or `KEY = false`: this tool is built without the feature `config-file`";
    let (tracked, enabled) = (track(), bare(home.path(), &[], &["enable"]));
    assert!(
        tracked.starts_with("0 delivered, no consent can be read from ") && tracked.contains(refused),
        "{tracked}"
    );
    assert!(tracked.contains("line 3"), "{tracked}");
    assert!(enabled.contains("config.toml:3: ") && enabled.contains(refused), "{enabled}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "[telemetry]\nenabled = true\nlevel = 3\n");
    assert_eq!(fs::read_to_string(&events).expect("there").lines().count(), 1);
}

#[test]
fn a_tool_without_any_feature_names_the_one_that_a_file_or_a_process_needs() {
    let home = tempfile::tempdir().expect("a folder");
    let (consents, yes) = ("BARE_TOOL_TELEMETRY_ENABLED", Path::new("true"));
    let events = home.path().join("events.jsonl");
    let arguments = &[&*events.to_string_lossy(), "isolated"];
    let said = bare(home.path(), &[(consents, yes)], arguments);
    assert!(
        said.contains(
            "this program is built without process isolation: build it with the feature `isolation`"
        ),
        "{said}"
    );

    let ops = home.path().join("ops.toml");
    fs::write(&ops, "[[backend]]\nplugin = \"http\"\n").expect("room");
    let said = bare(home.path(), &[(consents, yes), ("BARE_TOOL_TELEMETRY_CONFIG", &ops)], &arguments[..1]);
    assert!(said.starts_with("0 delivered") && said.contains("ops.toml:1: "), "{said}");
    assert!(said.contains("without the feature `config-file`"), "{said}");
    assert!(!events.exists(), "the events wait, and go to no other backend");
}
