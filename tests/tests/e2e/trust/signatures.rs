//! Plugins that are signed.

use super::*;

#[test]
fn each_command_says_which_policy_allows_a_signed_plugin() {
    let (site, ..) = signed_site();
    sends(&site);
    let plugins = json(&site.run(&["plugins", "--json"]).with_code(0));
    assert_eq!((&plugins[0]["trust"], &plugins[0]["trusted"]), (&"signed".into(), &true.into()));
    assert!(site.run(&["plugins"]).with_code(0).stdout.contains("  ok (signed)  compatible  "));
    let inspected = site.run(&["inspect", "plugins/libminimal.so"]).with_code(0).stdout;
    let row = inspected.lines().find_map(|line| line.strip_prefix("trust "));
    assert_eq!(row.map(str::trim), Some("ok (signed)"), "{inspected}");
    let doctor = site.run(&["doctor"]);
    assert!(doctor.stdout.trim_end().ends_with("(trust: ok by \"signed\")"), "{doctor:#?}");
    let verified = site.run(&["verify", "plugins/libminimal.so"]).with_code(0);
    assert_eq!(verified.stdout, "ok (signed): plugins/libminimal.so\n");

    fs::remove_file(site.path(SIGNATURE)).expect("ours");
    let missing = "SITE/plugins/libminimal.so: no signature SITE/plugins/libminimal.so.minisig: get it from the vendor, or make one with jackfield sign";
    assert_eq!(refusal(&site), format!("verify: {missing}"));
    assert!(site.run(&["plugins"]).with_code(0).stdout.contains("  refused (signed)  compatible  "));
    let inspected = json(&site.run(&["inspect", "--json", "plugins/libminimal.so"]).with_code(0));
    assert_eq!((&inspected[0]["compatible"], &inspected[0]["trusted"]), (&true.into(), &false.into()));
    let doctor = site.run(&["doctor"]).with_code(4).stdout;
    assert!(doctor.starts_with("minimal: unusable: ") && doctor.contains(": no signature "), "{doctor}");
    let verified = json(&site.run(&["verify", "--json", "plugins/libminimal.so"]).with_code(4));
    assert_eq!((&verified[0]["trust"], &verified[0]["trusted"]), (&"signed".into(), &false.into()));
}

#[test]
fn one_trusted_key_that_is_not_revoked_is_enough() {
    let (site, first, id) = signed_site();
    let (second, second_id) = keygen(&site, "b");
    configure(&site, &format!("trust = \"signed\"\nkeys = [{second:?}, {first:?}]"));
    sends(&site);
    sign(&site, "b.key");
    sends(&site);
    configure(
        &site,
        &format!("trust = \"signed\"\nkeys = [{second:?}, {first:?}]\nrevoked = [{second_id:?}]"),
    );
    let signature = "verify: SITE/plugins/libminimal.so.minisig";
    assert_eq!(
        refusal(&site),
        format!(
            "{signature}: signed by key {second_id}, which plugins.revoked has: get a signature by another key"
        )
    );
    sign(&site, "a.key");
    sends(&site);
    let (third, third_id) = keygen(&site, "c");
    configure(&site, &format!("trust = \"signed\"\nkeys = [{second:?}, {third:?}]"));
    assert_eq!(
        refusal(&site),
        format!(
            "{signature}: signed by key {id}, expected one of plugins.keys ({second_id}, {third_id}): add the key if you trust it"
        )
    );
}

#[test]
fn a_key_with_a_trusted_id_is_refused() {
    let (site, key, id) = signed_site();
    keygen(&site, "b");
    sign(&site, "b.key");
    // The id is in the bytes 2 to 10 of the signature's line, which are not signed: the characters from 2 on, and the upper
    // two of six bits of the one at 13.
    let text = site.read(SIGNATURE);
    let line = text.lines().nth(1).expect("a signature");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = |text: &str| alphabet.find(&text[13..14]).expect("base64");
    let mixed = bits(&key) & 0b11_0000 | bits(line) & 0b00_1111;
    let forged = format!("{}{}{}{}", &line[..2], &key[2..13], &alphabet[mixed..=mixed], &line[14..]);
    site.write(SIGNATURE, text.replace(line, &forged));
    let signature = "SITE/plugins/libminimal.so.minisig";
    assert_eq!(
        refusal(&site),
        format!(
            "verify: SITE/plugins/libminimal.so: {signature} is not a signature of this file by key {id}: get both files again"
        )
    );
}

#[test]
fn a_file_or_comment_that_was_not_signed_is_refused() {
    let (site, ..) = signed_site();
    put(&site, &of_version("9.9.9"));
    let line = refusal(&site);
    assert!(
        line.starts_with("verify: SITE/plugins/libminimal.so: SITE/plugins/libminimal.so.minisig is not a signature of this file by key "),
        "{line}"
    );
    put(&site, &minimal());
    sends(&site);
    // The comment is signed too.
    let text = site.read(SIGNATURE);
    site.write(SIGNATURE, text.replace("name=minimal", "name=maximal"));
    assert!(refusal(&site).contains(" is not a signature of this file by key "));
    for wrong in ["jackfield name=minimal version=9.9.9 target=x", "timestamp:1\tfile:libminimal.so"] {
        minisign(&site, &["-S", "-W", "-s", "a.key", "-m", "plugins/libminimal.so", "-t", wrong]);
        assert_eq!(
            refusal(&site),
            format!(
                "verify: SITE/plugins/libminimal.so.minisig: expected the trusted comment {:?}, found \"{}\": sign again with jackfield sign",
                comment(),
                wrong.escape_debug()
            )
        );
    }
}

#[test]
fn a_signature_must_be_a_regular_file() {
    let (site, ..) = signed_site();
    let path = site.path(SIGNATURE);
    let good = fs::read(&path).expect("signed");
    let refused = |says: &str| {
        let line = refusal(&site);
        assert!(
            line.starts_with("verify: SITE/plugins/libminimal.so.minisig") && line.contains(says),
            "{line}"
        );
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).expect("ours");
    };
    fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("sparse");
    chmod(&path, 0o644);
    refused("file too large: 1073741824 bytes, limit 16384");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    refused("is a FIFO or pipe, expected a regular file");
    fs::create_dir(&path).expect("writable");
    refused("is a folder, expected a regular file");
    symlink(site.path("elsewhere.minisig"), &path).expect("writable");
    refused("is a symbolic link, expected a regular file");
    for (garbage, says) in [
        (&b"\xff\xfe"[..], "found not text"),
        (b"", "found not a minisign signature"),
        (b"untrusted comment: x\n\xc3\xa9\n", "found not a minisign signature"),
        (&good[..good.len() / 2], "found a damaged minisign signature"),
        (b"untrusted comment: x\nWFhYWFhYWFhYWFhYWFhY\n", "found a signature by an unknown algorithm"),
    ] {
        site.write(SIGNATURE, garbage);
        chmod(&path, 0o644);
        refused(says);
    }
    fs::write(&path, &good).expect("writable");
    chmod(&path, 0o666);
    refused(" is writable by group and others (mode 0666): chmod go-w ");
}
