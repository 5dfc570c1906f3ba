use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use jackfield_loader::files::{Mode, ReplaceLock, Survives, replace};
use proptest::prelude::*;

use super::*;
use crate::consent::source::ConsentSource;

#[path = "first_run_tests.rs"]
mod first_run;

type Variables = Arc<Mutex<BTreeMap<String, String>>>;

/// A user's folder with a file that need not exist, and an environment.
struct User {
    folder: tempfile::TempDir,
    variables: Variables,
}

impl User {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Variables::default() }
    }

    fn with_file(text: &str) -> Self {
        let user = Self::new();
        fs::write(user.file(), text).unwrap();
        user
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn set(&self, name: &str, value: &str) -> &Self {
        self.variables.lock().unwrap().insert(name.to_owned(), value.to_owned());
        self
    }

    fn options(&self) -> ConsentOptions {
        ConsentOptions {
            prefix: Some("TOOL".to_owned()),
            file: Some(self.file()),
            ..ConsentOptions::default()
        }
    }

    fn source(&self) -> ConsentSource {
        self.source_with(self.options())
    }

    fn source_with(&self, options: ConsentOptions) -> ConsentSource {
        let variables = Arc::clone(&self.variables);
        ConsentSource::with_environment(options, move |name: &str| {
            variables.lock().unwrap().get(name).map(OsString::from)
        })
    }
}

const YES: &str = "[telemetry]\nenabled = true\n";
const NO: &str = "[telemetry]\nenabled = false\n";

#[track_caller]
fn decides(user: &User, collection: Collection, why: &str) {
    let consent = user.source().read();
    assert_eq!(consent.collection, collection, "{consent:?}");
    assert!(consent.why.to_string().contains(why), "{} has no {why:?}", consent.why);
}

#[test]
fn nothing_is_collected_until_somebody_consents() {
    decides(&User::new(), Collection::Off, "nobody has consented");
    decides(
        &User::with_file("# nothing\n[other]\nenabled = true\n"),
        Collection::Off,
        "nobody has consented",
    );
}

#[test]
fn the_file_decides_and_its_line_is_told() {
    let user = User::with_file("# mine\n\n[telemetry]\nenabled = true\n");
    decides(&user, Collection::On, "telemetry.enabled = true at ");
    decides(&user, Collection::On, "config.toml:4");
    decides(&User::with_file(NO), Collection::Off, "config.toml:2");
    decides(&User::with_file("telemetry.enabled = true"), Collection::On, "config.toml:1");
    decides(
        &User::with_file("\u{feff}a = 1\ntelemetry = { enabled = true }"),
        Collection::On,
        "config.toml:2",
    );
}

#[test]
fn do_not_track_is_an_opt_out_with_most_values() {
    for value in ["1", "true", "yes", "no", "TRUE", "anything"] {
        let user = User::with_file(YES);
        user.set("DO_NOT_TRACK", value).set("TOOL_TELEMETRY_ENABLED", "true");
        decides(&user, Collection::Off, &format!("DO_NOT_TRACK={value}"));
    }
    for value in ["", "0", "false", "False", " "] {
        let user = User::with_file(YES);
        user.set("DO_NOT_TRACK", value);
        decides(&user, Collection::On, "config.toml:2");
    }
}

#[test]
fn an_opt_out_wins_wherever_it_stands() {
    let user = User::with_file(NO);
    user.set("TOOL_TELEMETRY_ENABLED", "true");
    decides(&user, Collection::Off, "config.toml:2");
    for (own, all) in [("true", "false"), ("false", "true"), ("false", "")] {
        let user = User::with_file(YES);
        user.set("TOOL_TELEMETRY_ENABLED", own).set("TELEMETRY_ENABLED", all);
        decides(&user, Collection::Off, "TELEMETRY_ENABLED=false");
    }
    let user = User::with_file(YES);
    user.set("TOOL_TELEMETRY_ENABLED", "maybe");
    decides(&user, Collection::Off, "TOOL_TELEMETRY_ENABLED=maybe");
}

