//! The process of the tool: what a plugin must not change in it or leave behind.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{ProcessState, Terms},
    files::{self, Access},
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
    Ok("signals, mask, locale, folder, umask, environment, limits and standard streams are as before"
        .to_owned())
}

/// The process has to end with a closed instance and an open one, whose threads may be running.
pub(super) fn exit(harness: &Harness) -> CheckResult {
    life(harness)?;
    let left = harness.open()?;
    harness::send_ordinary(&left, 3, TIMEOUT)?;
    Ok("a program that returns from `main` ends".to_owned())
}

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    descriptors: usize,
    /// Resident memory, in KiB.
    memory: usize,
}

impl Held {
    /// `None` where there is no `/proc`.
    fn now() -> Option<Self> {
        let count = |folder: &str| fs::read_dir(folder).ok().map(Iterator::count);
        let status = files::read(Path::new("/proc/self/status"), Access::Read, 1 << 16).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            threads: count("/proc/self/task")?,
            descriptors: count("/proc/self/fd")?,
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

/// Allowed growth in the second half, in KiB, beyond the tolerance: growth that has stopped is no leak.
const LEVEL: usize = 512;

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
    let (begun, budget) = (Instant::now(), Duration::from_secs(harness.task.budget_s));
    let (mut done, mut middle) = (0, start);
    while done < cycles && begun.elapsed() < budget {
        cycle()?;
        done += 1;
        if done == cycles / 2 {
            middle = Held::settled(start).unwrap_or(start);
        }
    }
    let end = Held::settled(start).unwrap_or(start);
    let grown = end.memory.saturating_sub(start.memory);
    let late = end.memory.saturating_sub(middle.memory);
    let (found, advice) = if let Some(more @ 1..) = end.threads.checked_sub(start.threads) {
        (
            format!("{more} threads more after {done} lives"),
            "end every thread in `close` and join it: a thread that outlives its instance runs in the tool",
        )
    } else if let Some(more @ 1..) = end.descriptors.checked_sub(start.descriptors) {
        (
            format!("{more} descriptors more after {done} lives"),
            "close every file, socket and pipe in `close`",
        )
    } else if grown > TOLERANCE && late > LEVEL {
        (
            format!("{grown} KiB of memory more after {done} lives, {late} KiB of them in the second half"),
            "free in `free` what `open` has allocated: run the plugin's own test under a leak checker",
        )
    } else if done < cycles {
        (
            format!("only {done} of {cycles} lives in {} s", budget.as_secs()),
            "`open` has to be fast: build in release, or ask for fewer with --cycles",
        )
    } else {
        return Ok(format!("{done} lives: no thread, no descriptor, {grown} KiB of memory more"));
    };
    Err(fail(found, advice))
}
