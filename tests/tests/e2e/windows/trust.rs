//! Which libraries are refused, with which line.

use std::{fs, process::Stdio};

use jackfield_tests::{c_fixture, c_fixture_for_windows, syslog_for_windows};

use super::{Windows, backend, built, prefix};
use crate::site::{Ended, events, start};

fn minimal(site: &Windows) -> Ended {
    site.send(&events(0..1), &["--give-up-after", "1s"])
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn every_plugin_that_is_shipped_is_compatible_and_trusted() {
    let names = ["datadog", "file", "http", "otlp", "posthog", "rabbitmq", "stdout"];
    let site = Windows::new(&names, &[]);
    site.put(&syslog_for_windows(), "syslog");
    let listed = site.run(&["plugins", "--json"]).with_code(0);
    for name in names.into_iter().chain(["syslog"]) {
        let found = listed.stdout.contains(&format!("\\\\{name}.dll"));
        assert!(found, "{name}: {listed:#?}");
    }
    let table = site.run(&["plugins"]).with_code(0).stdout;
    let good = table.lines().filter(|line| line.contains("ok (owner)  compatible")).count();
    assert_eq!(good, names.len() + 1, "{table}");
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn broken_and_foreign_libraries_are_refused_with_what_is_wrong() {
    let site = Windows::new(&["file"], &[]);
    let good = fs::read(site.path("plugins/file.dll")).expect("copied");
    let headers =
        usize::try_from(u32::from_le_bytes(good[0x3c..0x40].try_into().expect("4 bytes"))).expect("small");
    let mut arm = good.clone();
    arm[headers + 4..headers + 6].copy_from_slice(&0xaa64_u16.to_le_bytes());
    let elf = fs::read(c_fixture("GOOD")).expect("built");
    let mingw = |variant| fs::read(c_fixture_for_windows(variant)).expect("built");
    for (name, bytes, line) in [
        ("elf", elf, "a library for x86_64 Linux (ELF), expected x86_64 Windows (PE)"),
        ("cut", good[..64 << 10].to_vec(), "truncated or corrupt"),
        ("empty", Vec::new(), "is empty"),
        ("arm", arm, "a library for aarch64 Windows (PE), expected x86_64 Windows (PE)"),
        ("foreign", mingw("NO_METADATA"), "not a Jackfield plugin"),
        ("undescribed", mingw("NO_DESCRIPTOR"), "no exported symbol `jackfield_plugin`"),
        ("magic", mingw("WRONG_MAGIC"), "descriptor, magic"),
        ("tomorrow", mingw("ABI_TOMORROW"), "ABI"),
        (
            "dependent",
            mingw("MISSING_DEPENDENCY"),
            "needs jackfield_absent.dll, which the dynamic linker does not find",
        ),
        ("good", mingw("GOOD"), "-"),
    ] {
        fs::write(site.path(&format!("plugins/{name}.dll")), bytes).expect("writable");
        site.configure("", &[backend(name, "name = \"it\"")]);
        let ended = minimal(&site);
        if line == "-" {
            assert_eq!(ended.with_code(0).counts("it"), [1, 0, 0, 0, 0]);
            continue;
        }
        let refusals: Vec<_> =
            ended.stderr.lines().filter(|line| line.contains(&format!("{name}.dll"))).collect();
        assert_ne!(ended.code, Some(0), "{ended:#?}");
        assert!(refusals.iter().any(|refusal| refusal.contains(line)), "{name}: {ended:#?}");
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_copy_of_a_plugin_that_no_process_uses_is_removed() {
    let site = Windows::new(&["file"], &[backend("file", "config = { path = \"out\" }")]);
    let shown =
        start(site.wine(&["cmd", "/c", "echo %TEMP%"]).stdin(Stdio::null())).end().with_code(0).stdout;
    let temporary = prefix().join("drive_c").join(shown.trim().trim_start_matches("C:\\").replace('\\', "/"));
    let left = temporary.join(format!("jackfield-plugin-{}.dll", std::process::id()));
    fs::write(&left, "of a process that was killed").expect("writable");
    minimal(&site).with_code(0);
    assert!(!left.exists(), "{}", left.display());
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_library_or_folder_that_others_can_write_to_is_refused() {
    let site = Windows::new(&["file"], &[backend("file", "config = { path = \"out\" }")]);
    minimal(&site).with_code(0);
    // Wine shows the permission bits of others as an entry for everybody.
    let mode = |path: &str, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).expect("ours");
    };
    for (path, open, closed) in
        [("plugins/file.dll", 0o646, 0o644), ("plugins", 0o757, 0o755), ("config.toml", 0o646, 0o644)]
    {
        mode(path, open);
        let ended = minimal(&site);
        assert!(ended.code != Some(0) && ended.stderr.contains("/remove:g *S-1-1-0"), "{path}: {ended:#?}");
        mode(path, closed);
    }
    minimal(&site).with_code(0);
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_pin_and_a_signature_hold_for_the_bytes_of_a_library() {
    let config = || [backend("stdout", "")];
    let site = Windows::new(&["stdout"], &[]);
    site.configure("trust = \"pinned\"", &config());
    site.run(&["lock"]).with_code(0);
    minimal(&site).with_code(0);
    let made = site.run(&["keygen", "--no-password", "--json", "a.key"]).with_code(0).json();
    site.configure(&format!("trust = \"signed\"\nkeys = [{}]", made["public_key"]), &config());
    assert!(minimal(&site).stderr.contains("no signature"));
    site.run(&["sign", "--key", "a.key", "plugins\\stdout.dll"]).with_code(0);
    site.run(&["verify", "--key", "a.pub", "plugins\\stdout.dll"]).with_code(0);
    minimal(&site).with_code(0);

    let changed = [&fs::read(built().join("stdout.dll")).expect("built")[..], b"x"].concat();
    fs::write(site.path("plugins/stdout.dll"), changed).expect("writable");
    assert!(minimal(&site).stderr.contains("stdout.dll"), "signed");
    site.configure("trust = \"pinned\"", &config());
    let ended = minimal(&site);
    assert!(ended.code != Some(0) && ended.stderr.contains("stdout.dll"), "{ended:#?}");
}
