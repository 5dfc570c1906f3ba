//! Plugins that are linked into the program. Each stage judges them as it judges a library.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(unsafe_code, reason = "plugins that `plugin!` does not make")]

use std::{convert::Infallible, fs, path::Path};

use jackfield_loader::{
    Backend, BackendOptions, Batch, Candidate, Error, EventFields, Location, Plugin, Policy, Trust,
    add_built_in, find, inspect, loaded_images,
};
use jackfield_plugin_api::{
    Call, Error as PluginError, Host, Outcome, Outcomes, StaticPlugin, abi::TableEntry,
};

/// Two plugins in one program, each with a module of its own as crates would be.
macro_rules! sink {
    ($module:ident, $name:literal) => {
        mod $module {
            use super::*;

            #[derive(serde::Deserialize)]
            pub(crate) struct Config {
                pub(crate) answer: String,
            }

            pub(crate) struct Sink(Config);

            impl jackfield_plugin_api::Backend for Sink {
                type Config = Config;

                fn open(config: Config, _: Host, _: &Call<'_>) -> Result<Self, PluginError> {
                    Ok(Self(config))
                }

                fn send(&self, _: &jackfield_plugin_api::Batch<'_>, _: &Call<'_>) -> Outcomes {
                    match &*self.0.answer {
                        "panic" => panic!("as asked"),
                        answer => Outcome::rejected(format!("{}: {answer}", $name)).into(),
                    }
                }
            }

            jackfield_plugin_api::plugin! {
                backend: Sink,
                name: $name,
                config_schema: r#"{"type": "object", "properties": {"answer": {"type": "string"}}}"#,
            }
        }
    };
}

sink!(first, "first-sink");
sink!(second, "second-sink");

/// A plugin with this metadata, and without tables.
fn broken(name: &'static str, metadata: String) -> StaticPlugin {
    const NO_TABLES: &[TableEntry] = &[];
    // SAFETY: there is no table.
    unsafe { StaticPlugin::new(name, metadata.leak().as_bytes(), NO_TABLES, NO_TABLES) }
}

/// The metadata of the first plugin with another name, and a change of the text.
fn changed(name: &str, from: &str, to: &str) -> String {
    let good = std::str::from_utf8(first::PLUGIN.metadata()).expect("JSON").replace("first-sink", name);
    assert!(good.contains(from), "{from}: {good}");
    good.replace(from, to)
}