#[test]
fn one_variable_does_not_opt_in_every_tool_on_the_machine() {
    let user = User::new();
    user.set("TELEMETRY_ENABLED", "true");
    decides(&user, Collection::Off, "nobody has consented");
    assert_eq!(user.source().read().ignored.unwrap().to_string(), "TELEMETRY_ENABLED=true");
    let options = ConsentOptions { unprefixed_opt_in: true, ..user.options() };
    assert_eq!(user.source_with(options).read().collection, Collection::On);
    // A tool without a prefix has no variable of its own.
    let options = ConsentOptions { prefix: None, ..user.options() };
    assert_eq!(user.source_with(options).read().collection, Collection::Off);
    user.set("TOOL_TELEMETRY_ENABLED", "1");
    decides(&user, Collection::On, "TOOL_TELEMETRY_ENABLED=1");
}

#[test]
fn local_only_narrows_consent_and_is_none() {
    let user = User::with_file(YES);
    user.set("TELEMETRY_LOCAL", "true");
    decides(&user, Collection::LocalOnly, "config.toml:2");
    assert_eq!(user.source().read().local.unwrap().name, "TELEMETRY_LOCAL");
    user.set("DO_NOT_TRACK", "1");
    decides(&user, Collection::Off, "DO_NOT_TRACK=1");
    let user = User::new();
    user.set("TOOL_TELEMETRY_LOCAL", "1");
    decides(&user, Collection::Off, "nobody");
}

#[test]
fn an_organisation_decides_for_its_people() {
    let user = User::with_file(NO);
    user.set("DO_NOT_TRACK", "1").set("TELEMETRY_LOCAL", "1");
    let source = user.source_with(ConsentOptions { force_enabled: true, ..user.options() });
    assert_eq!((source.read().collection, source.read().why), (Collection::On, ConsentReason::Forced));
    assert_eq!(source.disable().unwrap().why, ConsentReason::Forced);
}

#[test]
fn a_file_that_can_not_be_understood_is_no_consent() {
    for (text, why) in [
        ("telemetry = \n", "line 1: not TOML"),
        ("[telemetry]\nenabled = true\nenabled = true\n", "not TOML"),
        ("[telemetry]\nenabled = \"true\"\n", "line 2: `telemetry.enabled`: expected true or false"),
        ("telemetry = true\n", "line 1: `telemetry`: expected a table"),
        ("[[telemetry]]\nenabled = true\n", "expected a table"),
    ] {
        let user = User::with_file(text);
        user.set("TOOL_TELEMETRY_ENABLED", "true");
        decides(&user, Collection::Off, why);
        assert_eq!(user.source().read().why.to_string().lines().count(), 1);
    }
    let user = User::new();
    fs::write(user.file(), b"\xff\xfe[telemetry]\nenabled = true\n").unwrap();
    decides(&user, Collection::Off, "no consent can be read");
    fs::write(user.file(), format!("{YES}#{}", "x".repeat(1 << 20))).unwrap();
    decides(&user, Collection::Off, "larger than 1 MiB");
    let user = User::new();
    fs::create_dir(user.file()).unwrap();
    decides(&user, Collection::Off, "no consent can be read");
}

