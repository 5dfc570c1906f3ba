//! Many lives of an instance: what the process has before and after them.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    conformance::{allocated, trim},
    count,
    files::{self, Access},
};

use crate::check::{
    harness::{self, CheckResult, Harness, TIMEOUT, fail, seconds, skip},
    left,
    lives::{BRIEF, Life, Lives},
};

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
        trim();
        let status = files::read(Path::new("/proc/self/status"), Access::Read, 1 << 16).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            threads: harness::threads()?,
            descriptors: fs::read_dir("/proc/self/fd").ok()?.count(),
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
        let mut now = None;
        left::poll(|| {
            now = Self::now();
            now.is_none_or(|now| now.threads <= goal.threads && now.descriptors <= goal.descriptors)
        });
        now
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

/// What each life has left allocated, in bytes, if that is a leak.
fn leak_of_each_life(allocated: &[usize], lives_of_part: usize) -> Option<usize> {
    steady_leak(allocated, lives_of_part).or_else(|| leak_in_steps(allocated, lives_of_part))
}

/// What each life of the last half has left, if that is a [`LEAK`] which grows in every part, by about as much; a cache stops
/// growing.
fn steady_leak(allocated: &[usize], lives_of_part: usize) -> Option<usize> {
    const HALF: usize = PARTS / 2;
    let late = allocated.get(allocated.len().checked_sub(HALF + 1)?..)?;
    let grown = late[HALF].checked_sub(late[0]).filter(|grown| *grown >= LEAK)?;
    let least = late.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min()?;
    (least >= grown / HALF / 2).then(|| grown / (HALF * lives_of_part.max(1)))
}

/// The same of a list that doubles its room when it is full, so that memory grows seldom. By the end of the third part there have
/// been more than three times as many lives as before the first, and by the end of the ninth more than twice as many again. So such
/// a list grows in each of these spans, and by no less in the second. A cache grows most at the start, or once. Memory that a
/// library frees late shrinks again, and such a list does not.
fn leak_in_steps(allocated: &[usize], lives_of_part: usize) -> Option<usize> {
    const THIRD: usize = 3;
    let [first, second, .., before_last, last] = allocated else { return None };
    if !allocated.is_sorted_by(|before, after| *before <= after + LEAK) {
        return None;
    }
    let third = allocated.get(THIRD).filter(|_| allocated.len() > PARTS)?;
    let late = before_last.min(last).checked_sub(*third).filter(|late| *late >= 2 * LEAK)?;
    let early = third.checked_sub(*first.min(second))?;
    let lives = (allocated.len() - 2 - THIRD) * lives_of_part.max(1);
    (late / 8..=late).contains(&early).then(|| late / lives)
}

/// Fewer lives show nothing.
const FEWEST: usize = 20;