fn found(name: &str) -> Location {
    find(name, &[], Path::new("/")).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(name: &str) -> String {
    Plugin::load(found(name), Trust::Owner).expect_err(name).to_string()
}

fn batch() -> Batch {
    Batch::build((), |(), batch| {
        batch.push(&EventFields { json: r#"{"type":"a","name":"b"}"#, ..EventFields::default() });
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

fn options(answer: &str) -> BackendOptions {
    BackendOptions::new("main").config(format!(r#"{{"answer": "{answer}"}}"#))
}

#[test]
fn two_plugins_of_one_program_are_found_and_called() {
    add_built_in(&[first::PLUGIN, second::PLUGIN]);
    let images = loaded_images();
    for name in ["first-sink", "second-sink"] {
        // A hyphen equals an underscore, as in the names of files.
        assert_eq!(found(name), found(&name.replace('-', "_")));
        let plugin = Plugin::load(found(name), Trust::Owner).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((plugin.metadata().name.as_raw(), plugin.location().file()), (name, None));
        let backend = Backend::open(&plugin, &options("no")).expect("it opens");
        let report = backend.send(&batch());
        assert_eq!(report.outcomes().next(), Some(&Outcome::rejected(format!("{name}: no"))));
    }
    assert_eq!(loaded_images(), images, "no library is loaded");
    let line = find("secnod-sink", &[], Path::new("/")).unwrap_err().to_string();
    // Other tests of this program add others.
    let (_, names) = line.split_once("; built in: ").unwrap_or_else(|| panic!("{line}"));
    assert!(["first-sink", "second-sink"].iter().all(|name| names.contains(name)), "{line}");
    assert!(names.ends_with("; did you mean \"second-sink\"?"), "{line}");
}

#[test]
fn a_file_on_the_search_path_comes_first() {
    add_built_in(&[first::PLUGIN]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = [folder.path().to_owned()];
    let built_in = find("first-sink", &path, Path::new("/")).expect("built in");
    assert_eq!(built_in.to_string(), "built-in plugin first-sink");
    let file = folder.path().join(format!(
        "{}first-sink{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    fs::write(&file, "").expect("room");
    assert_eq!(find("first-sink", &path, Path::new("/")).expect("a file").file(), Some(&*file));
}

#[test]
fn no_policy_judges_what_is_a_part_of_the_program() {
    add_built_in(&[first::PLUGIN]);
    for trust in [Trust::Any, Trust::Owner, Trust::Pinned, Trust::Signed] {
        let candidate = Candidate::open(found("first-sink")).expect("good");
        candidate.allowed_by(Policy::new(trust)).unwrap_or_else(|error| panic!("{trust}: {error}"));
        let plugin = candidate.verify(trust).and_then(jackfield_loader::Verified::load).expect("good");
        plugin.still_allowed_by(trust).unwrap_or_else(|error| panic!("{trust}: {error}"));
    }
}

#[test]
fn the_guard_contains_a_panic_and_the_configuration_is_checked() {
    add_built_in(&[first::PLUGIN]);
    let plugin = Plugin::load(found("first-sink"), Trust::Owner).expect("good");
    let backend = Backend::open(&plugin, &options("panic")).expect("it opens");
    let report = backend.send(&batch());
    assert!(matches!(report.outcomes().next(), Some(Outcome::Retry { .. })), "{report:?}");
    assert_eq!(backend.stats().panics, 1);
    let wrong = BackendOptions::new("main").config(r#"{"answr": "no"}"#);
    let line = Backend::open(&plugin, &wrong).expect_err("no such key").to_string();
    assert!(line.starts_with("open: built-in plugin first-sink: backend `main` does not open: "), "{line}");
    assert!(line.contains("answr"), "{line}");
}

#[test]
fn each_check_of_a_library_refuses_a_built_in_plugin_too() {
    let abi = r#""abi":{"major":1"#;
    let schema = r#""config_schema":{"#;
    add_built_in(&[
        broken("newer", changed("newer", abi, r#""abi":{"major":2"#)),
        broken("no-json", changed("no-json", schema, r#""config_schema":{{"#)),
        broken("no-name", changed("no-name", r#""name":"no-name","#, "")),
        broken("aborts", changed("aborts", r#""panic":"unwind""#, r#""panic":"abort""#)),
        broken("demanding", changed("demanding", r#""requires":[]"#, r#""requires":["teleport"]"#)),
        broken("no-tables", changed("no-tables", schema, schema)),
    ]);
    for (name, expected) in [
        (
            "newer",
            "inspect: built-in plugin newer: expected ABI 1, found ABI 2: update the tool, or use an older plugin",
        ),
        ("no-json", "inspect: built-in plugin no-json: metadata is not a JSON object: "),
        ("no-name", "inspect: built-in plugin no-name: metadata, "),
        // Its panic strategy is the program's own, so it comes as far as the check.
        ("aborts", "check: built-in plugin aborts: "),
        ("demanding", "inspect: built-in plugin demanding: requires teleport, this host has "),
        ("no-tables", "check: built-in plugin no-tables: "),
    ] {
        let line = refusal(name);
        assert!(line.starts_with(expected), "{line}");
        assert!(!line.contains('\n'));
    }
    // Inspection alone refuses what can't be read, and has a verdict on the rest.
    assert!(matches!(inspect(found("no-json")), Err(Error::Inspect { .. })));
    assert!(inspect(found("newer")).expect("readable").verdict().is_err());
}
