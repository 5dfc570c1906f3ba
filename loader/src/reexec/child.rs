//! A child that was started, and its end.

#[cfg(target_os = "linux")]
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::{
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{PidfdFlags, pidfd_open},
};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process_group, waitpid},
};

use crate::boundary::process::{SMALL_STACK, lock, thread};

/// Between two looks at whether a child has ended, where the kernel has no descriptors of processes: Linux before 5.3 and
/// other systems, on which no event tells it.
const TICK: Duration = Duration::from_millis(1);

/// A child that was started. Dropping the value does nothing to the process.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Becomes readable when the child ends.
    #[cfg(target_os = "linux")]
    pidfd: Option<OwnedFd>,
    /// Once its end is known, its number may belong to another process.
    ended: Mutex<Option<Ended>>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Other code of this process has asked the system first.
    Unknown,
}

impl Child {
    pub(super) fn new(pid: Pid) -> Self {
        Self {
            pid,
            #[cfg(target_os = "linux")]
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            ended: Mutex::new(None),
        }
    }

    /// Becomes readable when the child ends; `None` before Linux 5.3.
    #[cfg(target_os = "linux")]
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::as_fd)
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends it at once, with all of its session that has not left it.
    pub fn kill(&self) {
        let ended = lock(&self.ended);
        // Until the system has been asked for its end, the number belongs to it.
        if ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Waits for its end for at most so long.
    #[must_use]
    pub fn wait(&self, within: Duration) -> Option<Ended> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.has_ended() {
                return Some(ended);
            }
            let left = within.saturating_sub(start.elapsed());
            if left.is_zero() {
                return None;
            }
            self.sleep(left);
        }
    }

    /// Sleeps until the child ends, at most for `left`. It may return early.
    fn sleep(&self, left: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd {
            // A wait that no `Timespec` can express has no limit.
            let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
            return;
        }
        std::thread::sleep(left.min(TICK));
    }

    /// Has a thread wait for its end, so that it leaves no zombie however long this process goes on. The end of this process
    /// does not wait for the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn reap(self) -> io::Result<()> {
        let wait = move || while matches!(waitpid(Some(self.pid), WaitOptions::empty()), Err(Errno::INTR)) {};
        thread("reap").stack_size(SMALL_STACK).spawn(wait).map(drop)
    }

    fn has_ended(&self) -> Option<Ended> {
        let mut ended = lock(&self.ended);
        if ended.is_none() {
            *ended = match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(None) | Err(Errno::INTR) => None,
                Ok(Some((_, status))) => Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ended::Code(code),
                    (_, Some(signal)) => Ended::Signal(signal),
                    _ => Ended::Unknown,
                }),
                Err(_) => Some(Ended::Unknown),
            };
        }
        *ended
    }
}
