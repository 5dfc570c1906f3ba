//! A child that was started, and its end.

use std::{
    io,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process_group, waitpid},
};

use super::inherited::SMALL_STACK;

/// Between two looks at whether a child has ended.
const TICK: Duration = Duration::from_millis(1);

/// A child that was started. Dropping it leaves it alone.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Once its end is known, its number may be another process's.
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
    /// Somebody else in this process has asked the system first.
    Unknown,
}

impl Child {
    pub(super) fn new(pid: Pid) -> Self {
        Self { pid, ended: Mutex::new(None) }
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends it at once, with all of its session that has not left it.
    pub fn kill(&self) {
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // As long as nobody has asked for its end, the number is its own.
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
            thread::sleep(left.min(TICK));
        }
    }

    /// Has a thread wait for its end, so that it leaves no zombie however long this process goes on. The end of this process
    /// does not wait for the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn reap(self) -> io::Result<()> {
        let wait = move || while matches!(waitpid(Some(self.pid), WaitOptions::empty()), Err(Errno::INTR)) {};
        thread::Builder::new().name("reaper".to_owned()).stack_size(SMALL_STACK).spawn(wait).map(drop)
    }

    fn has_ended(&self) -> Option<Ended> {
        let mut ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
