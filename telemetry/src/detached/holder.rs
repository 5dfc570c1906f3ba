//! The process that holds the lock, and its end when it is overdue.
//!
//! A child ends itself after its lifetime. One that is stopped does not, and a process that a plugin has forked keeps the
//! inherited lock. So the child writes its number and the end of its lifetime behind the mark. A tool that finds the lock
//! held later kills the child's process group, if a process of that group has the file open: then the number is not that of
//! another process that came later.

use std::{
    fs::{self, File, Metadata},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    process,
    time::Duration,
};

use jackfield_loader::files;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{ClockId, clock_gettime};

use crate::process::milliseconds;

/// Where the record begins: behind the mark and a line break.
const AT: u64 = 17;
/// The time after the lifetime in which a child may still end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Writes that this process holds the lock, and has `left` of its lifetime.
pub(super) fn sign(file: &File, left: Duration) -> io::Result<()> {
    write(file, process::id(), now().saturating_add(milliseconds(left + GRACE)))
}

/// The time since the start of the system, in milliseconds. The timers of a child stand still with it, too.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    milliseconds(Duration::try_from(now).unwrap_or_default())
}

/// The length is fixed, so that nothing is left of another record.
fn write(mut file: &File, process: u32, until: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(AT - 1))?;
    files::write_all(file, format!("\n{process:010} {until:020}\n").as_bytes())
}

fn read(file: &File) -> Option<(Pid, u64)> {
    let mut record = [0; 31];
    file.read_exact_at(&mut record, AT).ok()?;
    let (process, until) = str::from_utf8(&record).ok()?.split_once(' ')?;
    Some((Pid::from_raw(process.parse().ok()?)?, until.parse().ok()?))
}

/// Kills the holder and what it has forked, if its lifetime has ended. Returns whether there was one.
///
/// # Platform
/// Linux. Elsewhere nobody knows who has the file open.
pub(super) fn end_overdue(file: &File) -> bool {
    let Some((group, until)) = read(file) else { return false };
    now() > until
        // This process has the file open, too: the number of the holder may be that of its own group by now.
        && group_of(rustix::process::getpid()) != Some(group)
        && file.metadata().is_ok_and(|lock| members(group).any(|member| has_open(member, &lock)))
        && kill_process_group(group, Signal::KILL).is_ok()
}

fn members(group: Pid) -> impl Iterator<Item = Pid> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(move |process| group_of(*process) == Some(group))
}

/// `None` also for a process whose group is in another namespace.
fn group_of(process: Pid) -> Option<Pid> {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = files::read(path.as_ref(), files::Access::Read, 4096).ok()?;
    // Behind the name, which may hold anything: state, parent, group.
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(2)?.parse().ok()?)
}

fn has_open(process: Pid, file: &Metadata) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero()));
    descriptors.into_iter().flatten().flatten().any(|descriptor| {
        fs::metadata(descriptor.path())
            .is_ok_and(|found| files::identity_of(&found) == files::identity_of(file))
    })
}

#[cfg(all(test, target_os = "linux"))]
#[path = "holder_tests.rs"]
mod tests;
