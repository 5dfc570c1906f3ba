//! The command: its options, its reports, and the processes that it starts.

use std::{path::Path, process::Stdio};

use jackfield_test_support::wait_until;
use jackfield_tests::{c_conduct, c_fixture, fixture, plugin};

use super::{report, with};
use crate::site::{Site, start};

#[test]
fn options_come_from_a_configuration_and_reports_have_three_forms() {
    let site = Site::new(&[]);
    let file = plugin("file");
    let path = site.path("events");
    site.write(
        "check.toml",
        format!("[[backend]]\nplugin = \"stdout\"\n[[backend]]\nplugin = \"file\"\nconfig = {{ path = {path:?} }}\n"),
    );
    let file = file.to_str().expect("UTF-8");
    let arguments = [
        "check",
        file,
        "--config",
        "check.toml",
        "--only",
        "open",
        "--only",
        "stdout",
        "--junit",
        "report.xml",
    ];
    let ended = site.run(&arguments).with_code(0);
    assert!(
        ended.stdout.contains("open    pass") && ended.stdout.contains("opened with 1 option\n"),
        "{ended:#?}"
    );
    let last = "2 passed, 0 failed, 0 skipped\nIt keeps the contract in 2 checks.\n";
    assert!(ended.stdout.ends_with(last), "{ended:#?}");
    assert!(site.read("report.xml").contains("<testcase classname=\"jackfield.check\" name=\"open\""));

    let hostile = fixture("hostile");
    let rest = "[backend.config]\nlog = \"${CHECK_SECRET}\"\npanic = \"${CHECK_SECRET}\"";
    site.write("secret.toml", crate::site::backend("hostile", &hostile, rest));
    let arguments = ["check", hostile.to_str().expect("UTF-8"), "--config", "secret.toml", "--only", "open"];
    let mut command = site.command(&arguments);
    let ended = start(command.stdin(Stdio::null()).env("CHECK_SECRET", "s3cret-value")).end().with_code(3);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("s3cret-value"), "{ended:#?}");

    // It needs a path.
    let wrong = ["--config-json", r#"{"pahth":"x"}"#];
    for (arguments, what) in [
        (&["--only", "probe"][..], "to have no options"),
        (&[], "to have no options"),
        (&wrong, "the given options"),
    ] {
        let refused =
            site.run(&[&["check", file, "--junit", "refused.xml"], arguments].concat()).with_code(3);
        let last = refused.stdout.lines().last();
        assert_eq!(
            last,
            Some("Nothing is shown: the plugin needs other options than those that were given.")
        );
        assert!(refused.stdout.contains(" refused "), "{refused:#?}");
        assert!(refused.stderr.starts_with(&format!("error: the plugin refuses {what}: ")), "{refused:#?}");
        let advice = ": give the options that it needs with --config FILE or --config-json JSON\n";
        assert!(refused.stderr.ends_with(advice), "{refused:#?}");
        assert!(site.read("refused.xml").contains("failures=\"0\" errors=\"1\""), "{refused:#?}");
    }
    let json = site.run(&["check", file, "--json"]).with_code(3);
    assert_eq!(with(&report(&json), "refused"), ["open"], "{json:#?}");
    for (arguments, code, said) in [
        (&["--only", "nonsense"][..], 2, "there is no check \"nonsense\""),
        (&["--endpoint", "pahth"], 2, "has no option `pahth`: its options are "),
        (&["--config-json", "{}", "--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--config", "check.json", "--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--backend", "file"], 2, "--backend chooses one of the backends"),
        (&["--config-json", "[]"], 3, "expected a JSON object"),
        (&["--config", "check.toml", "--backend", "nobody"], 3, "no backend `nobody`"),
        (
            &["--config-json", "{}", "--junit", "/no/such/folder/x", "--only", "metadata"],
            7,
            "can't be written",
        ),
    ] {
        let ended = site.run(&[&["check", file], arguments].concat()).with_code(code);
        assert!(ended.stderr.contains(said), "{ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    }

    let (bare, given) = (c_fixture("GOOD"), ["--config-json", r#"{"where":"x"}"#]);
    let arguments = ["check", bare.to_str().expect("UTF-8"), "--only", "metadata", "--endpoint", "where"];
    let unknown = site.run(&arguments).with_code(2);
    assert!(unknown.stderr.contains("the given options have no `where`"), "{unknown:#?}");
    site.run(&[&arguments[..], &given].concat()).with_code(0);
    let by_schema = ["--config", "check.toml", "--only", "metadata", "--endpoint", "fsync"];
    site.run(&[&["check", file], &by_schema[..]].concat()).with_code(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_whose_parent_is_killed_ends() {
    let site = Site::new(&[]);
    let file = fixture("hostile");
    let arguments =
        ["check", file.to_str().expect("UTF-8"), "--config-json", r#"{"hang":"open"}"#, "--only", "open"];
    let mut running = start(site.command(&arguments).stdin(Stdio::null()));
    let (id, mut child) = (running.id(), None);
    running.until("the check runs", || {
        child = children(id).into_iter().find(|(_, line)| line.contains("check open"));
        child.is_some()
    });
    let (child, _) = child.expect("seen");
    running.signal("KILL");
    wait_until("the child ends", || !Path::new("/proc").join(child.to_string()).join("exe").exists());
    drop(running);
}

/// A signal to end the kit ends its child, and removes its folder.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_to_end_leaves_no_child_and_no_folder() {
    let file = fixture("hostile");
    for signal in ["TERM", "INT"] {
        let site = Site::new(&[]);
        let arguments =
            ["check", file.to_str().expect("UTF-8"), "--config-json", r#"{"hang":"open"}"#, "--only", "open"];
        let temporary = site.path("temporary");
        std::fs::create_dir(&temporary).expect("a folder");
        let is_empty = || std::fs::read_dir(&temporary).expect("a folder").next().is_none();
        let mut running = start(site.command(&arguments).stdin(Stdio::null()).env("TMPDIR", &temporary));
        let (id, mut child) = (running.id(), None);
        running.until("the check runs", || {
            child = children(id).into_iter().find(|(_, line)| line.contains("check open"));
            child.is_some()
        });
        let (child, _) = child.expect("seen");
        let below = children(child);
        assert!(!is_empty());
        running.signal(signal);
        let ended = running.end().with_code(130);
        assert!(ended.stderr.contains("interrupted"), "{ended:#?}");
        for (process, _) in [(child, String::new())].into_iter().chain(below) {
            assert!(!Path::new("/proc").join(process.to_string()).join("exe").exists(), "{signal}");
        }
        assert!(is_empty(), "{signal}");
    }
}

/// Nothing of what a plugin starts is left when the kit has ended, also not what holds the kit's pipes open.
#[cfg(target_os = "linux")]
#[test]
fn the_kit_leaves_no_process() {
    for variant in ["LEAVES_CHILD", "LEAVES_DAEMON"] {
        let site = Site::new(&[]);
        let (file, mark) = (c_conduct(variant), site.path("mark").display().to_string());
        let arguments = ["check", file.to_str().expect("UTF-8"), "--only", "leftovers", "--only", "open"];
        start(site.command(&arguments).stdin(Stdio::null()).env("CONDUCT_MARK", &mark)).end().with_code(4);
        let is_marked = |entry: std::io::Result<std::fs::DirEntry>| {
            let environment = std::fs::read(entry.ok()?.path().join("environ")).ok()?;
            String::from_utf8_lossy(&environment).contains(&mark).then_some(())
        };
        assert_eq!(std::fs::read_dir("/proc").expect("Linux").filter_map(is_marked).count(), 0, "{variant}");
    }
}

/// The children of a process, with their command lines.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<(u32, String)> {
    let child = |entry: std::io::Result<std::fs::DirEntry>| {
        let folder = entry.ok()?.path();
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        let of: u32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        let line = (of == parent).then(|| std::fs::read(folder.join("cmdline")))?.ok()?;
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        Some((id, String::from_utf8_lossy(&line).into_owned()))
    };
    std::fs::read_dir("/proc").expect("Linux").filter_map(child).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_list_of_processes_has_no_secret_option() {
    let site = Site::new(&[]);
    site.write("check.json", r#"{"hang":"open","log":"s3cret-of-the-check"}"#);
    let file = fixture("hostile");
    let arguments =
        ["check", file.to_str().expect("UTF-8"), "--config", "check.json", "--limit", "5s", "--only", "open"];
    let mut running = start(site.command(&arguments).stdin(Stdio::null()));
    let (id, mut seen) = (running.id(), Vec::new());
    running.until("a child runs", || {
        seen = children(id);
        seen.iter().any(|(_, line)| line.contains("jackfield:check"))
    });
    assert!(seen.iter().all(|(_, line)| !line.contains("s3cret-of-the-check")), "{seen:?}");
    let ended = running.end().with_code(4);
    assert!(ended.stdout.contains("hung: no end after 5 s"), "{ended:#?}");
}
