//! Plugins that are pinned by a lock.

use super::*;

#[test]
fn a_pinned_plugin_is_used_until_its_file_changes() {
    let site = site("trust = \"pinned\"");
    assert_eq!(
        refusal_of_lock(&site),
        "lock SITE/jackfield.lock: can't be read: No such file or directory (os error 2): make it with jackfield lock"
    );
    site.run(&["lock", "--check"]).with_code(4);
    assert!(!site.path("jackfield.lock").exists(), "to check writes nothing");
    site.run(&["lock"]).with_code(0);
    assert!(
        site.run(&["lock", "--check"])
            .with_code(0)
            .stdout
            .ends_with("jackfield.lock: 1 plugin, up to date\n")
    );
    sends(&site);

    let (old, new) = (minimal(), of_version("9.9.9"));
    put(&site, &new);
    assert_eq!(
        refusal(&site),
        format!(
            "verify: SITE/plugins/libminimal.so: expected sha256 {}, found {}: run jackfield lock if the change is wanted",
            digest(&old),
            digest(&new)
        )
    );
    let before = site.read("jackfield.lock");
    let checked = json(&site.run(&["lock", "--check", "--json"]).with_code(4));
    assert_eq!((&checked["written"], &checked["changes"][0]["change"]), (&false.into(), &"changed".into()));
    assert_eq!(checked["changes"][0]["old"]["sha256"], digest(&old));
    assert_eq!(checked["changes"][0]["new"]["version"], "9.9.9");
    assert_eq!(site.read("jackfield.lock"), before);
    site.run(&["lock"]).with_code(0);
    sends(&site);
}

#[test]
fn only_the_named_plugin_is_updated_or_removed() {
    let site = site("trust = \"pinned\"");
    fs::copy(plugin("stdout"), site.path("plugins/libstdout.so")).expect("copied");
    chmod(&site.path("plugins/libstdout.so"), 0o644);
    site.run(&["lock", "--update", "stdout"]).with_code(0);
    assert!(refusal(&site).ends_with(&format!(
        "the plugin minimal for {} is not in SITE/jackfield.lock: run jackfield lock if it is wanted",
        jackfield_plugin_api::metadata::TARGET
    )));
    site.run(&["lock", "--update", "minimal"]).with_code(0);
    sends(&site);
    let lock = Lock::read(&site.path("jackfield.lock")).expect("a lock");
    let names: Vec<_> = lock.pins().iter().map(|pin| pin.name.as_str()).collect();
    assert_eq!(names, ["minimal", "stdout"], "in the order of names");
    let missing = site.run(&["lock", "--update", "nobody"]).with_code(4);
    assert!(missing.stderr.contains("no plugin that calls itself \"nobody\""), "{missing:#?}");
    fs::remove_file(site.path("plugins/libstdout.so")).expect("ours");
    let gone = site.run(&["lock"]).with_code(0);
    assert!(gone.stdout.starts_with("removed stdout for "), "{gone:#?}");
}

#[test]
fn a_version_below_the_minimum_is_refused() {
    let (site, key, _) = signed_site();
    configure(&site, "trust = \"pinned\"");
    site.run(&["lock"]).with_code(0);
    let minimum = site.read("jackfield.lock") + "minimum = \"0.2.0\"\n";
    site.write("jackfield.lock", minimum);
    let downgrade = "verify: SITE/plugins/libminimal.so: version \"0.1.0\" is not 0.2.0 or later, the minimum in SITE/jackfield.lock: install a later version";
    assert_eq!(env!("CARGO_PKG_VERSION"), "0.1.0", "the fixture's version, which the line has");
    assert_eq!(refusal(&site), downgrade);
    let kept = site.run(&["lock"]).with_code(4);
    assert!(
        kept.stderr.contains("is not 0.2.0 or later") && kept.stdout.ends_with("up to date\n"),
        "{kept:#?}"
    );
    configure(&site, &format!("trust = \"signed\"\nkeys = [{key:?}]"));
    assert_eq!(refusal(&site), downgrade);

    put(&site, &of_version("0.2.0"));
    sign(&site, "a.key");
    sends(&site);
    configure(&site, "trust = \"pinned\"");
    site.run(&["lock"]).with_code(0);
    assert!(site.read("jackfield.lock").contains("\nminimum = \"0.2.0\"\n"), "it stays");
    sends(&site);
}

#[test]
fn a_damaged_lock_refuses_every_plugin_and_is_kept() {
    let site = site("trust = \"pinned\"\nlock = \"locks/mine.lock\"");
    fs::create_dir(site.path("locks")).expect("writable");
    chmod(&site.path("locks"), 0o755);
    site.run(&["lock"]).with_code(0);
    sends(&site);
    chmod(&site.path("locks/mine.lock"), 0o666);
    let said = "lock SITE/locks/mine.lock: can't be read: the file must not be writable by group or others, and has mode 0666: chmod go-w SITE/locks/mine.lock";
    assert_eq!(refusal_of_lock(&site), said);
    chmod(&site.path("locks/mine.lock"), 0o644);
    for (garbage, says) in [
        ("[[plugin]]\nname = 5\n", "locks/mine.lock:2: `plugin.name`: expected a string, found integer 5"),
        ("\u{7f}ELF", "locks/mine.lock:1: not TOML: "),
    ] {
        site.write("locks/mine.lock", garbage);
        let line = refusal_of_lock(&site);
        assert!(line.contains(says), "{line}");
        for command in [&["run"][..], &["doctor"], &["verify", "plugins/libminimal.so"]] {
            let ended = site.run(command).with_code(3);
            assert!((ended.stderr.clone() + &ended.stdout).contains(says), "{ended:#?}");
        }
        let ended = site.run(&["lock"]).with_code(3);
        assert!(ended.stderr.contains(says), "{ended:#?}");
        assert_eq!(site.read("locks/mine.lock"), garbage);
    }
}
