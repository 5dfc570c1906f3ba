//! The process of the tool: what a plugin must not change in it or leave behind.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{ProcessState, Terms, allocated, trim},
    files::{self, Access},
    in_prose,
    reexec::processes_below,
    show_path,
};

use crate::check::{
    harness::{self, CheckError, CheckResult, Harness, TIMEOUT, fail, skip},
    sample_events,
};

/// Opens an instance, sends events and ends it.
fn life(harness: &Harness) -> Result<(), CheckError> {
    let instance = harness.open()?;
    harness::send_ordinary(&instance, 3, TIMEOUT)?;
    harness::end(instance)
}

pub(super) fn process_state(harness: &Harness) -> CheckResult {
    let before = &harness.before;
    let loaded = ProcessState::now();
    let instance = harness.open()?;
    harness::send_ordinary(&instance, 3, TIMEOUT)?;
    let during = ProcessState::now();
    harness::end(instance)?;
    let mut changed = before.changed(&loaded);
    changed.extend(before.changed(&during));
    changed.extend(before.changed(&ProcessState::now()));
    changed.sort_unstable();
    changed.dedup();
    if !changed.is_empty() {
        return Err(fail(
            format!("changed: {}", changed.join(", ")),
            "these belong to the tool: take values of your own instead (absolute paths, uselocale, sigmask of own threads, descriptors that you have opened)",
        ));
    }
    Ok(format!("{} settings of the process and the calling thread are as before", before.len()))
}

/// The process has to end with a closed instance and an open one, whose threads may be running.
pub(super) fn exit(harness: &Harness) -> CheckResult {
    life(harness)?;
    let left = harness.open()?;
    harness::send_ordinary(&left, 3, TIMEOUT)?;
    Ok("a program that returns from `main` ends".to_owned())
}

