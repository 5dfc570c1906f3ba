//! A vendor's plugin in C as a person sees it: built by one command, inspected for every platform, and driven under
//! sanitizers by a host that does whatever the contract allows.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command};

use jackfield_test_support::LONG;
use jackfield_tests::{peers::syslog::parse, plugin, syslog_driver, syslog_for_macos, syslog_for_windows};
use serde_json::Value;

use crate::{site::Site, vendor::full};

fn inspect(file: &Path) -> Value {
    let site = Site::new(&[]);
    let ended = site.run(&["inspect", "--json", file.to_str().expect("UTF-8")]);
    let list: Vec<Value> = serde_json::from_str(&ended.stdout).expect("JSON");
    list.into_iter().next().expect("a file")
}

#[test]
fn builds_for_other_platforms_are_inspected() {
    for (file, format, platform, target, needs) in [
        (syslog_for_windows(), "PE", "x86_64 Windows (PE)", "x86_64-pc-windows-gnu", "WS2_32.dll"),
        (syslog_for_macos("x86_64"), "Mach-O", "x86_64 macOS (Mach-O)", "x86_64-apple-darwin", ""),
        (syslog_for_macos("arm64"), "Mach-O", "aarch64 macOS (Mach-O)", "aarch64-apple-darwin", ""),
    ] {
        let found = inspect(&file);
        assert_eq!(found["format"], format);
        assert_eq!((&found["compatible"], &found["exports_descriptor"]), (&false.into(), &true.into()));
        let refusal = found["refusal"].as_str().expect("a reason");
        let expected = format!("a library for {platform}, expected ");
        assert!(
            refusal.contains(&expected) && refusal.contains("get the plugin's build for this platform"),
            "{refusal}"
        );
        let needed = found["needed"].as_array().expect("a list");
        let names_it = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(needs));
        assert!(needs.is_empty() || needed.iter().any(names_it), "{needed:?}");
        let native = inspect(&plugin("syslog"));
        let metadata = &found["metadata"];
        for member in
            ["name", "version", "digest", "abi", "offers", "requires", "language", "panic", "config_schema"]
        {
            assert_eq!(metadata[member], native["metadata"][member], "{format}: {member}");
        }
        assert_eq!(metadata["target"], target);
    }
    assert_eq!(inspect(&plugin("syslog"))["compatible"], true);
}

#[test]
fn the_commands_show_language_and_layout_of_a_plugin() {
    let site = Site::new(&[]);
    fs::create_dir(site.path("plugins")).expect("made");
    for name in ["syslog", "stdout"] {
        fs::copy(plugin(name), site.path("plugins").join(format!("lib{name}.so"))).expect("copies");
    }
    site.write("config.toml", "plugins.path = [\"plugins\"]\n");
    let listed = site.run(&["plugins"]).with_code(0).stdout;
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).expect("its line").to_owned();
    assert!(line("syslog").contains("  C, layout by digest  "), "{listed}");
    assert!(line("stdout").contains("  Rust  "), "{listed}");
    let inspected = site.run(&["inspect", "plugins/libsyslog.so"]).with_code(0).stdout;
    let row = inspected.lines().find(|line| line.starts_with("language ")).expect("the row");
    assert!(row.ends_with("  C, layout by digest"), "{inspected}");
}

#[test]
fn the_command_sends_through_it_by_its_name_and_configuration() {
    let site = Site::new(&[]);
    fs::create_dir(site.path("plugins")).expect("made");
    fs::copy(plugin("syslog"), site.path("plugins/libsyslog.so")).expect("copies");
    let socket = UnixDatagram::bind(site.path("log")).expect("bound");
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    let address = format!("unix:{}", site.path("log").display());
    let configure = |options: &str| {
        site.write(
            "config.toml",
            format!(
                "plugins.path = [\"plugins\"]\n[[backend]]\nplugin = \"syslog\"\n[backend.config]\n{options}"
            ),
        );
    };
    configure(&format!("address = {address:?}\nfacility = \"local0\"\n"));
    let ended = site.send(full().to_string() + "\n", &[]).with_code(0);
    let mut buffer = vec![0; 1 << 16];
    let len = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    let message = parse(&buffer[..len]);
    assert_eq!((message.facility, message.parameter("id")), (16, full()["id"].as_str().expect("text")));
    configure("adress = \"x\"\n");
    let refused = site.send("", &[]);
    assert!(refused.stderr.contains("adress") && refused.stderr.contains("unknown key"), "{refused:#?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:#?}");
}

#[test]
fn the_plugin_passes_a_demanding_host_under_sanitizers() {
    for sanitizers in ["address,undefined", "thread"] {
        let output = Command::new(syslog_driver(sanitizers)).output().expect("starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && output.stdout == b"done\n",
            "{sanitizers}: {}\n{said}",
            output.status
        );
    }
}