#[cfg(unix)]
#[test]
fn a_pipe_and_a_file_of_others_give_no_consent() {
    use std::os::unix::fs::PermissionsExt as _;
    let user = User::with_file(YES);
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (file, folder, why) in [
        (0o666, 0o700, "the file must not be writable by group or others, and has mode 0666"),
        (0o660, 0o700, "the file must not be writable by group or others, and has mode 0660"),
        (0o600, 0o777, "its folder must not be writable by group or others, and has mode 0777"),
    ] {
        mode(&user.file(), file);
        mode(user.folder.path(), folder);
        decides(&user, Collection::Off, why);
    }
    mode(user.folder.path(), 0o700);
    decides(&user, Collection::On, "");
    fs::remove_file(user.file()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(user.file()).status().unwrap();
    assert!(made.success());
    decides(&user, Collection::Off, "expected a regular file, found a FIFO or pipe");
    fs::remove_file(user.file()).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", user.file()).unwrap();
    decides(&user, Collection::Off, "no consent can be read");
    user.source().enable().unwrap_err();
}

#[test]
fn a_change_within_one_step_of_the_clock_is_seen() {
    let user = User::with_file(YES);
    let source = user.source();
    for round in 0..200 {
        let (text, expected) = if round % 2 == 0 { (NO, false) } else { (&*format!("{YES} "), true) };
        // The same length, in place, with the times of the file set back to one and the same.
        fs::write(user.file(), text).unwrap();
        let file = fs::OpenOptions::new().write(true).open(user.file()).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
        assert_eq!(source.read().is_enabled(), expected, "round {round}");
    }
    assert_eq!(NO.len(), format!("{YES} ").len());
}

#[test]
fn only_a_changed_file_is_read_again() {
    let now = std::time::SystemTime::now();
    let user = User::with_file(YES);
    let source = user.source();
    assert!(source.read_at(now).is_enabled());
    assert!(!source.is_cached(), "the file is young");
    assert!(source.read_at(now + std::time::Duration::from_secs(60)).is_enabled());
    assert!(source.is_cached());
    fs::write(user.folder.path().join("new"), NO).unwrap();
    fs::rename(user.folder.path().join("new"), user.file()).unwrap();
    assert!(!source.read().is_enabled());
    fs::remove_file(user.file()).unwrap();
    assert_eq!(source.read().why, ConsentReason::NoAnswer);
}

#[test]
fn the_environment_is_read_again_each_time() {
    let user = User::with_file(YES);
    let source = user.source();
    assert!(source.read().is_enabled());
    user.set("DO_NOT_TRACK", "1");
    assert!(!source.read().is_enabled());
}

#[test]
fn an_answer_of_this_source_is_current_at_once() {
    let user = User::new();
    let source = user.source();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = source.current();
                }
            });
        }
        let rounds = (0..100).map(|round| {
            let expected = if round % 2 == 0 { Collection::On } else { Collection::Off };
            source.write(expected == Collection::On, false).unwrap();
            (0..50).all(|_| source.current() == expected)
        });
        let right = rounds.filter(|right| *right).count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(right, 100);
    });
}

#[test]
fn what_others_change_is_current_when_the_age_is_reached() {
    let user = User::with_file(YES);
    let source = user.source();
    assert_eq!(source.current(), Collection::On);
    user.source().disable().unwrap();
    std::thread::sleep(ConsentSource::MAX_AGE);
    assert_eq!(source.current(), Collection::Off);
    user.source().enable().unwrap();
    std::thread::sleep(ConsentSource::MAX_AGE);
    assert_eq!(source.current(), Collection::On);
    user.set("DO_NOT_TRACK", "1");
    std::thread::sleep(ConsentSource::MAX_AGE);
    assert_eq!(source.current(), Collection::Off);
}

#[test]
fn a_recent_answer_costs_no_look_at_environment_or_file() {
    let looks = Arc::new(Mutex::new(0_u32));
    let counted = Arc::clone(&looks);
    let source = ConsentSource::with_environment(ConsentOptions::default(), move |_: &str| {
        *counted.lock().unwrap() += 1;
        None
    });
    let _ = source.read();
    let a_read = std::mem::take(&mut *looks.lock().unwrap());
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        assert_eq!(source.current(), Collection::Off);
    }
    let reads = *looks.lock().unwrap() / a_read;
    let due = start.elapsed().as_millis() / ConsentSource::MAX_AGE.as_millis() + 1;
    assert!(a_read > 0 && (1..=due).contains(&u128::from(reads)), "{reads} reads, {due} due");
}

