//! Pins and signatures: what may be loaded, and the commands that say so. The program `minisign` of Debian is the judge of
//! signatures.
#![cfg(unix)]

mod keys;
mod others;

mod pins;
mod signatures;

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
    refusal_behind(site, "backend `minimal`: ", 4)
}

/// As [`refusal`], where the lock can't be used.
fn refusal_of_lock(site: &Site) -> String {
    refusal_behind(site, "error: ", 3)
}

fn refusal_behind(site: &Site, before: &str, code: i32) -> String {
    let ended = site.send(events(0..1), &[]).with_code(code);
    let real = fs::canonicalize(site.path(".")).expect("there").display().to_string();
    let line = ended.stderr.lines().find_map(|line| Some(line.split_once(before)?.1)).expect("a refusal");
    let line = line.strip_suffix("; nothing was read").expect("no backend is left").replace(&real, "SITE");
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
fn a_plugin_in_the_place_of_another_is_refused() {
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
fn a_link_leads_to_the_file_and_its_signature() {
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
fn the_bytes_that_were_read_are_judged_and_loaded() {
    let other = of_version("6.6.6");
    let swaps = [
        // Another file under the name.
        (|site, bytes| put(site, bytes)) as fn(&Site, &[u8]),
        // The same file with other bytes.
        |site, bytes| drop(site.write("plugins/libminimal.so", bytes)),
        // No file.
        |site, _| fs::remove_file(site.path("plugins/libminimal.so")).expect("ours"),
    ];
    for (number, swap) in swaps.into_iter().enumerate() {
        let (site, path, policies) = staged();
        for policy in &policies {
            for is_read in [true, false] {
                put(&site, &minimal());
                let candidate = Candidate::open(&path).expect("inspected");
                assert!(!is_read || candidate.bytes().is_ok_and(|bytes| bytes == minimal()));
                swap(&site, &other);
                let verified = match candidate.verify(policy) {
                    Err(refusal) => {
                        // Other bytes in the open file before they were read.
                        assert!(number == 1 && !is_read, "{number}: {refusal}");
                        assert!(refusal.to_string().contains("while it was read"), "{refusal}");
                        continue;
                    }
                    Ok(verified) => verified,
                };
                put(&site, &other);
                let plugin = verified.load().expect("loaded");
                assert_eq!(plugin.metadata().version, env!("CARGO_PKG_VERSION"), "{number}");
            }
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
fn a_signature_is_read_when_the_file_is_verified() {
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
fn a_plugin_in_c_is_signed_and_pinned() {
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
