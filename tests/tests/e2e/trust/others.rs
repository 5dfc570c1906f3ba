//! What other users and the system allow: a configuration and a plugin that others can write, and memory that may be run.

use std::{fs, os::unix::fs::PermissionsExt as _};

use jackfield_tests::fixture;

use crate::site::{Site, events, start, to_file};

#[test]
fn a_named_configuration_that_others_can_write_is_refused_by_every_command() {
    let site = Site::new(&[to_file("main", "out.jsonl")]);
    fs::create_dir_all(site.path("shared/own")).expect("made");
    fs::copy(site.path("config.toml"), site.path("shared/own/config.toml")).expect("copies");
    site.write("in.jsonl", events(0..1));
    let mode = |path: &str, mode| {
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).expect("chmod");
    };
    let commands: [&[&str]; 7] = [
        &["send", "in.jsonl"],
        &["run"],
        &["doctor"],
        &["forget", "0a"],
        &["plugins"],
        &["lock"],
        &["verify", "x.so"],
    ];
    let faults = [("shared/own/config.toml", 0o666), ("shared/own", 0o777), ("shared", 0o777)];
    for (path, writable) in faults {
        mode(path, writable);
        let advice = format!("mode {writable:04o}: chmod go-w ");
        for arguments in commands {
            let arguments = [&["--config", "shared/own/config.toml"], arguments].concat();
            let ended = site.run(&arguments).with_code(3);
            assert!(ended.stderr.contains(&advice), "{arguments:?}: {}", ended.stderr);
        }
        let mut named = site.command(&["send", "in.jsonl"]);
        let ended = start(named.env("JACKFIELD_CONFIG", "shared/own/config.toml")).end().with_code(3);
        assert!(ended.stderr.contains(&advice), "{}", ended.stderr);
        // Nobody else can replace the folder of a folder like /tmp.
        mode(path, if path == "shared" { 0o1777 } else { 0o755 });
    }
    assert_eq!(site.read("out.jsonl"), "", "nothing was sent");
    let send = ["send", "in.jsonl", "--config", "shared/own/config.toml"];
    assert_eq!(site.run(&send).with_code(0).stderr.matches("must not be").count(), 0);

    mode("shared/own/config.toml", 0o666);
    let trusting = [&send[..], &["--trust-config"]].concat();
    for _ in 0..2 {
        let ended = site.run(&trusting).with_code(0);
        assert!(
            ended.stderr.contains("mode 0666") && ended.stderr.contains("used all the same"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(site.read("out.jsonl").lines().count(), 3);
}

#[test]
fn trust_decides_whether_a_writable_plugin_runs() {
    let site = Site::new(&[]);
    fs::copy(fixture("minimal"), site.path("libminimal.so")).expect("copies");
    fs::set_permissions(site.path("libminimal.so"), fs::Permissions::from_mode(0o777)).expect("chmod");
    site.write("in.jsonl", events(0..1));
    for (trust, code) in [("owner", 4), ("any", 0)] {
        site.write(
            "config.toml",
            format!(
                "plugins.path = [\".\"]\nplugins.trust = \"{trust}\"\n[[backend]]\nplugin = \"minimal\"\n"
            ),
        );
        let ended = site.run(&["send", "-q", "in.jsonl"]).with_code(code);
        let refusals =
            ended.stderr.lines().filter(|line| line.contains("verify: ") && line.contains("0777")).count();
        assert_eq!(refusals, usize::from(code == 4), "{}", ended.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_forbids_a_plugin_is_named() {
    let config = |site: &Site, folder: &str, trust: &str| {
        fs::copy(fixture("minimal"), site.path("libminimal.so")).expect("copies");
        let plugins = format!("plugins.path = [{folder:?}]\nplugins.trust = {trust:?}\n");
        site.write("config.toml", plugins + "[[backend]]\nplugin = \"minimal\"\n");
        site.write("in.jsonl", events(0..1));
    };
    let no_memory =
        "exec unshare -p -f --mount-proc sh -c \"echo 2 > /proc/sys/vm/memfd_noexec; $0 send -q in.jsonl\"";
    // The script, the policy, and the end of the command with what it says.
    for (script, trust, code, says) in [
        ("mount -o remount,noexec disk", "owner", 4, &["verify: ", "mounted noexec: move it"][..]),
        ("mount -o remount,noexec disk", "any", 0, &[]),
        ("umount -l /proc", "owner", 4, &["load: ", "/proc is not mounted"]),
        (no_memory, "owner", 4, &["inspect: ", "vm.memfd_noexec"]),
        ("true", "owner", 0, &[]),
    ] {
        let site = Site::new(&[]);
        config(&site, "disk", trust);
        let script = format!("cp libminimal.so disk && {script}\nexec $0 send -q in.jsonl");
        let ended = start(&mut site.with_a_small_disk("disk", "64m", &script)).end().with_code(code);
        for part in says {
            assert!(ended.stderr.contains(part), "{script}: {}", ended.stderr);
        }
    }
}