/// Makes many lives, and compares what the process has before and after them.
pub(super) fn leaks(harness: &Harness) -> CheckResult {
    let (begun, budget) = (Instant::now(), Duration::from_secs(harness.task.budget_s));
    let asked_for = harness.task.cycles as usize;
    let mut lives = Lives::new(harness, BRIEF)?;
    Life::configured(harness).live(harness, TIMEOUT, || ())?;
    lives.each(|| ())?;
    let (warm_up, kinds) = (Instant::now(), lives.kinds());
    for _ in 0..kinds {
        lives.next()?;
    }
    let each = warm_up.elapsed() / u32::try_from(kinds).unwrap_or(u32::MAX);
    // A tenth more are made before the first measurement, and a third of the time is left over.
    let fit = budget.saturating_sub(begun.elapsed()).as_secs_f64() / each.as_secs_f64() / 1.1 * 2.0 / 3.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of lives, or more than any"
    )]
    let planned = asked_for.min(fit as usize);
    if planned < FEWEST {
        return Err(skip(format!(
            "a life takes {}, so that {planned} fit into {} s, and {FEWEST} are needed: give more time with --limit",
            seconds(each),
            budget.as_secs()
        )));
    }
    for _ in 0..planned.div_ceil(10) {
        lives.next()?;
    }
    let Some(start) = Held::at_rest() else {
        return Err(skip("this system does not show the resources of a process (it has no /proc)"));
    };
    // All threads have to end, the first one, too.
    let threads = harness.threads_at_rest().unwrap_or(usize::MAX);
    let goal = Held { threads, ..start };
    let (mut done, mut middle) = (0, start);
    let (lives_of_part, mut measured) = (planned / PARTS, Vec::with_capacity(PARTS + 1));
    measured.extend(allocated());
    while done < planned {
        if begun.elapsed() > budget {
            return Err(skip(format!(
                "only {done} of {planned} lives in {} s: give more time with --limit",
                budget.as_secs()
            )));
        }
        lives.next()?;
        done += 1;
        if done % lives_of_part == 0 {
            measured.extend(allocated());
        }
        if done == planned / 2 {
            middle = Held::settled(goal).unwrap_or(start);
        }
    }
    let memory = Held::settled(goal).unwrap_or(start).memory;
    // What a library frees later than at the end of such a life is no leak of memory.
    lives.costly()?;
    let end = Held { memory, ..Held::settled(goal).unwrap_or(start) };
    let grown = end.memory.saturating_sub(start.memory);
    let late = end.memory.saturating_sub(middle.memory);
    let own_process = harness.task.own_process;
    let tolerance = if own_process { FIRST_HEAP } else { TOLERANCE };
    let (found, advice) = if let Some(more @ 1..) = end.threads.checked_sub(goal.threads) {
        (
            format!("{} more than before the plugin was loaded, after {done} lives", count(more, "thread")),
            "end every thread in `close` and join it, the last instance's, too: a thread that outlives them runs in the tool; one of a library that can't be ended is allowed by --kept-threads",
        )
    } else if let Some(more @ 1..) = end.descriptors.checked_sub(start.descriptors) {
        (
            format!("{} more after {done} lives", count(more, "descriptor")),
            "close every file, socket and pipe in `close`, and in an `open` that fails",
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
    } else {
        let no_thread = if own_process { "" } else { "no thread, " };
        let fewer = if done < asked_for {
            format!(" instead of {asked_for}, as each takes {}", seconds(each))
        } else {
            String::new()
        };
        return Ok(format!("{done} lives{fewer}: {no_thread}no descriptor, {grown} KiB of memory more"));
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

    #[test]
    fn a_list_grows_seldom_and_ever_more() {
        // The room after each part, with 115 lives before the first, and the bytes of an entry.
        let list = |entry: usize, of_life: usize| -> Vec<usize> {
            let room = |lives: usize| (of_life * lives).next_power_of_two() * entry;
            (0..=PARTS).map(|part| 10_000 + room(115 + part * 100)).collect()
        };
        for of_life in 1..=9 {
            assert!(
                leak_of_each_life(&list(64, of_life), 100).is_some(),
                "{of_life}: {:?}",
                list(64, of_life)
            );
        }
        assert_eq!(leak_of_each_life(&list(4, 1), 100), None, "too little to tell");
        let mut freed_late = [&[10_000, 40_000, 60_000][..], &[80_000; 8]].concat();
        for at in 0..=PARTS {
            freed_late[at] += 60_000;
            assert_eq!(leak_of_each_life(&freed_late, 100), None, "{at} is measured too early");
            freed_late[at] -= 60_000;
        }
        // That of a library which frees in a thread of its own, on a busy machine.
        let late = [7_801, 16_335, 7_975, 16_487, 8_098, 8_140, 57_690, 61_668, 57_857, 61_799, 57_930];
        assert_eq!(leak_of_each_life(&late.map(|kilobytes| kilobytes * 1000), 10), None, "it shrinks");
        let once = [&[10_000; 6][..], &[80_000; 5]].concat();
        assert_eq!(leak_of_each_life(&once, 100), None, "it has grown once");
        let settles =
            [10_000, 60_000, 70_000, 80_000, 85_000, 88_000, 91_000, 94_000, 97_000, 99_000, 99_000];
        assert_eq!(leak_of_each_life(&settles, 100), None, "it grows ever less");
    }
}
