//! Keys: made here and by minisign, with a password and without.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use super::{SIGNATURE, chmod, comment, configure, keygen, minisign, refusal, sends, sign, site};
use crate::site::start;

#[test]
fn minisign_and_jackfield_accept_each_others_signatures_and_keys() {
    let site = site("");
    let library = "plugins/libminimal.so";
    // Theirs, by their key.
    minisign(&site, &["-G", "-W", "-p", "theirs.pub", "-s", "theirs.key"]);
    minisign(&site, &["-S", "-s", "theirs.key", "-m", library, "-t", &comment()]);
    let key = site.read("theirs.pub").lines().nth(1).expect("a key").to_owned();
    configure(&site, &format!("trust = \"signed\"\nkeys = [{key:?}]"));
    sends(&site);
    for key in [&key, "theirs.pub"] {
        site.run(&["verify", "--key", key, library]).with_code(0);
    }
    // Ours, by their key, is one to them.
    fs::remove_file(site.path(SIGNATURE)).expect("ours");
    sign(&site, "theirs.key");
    sends(&site);
    let said = minisign(&site, &["-V", "-H", "-P", &key, "-m", library]);
    assert!(said.contains(&format!("Trusted comment: {}", comment())), "{said}");
    // Ours, by our key, and theirs by it.
    keygen(&site, "ours");
    sign(&site, "ours.key");
    minisign(&site, &["-V", "-p", "ours.pub", "-m", library]);
    minisign(&site, &["-S", "-W", "-s", "ours.key", "-m", library, "-t", &comment()]);
    site.run(&["verify", "--key", "ours.pub", library]).with_code(0);
    // Their old form is not taken.
    minisign(&site, &["-S", "-l", "-s", "theirs.key", "-m", library, "-t", &comment()]);
    minisign(&site, &["-V", "-P", &key, "-m", library]);
    assert_eq!(
        refusal(&site),
        "verify: SITE/plugins/libminimal.so.minisig: expected a prehashed minisign signature (ED), found a signature of minisign's old form: sign again with minisign 0.10 or later, or -H"
    );
}

#[test]
fn keys_are_the_users_alone_and_never_overwritten() {
    let site = site("");
    keygen(&site, "a");
    let mode = |name: &str| fs::metadata(site.path(name)).expect("made").permissions().mode() & 0o777;
    assert_eq!((mode("a.key"), mode("a.pub") & 0o022), (0o600, 0));
    let (secret, public) = (site.read("a.key"), site.read("a.pub"));
    for missing in ["a.pub", "a.key"] {
        let again = site.run(&["keygen", "--no-password", "a.key"]).with_code(7);
        assert!(again.stderr.contains("exists, and a key is never overwritten"), "{again:#?}");
        assert!([&secret, ""].contains(&site.read("a.key").as_str()));
        assert!([&public, ""].contains(&site.read("a.pub").as_str()));
        let _ = fs::remove_file(site.path(missing));
        if missing == "a.pub" {
            site.write("a.pub", &public);
            fs::remove_file(site.path("a.key")).expect("ours");
            let again = site.run(&["keygen", "--no-password", "a.key"]).with_code(7);
            assert!(!site.path("a.key").exists(), "{again:#?}");
            site.write("a.key", &secret);
            chmod(&site.path("a.key"), 0o600);
        }
    }
    let prompt = site.run(&["keygen", "b.key"]).with_code(2);
    assert!(prompt.stderr.contains("--no-password") && !site.path("b.key").exists(), "{prompt:#?}");

    site.write("a.key", &secret);
    chmod(&site.path("a.key"), 0o644);
    let open = site.run(&["sign", "--key", "a.key", "plugins/libminimal.so"]).with_code(7);
    assert!(open.stderr.contains("a secret key that others may read (mode 0644)"), "{open:#?}");
    for (garbage, code) in [("a.pub", 7), ("plugins/libminimal.so", 7), ("nothing", 7), (".", 7)] {
        let ended = site.run(&["sign", "--key", garbage, "plugins/libminimal.so"]).with_code(code);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.lines().count() == 1, "{ended:#?}");
    }
    chmod(&site.path("a.key"), 0o600);
    let unsigned = site.run(&["sign", "--key", "a.key", "a.pub", "plugins/libminimal.so"]).with_code(4);
    assert!(unsigned.stderr.contains("inspect: a.pub: not a library"), "{unsigned:#?}");
    assert!(site.path(SIGNATURE).exists(), "the others are signed");
}

#[cfg(target_os = "linux")]
#[test]
fn a_password_is_asked_for_on_the_terminal() {
    let site = site("");
    let on_a_terminal = |arguments: &str, typed: &str| {
        let words = format!("'{}' {arguments}", jackfield_tests::cli().display());
        let mut running = start(site.on_a_terminal(&words).stdin(Stdio::piped()));
        running.feed(typed.into());
        running.end()
    };
    let differ = on_a_terminal("keygen", "horse\nhouse\n").with_code(2);
    assert!(differ.stdout.contains("the passwords differ"), "{differ:#?}");
    let made = on_a_terminal("keygen", "horse\nhorse\n").with_code(0);
    assert!(made.stdout.contains("keys  = [\"RW"), "{made:#?}");
    let wrong = on_a_terminal("sign plugins/libminimal.so", "house\n").with_code(7);
    assert!(wrong.stdout.contains("Wrong password"), "{wrong:#?}");
    assert!(!site.path(SIGNATURE).exists());
    on_a_terminal("sign plugins/libminimal.so", "horse\n").with_code(0);
    site.run(&["verify", "--key", "jackfield.pub", "plugins/libminimal.so"]).with_code(0);
    minisign(&site, &["-V", "-p", "jackfield.pub", "-m", "plugins/libminimal.so"]);
}
