//! What several of these tests need.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jackfield_loader::{Backend, BackendOptions, Backoff, Batch, Error, EventFields, Plugin, Trust};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Events with the ids `0`, `1`, ... and some fields.
pub(crate) fn batch(count: usize) -> Batch {
    let events: Vec<(String, String)> = (0..count)
        .map(|n| {
            let json =
                format!(r#"{{"id":"{n}","type":"feature.used","name":"n{n}","metadata":{{"k":"v"}}}}"#);
            (n.to_string(), json)
        })
        .collect();
    Batch::build(events, |events, writer| {
        for (id, json) in events {
            writer.push(&EventFields {
                json,
                id,
                kind: "feature.used",
                name: "name",
                metadata: Some(&[("k", "v")]),
                ..EventFields::default()
            });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible")
}

pub(crate) fn options(config: &serde_json::Value) -> BackendOptions {
    BackendOptions::new("under-test")
        .config(config.to_string())
        .circuit_backoff(Backoff { first: 100 * MS, longest: 400 * MS })
        .tool("e2e", "1.2.3")
}

pub(crate) fn load(path: &Path) -> Plugin {
    Plugin::load(path, Trust::Owner).unwrap_or_else(|error| panic!("{error}"))
}

/// Why a file is refused; one line that names the file.
pub(crate) fn refusal(path: &Path) -> String {
    let error = Plugin::load(path, Trust::Owner).expect_err("it is refused");
    one_line(&error, path)
}

pub(crate) fn one_line(error: &Error, path: &Path) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n'), "more than one line: {line}");
    assert!(line.len() < 600, "longer than a line should be: {line}");
    assert!(line.contains(&*path.file_name().expect("a name").to_string_lossy()), "names no file: {line}");
    line
}

pub(crate) fn open(path: &Path, config: &serde_json::Value) -> Backend {
    Backend::open(&load(path), &options(config)).unwrap_or_else(|error| panic!("{error}"))
}

/// The lines of a file, none when it is not there.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A folder that goes with the test, and a path in it.
pub(crate) fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    (folder, path)
}