#[test]
fn the_answer_is_written_beside_all_that_is_there() {
    for (before, after) in [
        ("", "[telemetry]\nenabled = false\n"),
        (
            "# mine\na = 1 # one\n\n[telemetry] # head\n# why\nenabled = true # tail\nb = [1,\n 2]\n",
            "# mine\na = 1 # one\n\n[telemetry] # head\n# why\nenabled = false # tail\nb = [1,\n 2]\n",
        ),
        ("a = 1\n[other]\nb = 2\n", "a = 1\n[other]\nb = 2\n\n[telemetry]\nenabled = false\n"),
        ("a = 1\n# end", "a = 1\n# end\n\n[telemetry]\nenabled = false\n"),
        ("# a\r\n[other]\r\n", "# a\r\n[other]\r\n\r\n[telemetry]\r\nenabled = false\r\n"),
        ("[telemetry] # x\r\nb = 2\r\n[c]\r\n", "[telemetry] # x\r\nenabled = false\r\nb = 2\r\n[c]\r\n"),
        ("[telemetry]", "[telemetry]\nenabled = false\n"),
        ("telemetry = { endpoint = \"x\" }\n", "telemetry = { enabled = false, endpoint = \"x\" }\n"),
        ("a = 1\ntelemetry = {}\n", "a = 1\ntelemetry = { enabled = false}\n"),
        (
            "a = 1\ntelemetry.endpoint = \"x\"\n",
            "telemetry.enabled = false\na = 1\ntelemetry.endpoint = \"x\"\n",
        ),
        ("[telemetry.tls]\nca = 'x'\n", "[telemetry.tls]\nca = 'x'\n\n[telemetry]\nenabled = false\n"),
        ("[telemetry]\nenabled = 'yes' # ?\n", "[telemetry]\nenabled = false # ?\n"),
        ("\u{feff}a = 1\n", "\u{feff}a = 1\n\n[telemetry]\nenabled = false\n"),
    ] {
        let user = User::with_file(before);
        let consent = user.source().disable().unwrap();
        assert_eq!(user.text(), after);
        assert!(matches!(consent.why, ConsentReason::File { enabled: false, .. }), "{consent:?}");
    }
}

