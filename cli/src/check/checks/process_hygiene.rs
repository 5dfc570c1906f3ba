//! The process of the tool: what a plugin must not change in it or leave behind.

use std::{cell::RefCell, collections::BTreeSet, env, path::Path};

use jackfield_loader::{
    conformance::{Left, Made, ProcessState},
    files::{self, Access},
    in_prose,
    reexec::{LISTS_PROCESSES, processes_beside},
};

use crate::check::{
    harness::{self, CheckError, CheckResult, Harness, SHORT, TIMEOUT, fail, skip},
    left,
    lives::{Life, Lives},
};

/// Looks at the process before and after each call of every kind of life.
pub(super) fn process_state(harness: &Harness) -> CheckResult {
    let before = &harness.before;
    let changed = RefCell::new(BTreeSet::new());
    let look = || changed.borrow_mut().extend(before.changed(&ProcessState::now()));
    look();
    Lives::new(harness, SHORT)?.each(look)?;
    let changed: Vec<String> = changed.into_inner().into_iter().collect();
    if !changed.is_empty() {
        return Err(fail(
            format!("changed: {}", changed.join(", ")),
            "these belong to the tool: take values of your own instead (absolute paths, uselocale, sigmask of own threads, descriptors that you have opened)",
        ));
    }
    Ok(format!("{} settings of the process and the calling thread are as before", before.len()))
}

/// The process has to end with a closed instance and an open one, whose threads may be running. Its end is looked at from outside.
pub(super) fn exit(harness: &Harness) -> CheckResult {
    let here = env::current_dir();
    if let (Err(_), Ok(here)) = (enter_folder(harness), here) {
        let _ = env::set_current_dir(here);
    }
    Life::configured(harness).live(harness, TIMEOUT, || ())?;
    let left = harness.open()?;
    harness::send_ordinary(&left, 3, TIMEOUT)?;
    let left = if LISTS_PROCESSES { "no process and no file" } else { "no file; no process was looked for" };
    Ok(format!("a program that returns from `main` ends, and leaves {left}"))
}

/// Makes the folder of the check the working folder, from which the plugin has to be able to open.
fn enter_folder(harness: &Harness) -> Result<(), CheckError> {
    env::set_current_dir(&harness.task.folder)
        .map_err(|error| skip(format!("the folder of the check can't be entered: {error}")))?;
    match harness.open().and_then(harness::end) {
        Err(CheckError::Failed { found, .. }) => {
            Err(skip(format!("the options have a path that starts in this folder: {found}")))
        }
        _ => Ok(()),
    }
}

/// No process, file, shared memory or other object is left of lives that have ended. The working folder, and that of temporary
/// files, is one that nothing else uses. Elsewhere, only what the plugin itself has made counts.
pub(super) fn leftovers(harness: &Harness) -> CheckResult {
    let folder = &harness.task.folder;
    let shared_before = shared_memory();
    // Windows keeps the loader's copy of the library, which is a temporary file.
    let copies = if cfg!(windows) { left::files(folder) } else { Vec::new() };
    enter_folder(harness)?;
    let lives = Lives::new(harness, SHORT)?;
    for _ in 0..2 {
        lives.each(|| ())?;
    }
    // What a thread makes that still runs counts, too.
    harness.wait_for_threads();
    let left = left::processes(processes_beside, true);
    if !left.is_empty() {
        return Err(fail(
            format!("processes are left: {}", in_prose(left.iter().map(String::as_str))),
            "a plugin starts no process that outlives its instance, and waits for the end of each that it starts",
        ));
    }
    let (mut files, mut objects) = (left::files(folder), Vec::new());
    files.retain(|file| !copies.contains(file));
    for left in harness.made.iter().flat_map(Made::left) {
        match left {
            Left::File(file) if file.starts_with(folder) => {}
            Left::File(file) => files.push(file),
            Left::Object(object) => objects.push(object),
            _ => {}
        }
    }
    if let Some(found) = left::files_in_words(&files, &harness.config, folder) {
        return Err(fail(
            found,
            "remove temporary files in `close`, and write none into the working folder, which is the user's",
        ));
    }
    let shared: Vec<String> = shared_memory().difference(&shared_before).cloned().collect();
    if !shared.is_empty() {
        return Err(fail(
            format!("memory is left mapped: {}", in_prose(shared.iter().map(String::as_str))),
            "unmap in `close` what the instance has mapped, and remove it",
        ));
    }
    if !objects.is_empty() {
        return Err(fail(
            format!("left: {}", in_prose(objects.iter().map(String::as_str))),
            "remove in `close` what the instance has made: the system keeps it until it is started again",
        ));
    }
    const NOTHING: &str = if LISTS_PROCESSES {
        "no process, no file in TMPDIR and the working folder, and no mapped shared memory is left"
    } else {
        "no file in the folder of temporary files and the working folder is left"
    };
    Ok(if harness.made.is_some() {
        format!("{NOTHING}, nothing in /tmp, /var/tmp and /dev/shm, and no object of System V or queue")
    } else {
        format!(
            "{NOTHING}; elsewhere nothing was looked for, because this system shows no process its system calls"
        )
    })
}

/// The names of the shared memory that is mapped.
fn shared_memory() -> BTreeSet<String> {
    let maps = files::read(Path::new("/proc/self/maps"), Access::Read, 8 << 20).unwrap_or_default();
    let names = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5)).map(str::trim);
    let is_shared =
        |name: &&str| ["/dev/shm/", "/SYSV", "/memfd:"].iter().any(|start| name.starts_with(start));
    names.filter(is_shared).map(str::to_owned).collect()
}
