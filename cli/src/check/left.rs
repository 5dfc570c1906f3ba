//! What a plugin leaves: processes and files.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    files::{self as file_system, Access},
    show_path,
};
use serde_json::{Map, Value};

/// Whether a file is where the options want it: they have its name, or its path begins with one of theirs or is above it.
fn is_named(file: &Path, options: &[String]) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // That of a semaphore.
    let name = name.strip_prefix("sem.").unwrap_or(&name);
    options.iter().any(|text| {
        let path = text.find('/').map(|start| &text[start..]).filter(|path| path.len() > 1);
        let is_of =
            |path: &str| file.to_string_lossy().starts_with(path) || Path::new(path).starts_with(file);
        let is_last = |rest: &str| rest.is_empty() || rest.ends_with(['/', ':', '=']);
        text.strip_suffix(name).is_some_and(is_last) || path.is_some_and(is_of)
    })
}

/// All texts in a value of JSON.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The name and the number of each process that `list` gives, when it gives none any more, or after 2 seconds. A process that has
/// ended counts if its parent has to wait for it.
pub(super) fn processes(list: impl Fn() -> Vec<u32>, zombies: bool) -> Vec<String> {
    let describe = |number: u32| {
        let status = Path::new("/proc").join(number.to_string()).join("status");
        let status = file_system::read(&status, Access::Read, 1 << 16).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        if !field("State:").starts_with('Z') {
            return Some(format!("{} ({number})", field("Name:")));
        }
        zombies.then(|| format!("{} ({number}, ended and not waited for)", field("Name:")))
    };
    let mut found: Vec<String> = Vec::new();
    poll(|| {
        found = list().into_iter().filter_map(describe).collect();
        found.is_empty()
    });
    found
}

/// Asks until it is so, at most for 2 seconds, because no event reports the end of a thread, or of a process that others have
/// started. Gives whether it is so.
pub(super) fn poll(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if start.elapsed() > Duration::from_secs(2) {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The files and the folders below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        }
    }
    found
}

/// Says how many files and folders are left, if there are some that the options do not name. `folder` is that of the check.
pub(super) fn files_in_words(
    files: &[PathBuf],
    options: &Map<String, Value>,
    folder: &Path,
) -> Option<String> {
    let options = texts(&Value::from(options.clone()));
    let left: Vec<&PathBuf> = files.iter().filter(|file| !is_named(file, &options)).collect();
    let name = show_path(left.first()?.strip_prefix(folder).unwrap_or(left[0]));
    Some(match left.len() {
        1 => format!("1 file or folder is left: {name}"),
        more => format!("{more} files and folders are left, such as {name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_options_are_named_by_them() {
        let options = texts(&serde_json::json!({
            "path": "/data/events", "more": [{"at": "unix:/run/x/s"}, "here.log"], "server": "tcp://127.0.0.1:9"
        }));
        for named in
            ["/data/events", "/data/events.1", "/data", "/run/x", "/tmp/here.log", "/data/events/a/b"]
        {
            assert!(is_named(Path::new(named), &options), "{named}");
        }
        for other in ["/tmp/conduct", "/run/y", "/dev/shm/sem.events2", "/tmp/127.0.0.1", "/tmp/log"] {
            assert!(!is_named(Path::new(other), &options), "{other}");
        }
        assert!(!is_named(Path::new("/tmp/x"), &texts(&serde_json::json!({"url": "/"}))));
    }
}