#[test]
fn a_file_that_can_not_be_understood_is_not_touched() {
    for text in ["telemetry = true\n", "a = \n", "[[telemetry]]\n", "[telemetry]\n[telemetry.enabled]\n"] {
        let user = User::with_file(text);
        let error = user.source().disable().unwrap_err().to_string();
        assert!(error.contains("config.toml:"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(user.text(), text);
    }
}

#[cfg(unix)]
#[test]
fn a_new_file_is_private_and_an_old_mode_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let user = User::new();
    let file = user.folder.path().join("a/b/config.toml");
    let options = ConsentOptions { file: Some(file.clone()), ..user.options() };
    assert!(user.source_with(options).enable().unwrap().is_enabled());
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("a/b/config.toml", user.file()).unwrap();
    assert!(!user.source().disable().unwrap().is_enabled());
    assert_eq!(mode(&file), 0o640);
    assert!(fs::symlink_metadata(user.file()).unwrap().is_symlink());
    assert!(fs::read_to_string(file).unwrap().contains("enabled = false"));
}

#[test]
fn without_a_folder_there_is_no_consent_to_write() {
    let source = ConsentSource::with_environment(ConsentOptions::default(), |_: &str| None);
    assert_eq!(source.read().why, ConsentReason::NoAnswer);
    assert!(source.enable().unwrap_err().to_string().contains("HOME"));
    let user = User::new();
    fs::write(user.folder.path().join("file"), "").unwrap();
    let file = Some(user.folder.path().join("file/config.toml"));
    let blocked = user.source_with(ConsentOptions { file, ..user.options() });
    assert!(!blocked.read().is_enabled());
    assert!(blocked.disable().unwrap_err().to_string().starts_with("consent "));
}

#[test]
fn writers_at_once_keep_each_others_keys() {
    let user = User::with_file("# top\n");
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let user = &user;
            scope.spawn(move || {
                for round in 0..10 {
                    if writer % 2 == 0 {
                        user.source().write(round % 2 == 0, false).unwrap();
                        continue;
                    }
                    // Another program of the tool's, which takes the same lock.
                    let _lock = ReplaceLock::of(&user.file()).unwrap();
                    let text = format!(
                        "# top\nw{writer}r{round} = 1\n{}",
                        user.text().trim_start_matches("# top\n")
                    );
                    replace(&user.file(), text.as_bytes(), Mode::Private, Survives::Crash).unwrap();
                }
            });
        }
    });
    let text = user.text();
    for writer in [1, 3, 5] {
        for round in 0..10 {
            assert!(text.contains(&format!("w{writer}r{round} = 1\n")), "{text}");
        }
    }
    assert!(text.starts_with("# top\n") && text.contains("enabled = "), "{text}");
    let left: Vec<_> =
        fs::read_dir(user.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop::option::of(
        prop::sample::select(vec!["", "0", "1", "true", "false", "on", "off", "no", "x"])
            .prop_map(str::to_owned),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_ever_on_beside_an_opt_out_nor_without_consent(
        values in prop::collection::vec(value(), 6),
        file in prop::sample::select(vec!["", YES, NO, "broken = "]),
        unprefixed_opt_in in any::<bool>(),
    ) {
        let names = ["DO_NOT_TRACK", "TOOL_DO_NOT_TRACK", "TELEMETRY_ENABLED", "TOOL_TELEMETRY_ENABLED", "TELEMETRY_LOCAL", "TOOL_TELEMETRY_LOCAL"];
        let of = |at: usize| values[at].as_deref().unwrap_or_default();
        let environment = |name: &str| {
            names.iter().position(|known| *known == name).and_then(|at| values[at].clone()).map(OsString::from)
        };
        let options = ConsentOptions { prefix: Some("TOOL".into()), unprefixed_opt_in, ..ConsentOptions::default() };
        let answer = || parse(file, Path::new("config.toml"));
        let consent = decide(&options, &Names::new(Some("TOOL")), &environment, answer);
        let yes = |at: usize| matches!(of(at), "1" | "true" | "on");
        let out = (0..2).any(|at| !matches!(of(at), "" | "0" | "false"))
            || (2..4).any(|at| !of(at).is_empty() && !yes(at))
            || file == NO
            || file.starts_with("broken");
        let consented = yes(3) || (yes(2) && unprefixed_opt_in) || file == YES;
        prop_assert_eq!(consent.is_enabled(), consented && !out, "{:?}", consent);
        let local = (4..6).any(|at| !matches!(of(at), "" | "0" | "false" | "off" | "no"));
        prop_assert_eq!(consent.collection == Collection::LocalOnly, consent.is_enabled() && local);
    }

    #[test]
    fn any_file_is_read_and_edited_without_a_panic(text in any::<String>(), at in 0_usize..40, junk in ".{0,3}") {
        let mut near = "# c\n[telemetry] # x\nenabled = true # y\n".to_owned();
        let at = near.floor_char_boundary(at.min(near.len()));
        near.insert_str(at, &junk);
        for text in [text, near] {
            let before = parse(&text, Path::new("f"));
            let user = User::with_file(&text);
            match user.source().disable() {
                Ok(consent) => prop_assert_eq!(consent.collection, Collection::Off),
                Err(_) => prop_assert_eq!(user.text(), text),
            }
            prop_assert!(before == parse(&user.text(), Path::new("f")) || !user.source().read().is_enabled());
        }
    }
}
