use jackfield_loader::Digest;
use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Lock, String> {
    Lock::parse(text, Path::new("/etc/jf/jackfield.lock")).map_err(|refusal| refusal.to_string())
}

fn pin(name: &str, target: &str, minimum: Option<&str>) -> Pin {
    Pin {
        name: name.to_owned(),
        version: "1.2.3".to_owned(),
        sha256: Digest::of(name.as_bytes()),
        size: 3,
        target: target.to_owned(),
        minimum: minimum.map(|minimum| minimum.parse().expect("a version")),
    }
}

#[test]
fn a_written_lock_is_read_back_in_order() {
    let pins = vec![pin("b", "y", None), pin("b", "x", Some("1.0.0-rc.1")), pin("a \"q\" \\ é", "z", None)];
    let lock = Lock::new(Path::new("/etc/jf/jackfield.lock"), pins);
    let names: Vec<_> = lock.pins().iter().map(|pin| (pin.name.as_str(), pin.target.as_str())).collect();
    assert_eq!(names, [("a \"q\" \\ é", "z"), ("b", "x"), ("b", "y")]);
    assert!(lock.text().starts_with(COMMENT));
    assert_eq!(read(&lock.text()), Ok(lock));
}

#[test]
fn the_comments_at_the_top_are_kept() {
    let lock = read("# who changes this asks Ann\n# first\n\n# not this one\n").expect("a lock");
    let text = lock.with(vec![pin("a", "x", None)]).text();
    assert!(
        text.starts_with("# who changes this asks Ann\n# first\n\n[[plugin]]\nname    = \"a\"\n"),
        "{text}"
    );
}

#[test]
fn every_mistake_is_one_line_with_file_line_and_key() {
    let good = Lock::new(Path::new("x"), vec![pin("a", "x", None)]).text();
    let table = good.split_once("\n\n").expect("after the comment").1;
    let with = |from: &str, to: &str| {
        assert!(table.contains(from), "{table}");
        table.replace(from, to)
    };
    for (text, expected) in [
        ("\u{0}\u{1}garbage".to_owned(), "1: not TOML: "),
        (
            "[plugin]".to_owned(),
            "1: `plugin`: expected tables, each with the header [[plugin]], found a table",
        ),
        ("plugin = [1]".to_owned(), "1: `plugin`: expected a table, found integer 1"),
        ("[[plugins]]".to_owned(), "1: `plugins`: unknown key, did you mean `plugin`?"),
        ("[[plugin]]".to_owned(), "1: `plugin.name`: missing"),
        (with("sha256 ", "sha265 "), "6: `plugin.sha265`: unknown key, did you mean `sha256`?"),
        (
            with("sha256  = \"", "sha256  = \"0"),
            "6: `plugin.sha256`: expected 64 hexadecimal digits (0-9, a-f), found \"0",
        ),
        (with("= 3", "= -3"), "5: `plugin.size`: expected a number of bytes, found integer -3"),
        (
            with("= 3", "= 3\nminimum = \"one\""),
            "6: `plugin.minimum`: expected a semantic version such as 1.2.0, found \"one\"",
        ),
        (with("\"a\"", "\"a\\u001b\""), "2: `plugin.name`: a control character in text that people read"),
        (with("\"a\"", "1"), "2: `plugin.name`: expected a string, found integer 1"),
        (with("target  = \"x\"\n", ""), "1: `plugin.target`: missing"),
        (format!("{table}\n{table}"), "8: `plugin`: \"a\" for \"x\" is there already"),
    ] {
        let refusal = read(&text).expect_err(&text);
        let expected = format!("lock /etc/jf/jackfield.lock:{expected}");
        assert!(refusal.starts_with(&expected) && !refusal.contains('\n'), "{refusal}\n{expected}");
    }
    assert_eq!(read("${HOME}").map(drop).expect_err("no TOML").lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_lock_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("jackfield.lock");
    let lock = Lock::new(&file, vec![pin("a", "x", None)]);
    lock.write().expect("written");
    assert_eq!(Lock::read(&file).expect("read"), lock);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o644);
    mode(&file, 0o640);
    lock.write().expect("written again");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640, "the mode is kept");
    let refusal = |file: &Path| Lock::read(file).expect_err("refused").to_string();
    mode(&file, 0o660);
    assert!(
        refusal(&file).contains("the file must not be writable by group or others"),
        "{}",
        refusal(&file)
    );
    mode(&file, 0o600);
    mode(folder.path(), 0o777);
    assert!(refusal(&file).contains("its folder must not be writable"), "{}", refusal(&file));
    mode(folder.path(), 0o700);
    assert!(refusal(folder.path()).contains("expected a regular file, found a folder"));
    let missing = refusal(&folder.path().join("none"));
    assert!(missing.starts_with("lock ") && missing.ends_with("make it with jackfield lock"), "{missing}");
    fs::File::create(&file).and_then(|file| file.set_len(1 << 30)).expect("sparse");
    assert!(refusal(&file).ends_with("larger than 1 MiB"), "{}", refusal(&file));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\PC|[\\[\\]\"=\n#.'{}\\\\]|plugin|size|sha256){0,40}") {
        if let Err(refusal) = read(&text) {
            prop_assert!(!refusal.contains('\n'), "{refusal}");
        }
    }

    #[test]
    fn what_is_accepted_is_written_so_that_it_is_read_back(
        name in "[^\\p{Cc}]{0,12}", version in "[^\\p{Cc}]{0,12}", target in "[^\\p{Cc}]{0,12}", size: u64,
    ) {
        let sized = Pin { version, size: size >> 1, ..pin(&name, &target, None) };
        let lock = Lock::new(Path::new("/etc/jf/jackfield.lock"), vec![sized]);
        prop_assert_eq!(read(&lock.text()), Ok(lock));
    }
}

#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_written_and_the_link_stays() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("shared")).expect("writable");
    symlink("shared/second", path("jackfield.lock")).expect("writable");
    symlink("real.lock", path("shared/second")).expect("writable");
    let write = |pin: Pin| Lock::new(&path("jackfield.lock"), vec![pin]).write();
    // First what is not there yet is made, then it is replaced.
    for name in ["a", "b"] {
        write(pin(name, "x", None)).expect("writable");
        for link in ["jackfield.lock", "shared/second"] {
            assert!(fs::symlink_metadata(path(link)).expect("there").is_symlink(), "{link}");
        }
        assert!(fs::symlink_metadata(path("shared/real.lock")).expect("made").is_file());
        assert_eq!(Lock::read(&path("jackfield.lock")).expect("a lock").pins()[0].name, name);
    }
    assert_eq!(fs::read_dir(path("shared")).expect("there").count(), 2, "nothing else is left");
    fs::remove_file(path("shared/real.lock")).expect("ours");
    symlink("../jackfield.lock", path("shared/real.lock")).expect("writable");
    let refusal = write(pin("c", "x", None)).expect_err("a loop").to_string();
    assert!(refusal.contains("leads to itself"), "{refusal}");
    assert!(fs::symlink_metadata(path("jackfield.lock")).expect("there").is_symlink());
}
