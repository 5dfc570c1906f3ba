//! Pins and signatures: what may be loaded, and the commands that say so. The program `minisign` of Debian is the judge of
//! signatures.
#![cfg(unix)]

mod keys;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jackfield::forward::Lock;
use jackfield_loader::{Candidate, Digest, Plugin, Policy, Signature, Trust};
use jackfield_tests::{c_fixture, fixture, plugin};
use serde_json::Value;

use crate::site::{Ended, Site, events};

/// The bytes of the plugin `minimal`.
fn minimal() -> Vec<u8> {
    fs::read(fixture("minimal")).expect("built")
}

/// The plugin `minimal` as if it were of another version.
fn of_version(version: &str) -> Vec<u8> {
    let mut bytes = minimal();
    let was = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let new = format!("\"version\":\"{version}\"");
    assert_eq!(was.len(), new.len(), "it is replaced in its place");
    let at = bytes.windows(was.len()).position(|window| window == was.as_bytes()).expect("in the metadata");
    bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
    bytes
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// A folder `plugins` with `libminimal.so`, a backend that uses it, and these lines in the table `plugins`.
fn site(lines: &str) -> Site {
    let site = Site::new(&[]);
    fs::create_dir(site.path("plugins")).expect("writable");
    chmod(&site.path("plugins"), 0o755);
    put(&site, &minimal());
    configure(&site, lines);
    site
}

fn configure(site: &Site, lines: &str) {
    let plugins = format!("[plugins]\npath = [\"plugins\"]\n{lines}\n");
    site.write("config.toml", plugins + "[[backend]]\nplugin = \"minimal\"\n");
}

/// Replaces the plugin as a package manager does.
fn put(site: &Site, bytes: &[u8]) {
    let new = site.write("plugins/new", bytes);
    chmod(&new, 0o644);
    fs::rename(new, site.path("plugins/libminimal.so")).expect("ours");
}

fn sends(site: &Site) {
    let ended = site.send(events(0..1), &[]).with_code(0);
    assert_eq!(ended.counts("minimal"), [1, 0, 0, 0, 0]);
}

/// Why the backend can't be used: the line on standard error, with the site's folder as `SITE`.
fn refusal(site: &Site) -> String {
    let ended = site.send(events(0..1), &[]).with_code(4);
    let real = fs::canonicalize(site.path(".")).expect("there").display().to_string();
    let line = ended.stderr.lines().find(|line| line.contains("backend `minimal`: ")).expect("a refusal");
    let line = line.split_once("backend `minimal`: ").expect("just found").1.replace(&real, "SITE");
    let line = line.strip_suffix("; nothing was read").expect("no backend is left").to_owned();
    let short = site.path("").display().to_string();
    line.replace(short.trim_end_matches('/'), "SITE")
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// Runs Debian's program.
fn minisign(site: &Site, arguments: &[&str]) -> String {
    let output = site
        .command_of(Path::new("minisign"), arguments)
        .stdin(Stdio::null())
        .output()
        .expect("minisign runs (scripts/setup installs it)");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// A pair of keys in `NAME.key` and `NAME.pub`: the public key, and its id.
fn keygen(site: &Site, name: &str) -> (String, String) {
    let made = site.run(&["keygen", "--no-password", "--json", &format!("{name}.key")]).with_code(0);
    let made = json(&made);
    let text = |member: &str| made[member].as_str().expect("text").to_owned();
    (text("public_key"), text("key_id"))
}

fn sign(site: &Site, key: &str) {
    site.run(&["sign", "--key", key, "plugins/libminimal.so"]).with_code(0);
}

/// The trusted comment of `minimal`.
fn comment() -> String {
    let target = jackfield_plugin_api::metadata::TARGET;
    format!("jackfield name=minimal version={} target={target}", env!("CARGO_PKG_VERSION"))
}

/// A site whose plugin has to be signed by the key in `a.key`, and is; the key and its id.
fn signed_site() -> (Site, String, String) {
    let site = site("");
    let (key, id) = keygen(&site, "a");
    configure(&site, &format!("trust = \"signed\"\nkeys = [{key:?}]"));
    sign(&site, "a.key");
    (site, key, id)
}

const SIGNATURE: &str = "plugins/libminimal.so.minisig";

#[test]
fn a_pinned_plugin_is_used_until_its_file_is_another_and_again_when_that_is_wanted() {
    let site = site("trust = \"pinned\"");
    assert_eq!(
        refusal(&site),
        "verify: SITE/plugins/libminimal.so: lock SITE/jackfield.lock: can't be read: No such file or directory (os error 2): make it with jackfield lock"
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
fn only_what_is_asked_for_is_updated_and_what_is_gone_is_removed() {
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
fn a_version_below_the_minimum_is_refused_pinned_and_signed_and_not_taken_into_the_lock() {
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
fn a_lock_that_is_damaged_or_that_others_can_write_refuses_every_plugin_and_is_not_overwritten() {
    let site = site("trust = \"pinned\"\nlock = \"locks/mine.lock\"");
    fs::create_dir(site.path("locks")).expect("writable");
    chmod(&site.path("locks"), 0o755);
    site.run(&["lock"]).with_code(0);
    sends(&site);
    chmod(&site.path("locks/mine.lock"), 0o666);
    let said = "verify: SITE/plugins/libminimal.so: lock SITE/locks/mine.lock: can't be read: the file must not be writable by group or others, and has mode 0666: chmod go-w";
    assert_eq!(refusal(&site), said);
    chmod(&site.path("locks/mine.lock"), 0o644);
    for (garbage, says) in [
        ("[[plugin]]\nname = 5\n", "locks/mine.lock:2: `plugin.name`: expected a string, found integer 5"),
        ("\u{7f}ELF", "locks/mine.lock:1: not TOML: "),
    ] {
        site.write("locks/mine.lock", garbage);
        let line = refusal(&site);
        assert!(line.contains(says), "{line}");
        let ended = site.run(&["lock"]).with_code(3);
        assert!(ended.stderr.contains(says), "{ended:#?}");
        assert_eq!(site.read("locks/mine.lock"), garbage);
    }
}

#[test]
fn a_signed_plugin_is_used_and_each_command_says_by_which_policy() {
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
fn one_of_several_keys_is_enough_and_none_that_is_revoked_or_unknown() {
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
fn a_key_that_only_calls_itself_like_a_trusted_one_signs_nothing() {
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
fn a_file_or_comment_that_is_not_what_was_signed_is_refused() {
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
                wrong.escape_debug().to_string().replace('\\', "\\\\")
            )
        );
    }
}

#[test]
fn a_plugin_in_the_place_of_another_is_refused_though_it_is_signed_and_pinned() {
    let (site, key, _) = signed_site();
    for ending in ["", ".minisig"] {
        let path = |name: &str| site.path(&format!("plugins/{name}.so{ending}"));
        fs::rename(path("libminimal"), path("librabbitmq")).expect("ours");
    }
    let backend = "[[backend]]\nplugin = \"rabbitmq\"\nname = \"minimal\"\n";
    for trust in ["signed", "pinned"] {
        let plugins = format!("[plugins]\npath = [\"plugins\"]\ntrust = {trust:?}\nkeys = [{key:?}]\n");
        site.write("config.toml", plugins + backend);
        assert_eq!(
            refusal(&site),
            "verify: SITE/plugins/librabbitmq.so: calls itself \"minimal\", expected a file of that name: a pinned or signed plugin is not used under another"
        );
    }
    assert!(site.run(&["lock"]).with_code(4).stderr.contains("calls itself \"minimal\""));
}

#[test]
fn a_signature_file_that_is_none_is_refused_without_being_waited_for_or_read_whole() {
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
    refused("is a FIFO, expected a regular file");
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

#[test]
fn pinned_and_signed_judge_the_owner_as_well() {
    let (site, key, _) = signed_site();
    for trust in ["pinned", "signed"] {
        configure(&site, &format!("trust = {trust:?}\nkeys = [{key:?}]"));
        site.run(&["lock"]).with_code(0);
        sends(&site);
        chmod(&site.path("plugins"), 0o777);
        assert_eq!(
            refusal(&site),
            "verify: SITE/plugins is writable by group and others (mode 0777): chmod go-w SITE/plugins"
        );
        chmod(&site.path("plugins"), 0o755);
    }
}

#[test]
fn a_link_is_followed_to_the_file_and_the_signature_beside_that() {
    let (site, ..) = signed_site();
    fs::create_dir(site.path("store")).expect("writable");
    chmod(&site.path("store"), 0o755);
    for ending in ["", ".minisig"] {
        let file = format!("libminimal.so{ending}");
        fs::rename(site.path("plugins").join(&file), site.path("store").join(&file)).expect("ours");
    }
    symlink("../store/libminimal.so", site.path("plugins/libminimal.so")).expect("writable");
    sends(&site);
    fs::remove_file(site.path("store/libminimal.so.minisig")).expect("ours");
    assert!(refusal(&site).contains("no signature SITE/store/libminimal.so.minisig"));
    sign(&site, "a.key");
    sends(&site);
}

/// A plugin in a folder, signed by a key, and the policies by which it is pinned and signed.
fn staged() -> (Site, PathBuf, [Policy; 2]) {
    let (site, key, _) = signed_site();
    site.run(&["lock"]).with_code(0);
    let pins = Lock::read(&site.path("jackfield.lock")).expect("a lock").into_pins();
    let policies = [
        Policy::new(Trust::Pinned).pins(Ok(pins)),
        Policy::new(Trust::Signed).keys([key.parse().expect("a key")]),
    ];
    let path = site.path("plugins/libminimal.so");
    (site, path, policies)
}

#[test]
fn whatever_becomes_of_the_file_between_the_steps_what_was_read_is_what_is_judged_and_loaded() {
    let other = of_version("6.6.6");
    for (number, swap) in [
        // Another file under the name.
        (|site, bytes| put(site, bytes)) as fn(&Site, &[u8]),
        // The same file with other bytes.
        |site, bytes| drop(site.write("plugins/libminimal.so", bytes)),
        // No file.
        |site, _| fs::remove_file(site.path("plugins/libminimal.so")).expect("ours"),
    ]
    .into_iter()
    .enumerate()
    {
        let (site, path, policies) = staged();
        for policy in &policies {
            put(&site, &minimal());
            let candidate = Candidate::open(&path).expect("inspected");
            swap(&site, &other);
            let verified = candidate.verify(policy).unwrap_or_else(|error| panic!("{number}: {error}"));
            put(&site, &other);
            let plugin = verified.load().expect("loaded");
            assert_eq!(plugin.metadata().version, env!("CARGO_PKG_VERSION"), "{number}");
        }
        // Swapped before it is opened, it is another file.
        put(&site, &other);
        for policy in &policies {
            let line = Plugin::load(&path, policy).expect_err("refused").to_string();
            assert!(line.starts_with("verify: "), "{line}");
        }
    }
}

#[test]
fn a_signature_is_judged_as_it_is_when_the_file_is_verified() {
    let (site, path, [_, policy]) = staged();
    let good = site.read(SIGNATURE);
    let candidate = Candidate::open(&path).expect("inspected");
    site.write(SIGNATURE, "garbage");
    assert!(candidate.allowed_by(&policy).is_err());
    site.write(SIGNATURE, &good);
    let verified = candidate.verify(&policy).expect("verified");
    fs::remove_file(site.path(SIGNATURE)).expect("ours");
    verified.load().expect("what was verified stays so");
}

#[test]
fn a_plugin_in_c_is_signed_and_pinned_like_any_other() {
    let site = Site::new(&[]);
    let bytes = fs::read(c_fixture("GOOD")).expect("built");
    let file = site.write("libfixture.so", bytes);
    chmod(&file, 0o644);
    site.write("config.toml", "[plugins]\npath = [\".\"]\ntrust = \"pinned\"\n");
    site.run(&["lock"]).with_code(0);
    site.run(&["verify", "libfixture.so"]).with_code(0);
    keygen(&site, "a");
    site.run(&["sign", "--key", "a.key", "libfixture.so"]).with_code(0);
    site.run(&["verify", "--key", "a.pub", "libfixture.so"]).with_code(0);
    let metadata = Candidate::open(&file).expect("a plugin").inspection().metadata.clone();
    assert!(site.read("libfixture.so.minisig").contains(&Signature::comment_for(&metadata)));
}