/// No process, file or shared memory is left of lives that have ended. The working folder, and that of temporary files, is
/// one that nothing else uses.
pub(super) fn leftovers(harness: &Harness) -> CheckResult {
    let folder = &harness.task.folder;
    let shared_before = shared_memory();
    env::set_current_dir(folder)
        .map_err(|error| skip(format!("the folder of the check can't be entered: {error}")))?;
    if let Err(CheckError::Failed { found, .. }) = harness.open().and_then(harness::end) {
        return Err(skip(format!("the options have a path that starts in this folder: {found}")));
    }
    for _ in 0..3 {
        life(harness)?;
    }
    let start = Instant::now();
    let mut left = processes();
    // Polling, because no event reports the end of a process that others have started.
    while !left.is_empty() && start.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(10));
        left = processes();
    }
    if !left.is_empty() {
        return Err(fail(
            format!("processes are left: {}", in_prose(left.iter().map(String::as_str))),
            "a plugin starts no process that outlives its instance, and waits for the end of each that it starts",
        ));
    }
    let mut files = Vec::new();
    files_below(folder, &mut files);
    // A file that the options name is where the events go.
    let is_named = |file: &PathBuf| {
        file.file_name().is_some_and(|name| harness.task.config.contains(&*name.to_string_lossy()))
    };
    files.retain(|file| !is_named(file));
    if let Some(file) = files.first() {
        return Err(fail(
            format!(
                "{} files are left, such as {}",
                files.len(),
                show_path(file.strip_prefix(folder).unwrap_or(file))
            ),
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
    Ok("no process, no file in TMPDIR and the working folder, and no mapped shared memory is left of 3 lives"
        .to_owned())
}

/// The processes below this one, by name and number.
fn processes() -> Vec<String> {
    let describe = |number: u32| {
        let status = Path::new("/proc").join(number.to_string()).join("status");
        let status = files::read(&status, Access::Read, 1 << 16).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let zombie = if field("State:").starts_with('Z') { ", ended and not waited for" } else { "" };
        format!("{} ({number}{zombie})", field("Name:"))
    };
    processes_below().into_iter().map(describe).collect()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// The names of the shared memory that is mapped.
fn shared_memory() -> BTreeSet<String> {
    let maps = files::read(Path::new("/proc/self/maps"), Access::Read, 8 << 20).unwrap_or_default();
    let names = maps.lines().filter_map(|line| line.splitn(6, ' ').nth(5)).map(str::trim);
    let is_shared =
        |name: &&str| ["/dev/shm/", "/SYSV", "/memfd:"].iter().any(|start| name.starts_with(start));
    names.filter(is_shared).map(str::to_owned).collect()
}

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    descriptors: usize,
    mappings: usize,
    /// Resident memory, in KiB.
    memory: usize,
}

impl Held {
    /// `None` where there is no `/proc`.
    fn now() -> Option<Self> {
        let count = |folder: &str| fs::read_dir(folder).ok().map(Iterator::count);
        trim();
        let status = files::read(Path::new("/proc/self/status"), Access::Read, 1 << 16).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            threads: count("/proc/self/task")?,
            descriptors: count("/proc/self/fd")?,
            mappings: files::read(Path::new("/proc/self/maps"), Access::Read, 8 << 20).ok()?.lines().count(),
            memory: memory.trim().trim_end_matches(" kB").trim().parse().ok()?,
        })
    }

    /// The resources once no thread has ended for 50 ms: the thread that loaded the plugin may be ending.
    fn at_rest() -> Option<Self> {
        let (mut last, mut looks) = (Self::now()?, 0);
        while looks < 5 {
            thread::sleep(Duration::from_millis(10));
            let now = Self::now()?;
            looks = if now.threads < last.threads { 0 } else { looks + 1 };
            last = now;
        }
        Some(last)
    }

    /// Waits until there are not more threads and descriptors than in `goal`, at most 2 seconds.
    fn settled(goal: Self) -> Option<Self> {
        let start = Instant::now();
        loop {
            let now = Self::now()?;
            let settled = now.threads <= goal.threads && now.descriptors <= goal.descriptors;
            if settled || start.elapsed() > Duration::from_secs(2) {
                return Some(now);
            }
            // Polling, because no event reports the end of a thread.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Allowed growth of memory after the warm-up, in KiB: allocators keep some memory and allocate late.
const TOLERANCE: usize = 2 << 10;

/// The same in a process of its own, in KiB: the heap of a runtime such as Go's grows by 4 MiB before its first collection.
const FIRST_HEAP: usize = 8 << 10;

/// Allowed growth in the second half, in KiB, beyond the tolerance: growth that has stopped is no leak.
const LEVEL: usize = 512;

/// The number of parts of all lives after each of which the allocated memory is measured.
const PARTS: usize = 10;

/// The growth of allocated memory in the last half of all lives that is taken for a leak, in bytes. Plugins that start
/// threads and connections have grown by a third of it in 500 lives, and by ever less later on.
const LEAK: usize = 16 << 10;

/// What each life of the last half has left allocated, in bytes, if that is a [`LEAK`]. A leak grows in every part, by about
/// as much; a cache stops growing.
fn leak_of_each_life(allocated: &[usize], lives_of_part: usize) -> Option<usize> {
    const HALF: usize = PARTS / 2;
    let late = allocated.get(allocated.len().checked_sub(HALF + 1)?..)?;
    let grown = late[HALF].checked_sub(late[0]).filter(|grown| *grown >= LEAK)?;
    let least = late.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min()?;
    (least >= grown / HALF / 2).then(|| grown / (HALF * lives_of_part.max(1)))
}

/// The timeout of `send` in each cycle.
const BRIEF: Duration = Duration::from_millis(50);

/// Opens an instance, sends an event and closes the instance, many times.
pub(super) fn leaks(harness: &Harness) -> CheckResult {
    let cycles = harness.task.cycles as usize;
    let batch = sample_events::ordinary(1);
    let cycle = || -> Result<(), CheckError> {
        let instance = harness.open()?;
        // Many plugins connect and start threads only with the first event. Other checks judge the outcome.
        let _ = instance.send(&batch, &Terms::new(BRIEF));
        harness::end(instance)
    };
    life(harness)?;
    for _ in 0..cycles.div_ceil(10) {
        cycle()?;
    }
    let Some(start) = Held::at_rest() else {
        return Err(skip("this system does not show the resources of a process (it has no /proc)"));
    };
    // In a process of its own, a runtime may start threads when it likes.
    let own_process = harness.task.own_process;
    let goal = if own_process { Held { threads: usize::MAX, ..start } } else { start };
    let (begun, budget) = (Instant::now(), Duration::from_secs(harness.task.budget_s));
    let (mut done, mut middle) = (0, start);
    let (lives_of_part, mut measured) = (cycles / PARTS, Vec::with_capacity(PARTS + 1));
    measured.extend(allocated());
    while done < cycles && begun.elapsed() < budget {
        cycle()?;
        done += 1;
        if done % lives_of_part == 0 {
            measured.extend(allocated());
        }
        if done == cycles / 2 {
            middle = Held::settled(goal).unwrap_or(start);
        }
    }
    let end = Held::settled(goal).unwrap_or(start);
    let grown = end.memory.saturating_sub(start.memory);
    let late = end.memory.saturating_sub(middle.memory);
    let tolerance = if own_process { FIRST_HEAP } else { TOLERANCE };
    let (found, advice) = if let Some(more @ 1..) = end.threads.checked_sub(goal.threads) {
        (
            format!("{more} threads more after {done} lives"),
            "end every thread in `close` and join it: a thread that outlives its instance runs in the tool",
        )
    } else if let Some(more @ 1..) = end.descriptors.checked_sub(start.descriptors) {
        (
            format!("{more} descriptors more after {done} lives"),
            "close every file, socket and pipe in `close`",
        )
    } else if let Some(more) =
        end.mappings.checked_sub(start.mappings).filter(|more| *more > 0 && *more >= done / 2)
    {
        (format!("{more} mappings more after {done} lives"), "unmap in `close` what the instance has mapped")
    } else if let Some(bytes) = leak_of_each_life(&measured, lives_of_part) {
        (
            format!("each of {done} lives leaves {bytes} bytes of memory"),
            "free in `free` what `open` has allocated: run the plugin's own test under a leak checker",
        )
    } else if grown > tolerance && late > LEVEL {
        (
            format!("{grown} KiB of memory more after {done} lives, {late} KiB of them in the second half"),
            "free in `free` what `open` has allocated: run the plugin's own test under a leak checker",
        )
    } else if done < cycles {
        (
            format!("only {done} of {cycles} lives in {} s", budget.as_secs()),
            "`open`, `send` and `close` of one event have to be fast: build in release, or ask for fewer with --cycles",
        )
    } else {
        let no_thread = if own_process { "" } else { "no thread, " };
        return Ok(format!("{done} lives: {no_thread}no descriptor, {grown} KiB of memory more"));
    };
    Err(fail(found, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_grows_in_every_part_and_a_cache_does_not() {
        let grows = |late: [usize; 5]| {
            let mut measured = vec![10_000; 6];
            measured.extend(late.map(|more| 10_000 + more));
            leak_of_each_life(&measured, 100)
        };
        assert_eq!(grows([6400, 12_800, 19_200, 25_600, 32_000]), Some(64));
        assert_eq!(grows([6400, 12_800, 12_900, 25_600, 32_000]), None, "it has stopped once");
        assert_eq!(grows([3000, 6000, 9000, 12_000, 15_000]), None, "too little to tell");
        assert_eq!(leak_of_each_life(&[1, 2], 100), None);
    }
}
