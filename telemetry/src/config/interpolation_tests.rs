use std::fs;

use super::*;

fn environment(name: &str) -> Option<OsString> {
    match name {
        "HOST" | "HOME" => Some("example.org".into()),
        "DEEP" => Some("deep-value".into()),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    }
}

/// The text of an option.
fn filled(text: &str) -> Result<String, String> {
    filled_in(Path::new("/nonexistent"), text)
}

/// The same, with relative paths from `folder`.
fn filled_in(folder: &Path, text: &str) -> Result<String, String> {
    match Values::new(&environment, folder, false).fill_in(text, true) {
        Ok(filled) => Ok(filled.text),
        Err(Fault::Text(reason) | Fault::File { reason, .. }) => Err(reason),
    }
}

#[test]
fn a_default_stands_for_a_variable_that_is_unset_or_empty() {
    for (text, expected) in [
        ("${HOST:-x}", "example.org"),
        ("${NOPE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("a${NOPE:-}b", "ab"),
        ("${NOPE:-${HOST}:5672}/", "example.org:5672/"),
        ("${NOPE:-${EMPTY:-${DEEP}}}", "deep-value"),
        ("${HOST:-${NOPE}}", "example.org"),
        ("${HOST:-${file:/nowhere}}", "example.org"),
        ("${NOPE:-a:-b}", "a:-b"),
        ("${NOPE:-$${x}", "${x"),
        ("$${NOPE:-x}", "${NOPE:-x}"),
        ("${HOST}${DEEP}", "example.orgdeep-value"),
        ("}{$$}", "}{$$}"),
    ] {
        assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn only_a_text_with_a_reference_has_one() {
    for (text, expected) in [("${HOST}", true), ("x${NOPE:-5}", true), ("$${HOST}", false), ("5", false)] {
        let values = Values::new(&environment, Path::new("/"), false);
        assert_eq!(values.fill_in(text, true).expect(text).has_reference, expected, "{text}");
    }
}

#[test]
fn a_reference_that_is_wrong_is_told_without_its_default() {
    for (text, expected) in [
        ("${NOPE}", "the environment variable NOPE is not set"),
        ("${NOPE:-${NOPE}}", "the environment variable NOPE is not set"),
        ("${NOPE:-hunter2", "expected `}` after `${`, found the end"),
        ("${HOST:-${NOPE}", "expected `}` after `${`, found the end"),
        ("${file:/x", "expected `}` after `${`, found the end"),
        ("${file:}", "expected a path after `${file:`, found nothing"),
        ("${1X:-hunter2}", "found \"1X\""),
        ("${HOST:=hunter2}", "found \"HOST\""),
        ("${HOST-x}", "found \"HOST-x\""),
        ("${HOST:-${a b}}", "found \"a b\""),
        ("${NOPE:-a\0}", "found a NUL character"),
    ] {
        let refusal = filled(text).expect_err(text);
        assert!(refusal.contains(expected) && !refusal.contains("hunter2"), "{text}: {refusal}");
    }
}

#[test]
fn references_inside_each_other_have_a_limit() {
    let nested = |begin: &str, depth: usize| format!("{}x{}", begin.repeat(depth), "}".repeat(depth));
    assert_eq!(filled(&nested("${NOPE:-", 16)).as_deref(), Ok("x"));
    assert_eq!(filled(&nested("${HOST:-", 16)).as_deref(), Ok("example.org"));
    assert_eq!(filled(&"${NOPE:-x}".repeat(100)), Ok("x".repeat(100)), "side by side there is no limit");
    for depth in [17, 1000, 100_000] {
        for begin in ["${NOPE:-", "${HOST:-", "${file:"] {
            let refusal = filled(&nested(begin, depth)).expect_err(begin);
            let expected = "expected at most 16 references `${…}` inside each other, found more: write fewer";
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }
}

#[test]
fn a_file_gives_its_content_without_one_newline_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    for (content, expected) in [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("a\nb\n\n", "a\nb\n"),
        ("", ""),
    ] {
        fs::write(folder.path().join("key"), content).expect("writable");
        assert_eq!(filled_in(folder.path(), "${file:key}").as_deref(), Ok(expected), "{content:?}");
        let absolute = format!("<${{file:{}/key}}>", folder.path().display());
        assert_eq!(filled_in(Path::new("/"), &absolute), Ok(format!("<{expected}>")), "{content:?}");
    }
    fs::create_dir(folder.path().join("deep-value")).expect("room");
    fs::write(folder.path().join("deep-value/key"), "in a folder").expect("writable");
    assert_eq!(filled_in(folder.path(), "${file:${DEEP}/key}").as_deref(), Ok("in a folder"));
    assert_eq!(filled_in(folder.path(), "${file:${NOPE:-deep-value}/key}").as_deref(), Ok("in a folder"));
}

#[test]
fn files_and_values_that_were_used_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("deep-value")).expect("room");
    fs::write(folder.path().join("deep-value/key"), "s3cret\n").expect("writable");
    let values = Values::new(&environment, folder.path(), false);
    values.fill_in("${HOST}", true).expect("right");
    let mark = values.mark();
    values.fill_in("${file:${DEEP}/key}", true).expect("right");
    let used = values.used_since(mark);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(used.values, [pair("DEEP", "deep-value"), pair("file:${DEEP}/key", "s3cret")]);
    assert_eq!(used.files, [folder.path().join("deep-value/key")]);
}

#[test]
fn only_an_option_comes_from_a_file() {
    let values = Values::new(&environment, Path::new("/"), false);
    let Err(Fault::Text(reason)) = values.fill_in("${file:/etc/hostname}", false) else {
        panic!("it is refused")
    };
    assert_eq!(reason, "`${file:…}` is possible in `[backend.config]` alone");
}

#[test]
fn a_file_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("large"), "x".repeat((64 << 10) + 1)).expect("writable");
    fs::write(at("largest"), "x".repeat(64 << 10)).expect("writable");
    fs::write(at("binary"), b"hunter2\xff").expect("writable");
    fs::create_dir(at("folder")).expect("room");
    assert!(filled_in(folder.path(), "${file:largest}").is_ok());
    for (name, expected) in [
        ("none", "(os error 2)"),
        ("large", "larger than 64 KiB"),
        ("binary", "UTF-8"),
        ("folder", "expected a regular file, found a folder"),
    ] {
        let refusal = filled_in(folder.path(), &format!("${{file:{name}}}")).expect_err(name);
        let begin = format!("file {}: can't be used: ", at(name).display());
        assert!(refusal.starts_with(&begin) && refusal.contains(expected), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_is_refused_unless_the_configuration_is_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    fs::write(&file, "s3cret").expect("writable");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).expect("ours");
    let refusal = filled_in(folder.path(), "${file:key}").expect_err("the group can write it");
    assert!(refusal.contains("it must not be writable by group or others") && refusal.contains("chmod go-w"));
    let trusting = Values::new(&environment, folder.path(), true);
    assert_eq!(trusting.fill_in("${file:key}", true).expect("trusted").text, "s3cret");
}

#[test]
fn what_only_a_shell_replaces_is_refused() {
    for (text, expected) in [
        ("~/events.jsonl", "found `~/`, which only a shell replaces: write `${HOME}/`"),
        ("$HOME/events.jsonl", "found `$HOME/`, which only a shell replaces: write `${HOME}/`"),
        ("$DEEP/x", "found `$DEEP/`, which only a shell replaces: write `${DEEP}/`"),
    ] {
        assert_eq!(filled(text), Err(expected.to_owned()));
    }
    for text in ["pa$HOME/x", "$2y$10$abc/x", "$nope/x", "~user/x", "a~/x", "$HOME", "~", "${HOME}/x"] {
        assert!(filled(text).is_ok(), "{text}");
    }
    // Other paths of the configuration begin at the home folder.
    let values = Values::new(&environment, Path::new("/"), false);
    assert_eq!(values.fill_in("~/plugins", false).expect("a path").text, "~/plugins");
}
