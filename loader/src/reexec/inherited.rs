//! The child's side: the files from its parent, and the end of its lifetime.

use std::io;
use std::time::Duration;

use super::handle::OwnedHandle;
#[cfg(unix)]
use super::unix as system;
#[cfg(windows)]
use super::windows as system;
use crate::boundary::process::{SMALL_STACK, exit, thread};
use crate::boundary::signals;

/// The parent of a child, and the files from it.
#[derive(Debug)]
pub struct Inherited {
    /// The files of [`Spawn::files`](super::Spawn::files), in their order.
    pub files: Vec<OwnedHandle>,
    /// The process that started this one.
    pub parent: u32,
}

impl Inherited {
    /// Takes the files that `word`, an argument of this process, tells of, closes all others, and sets the name and what
    /// signals do. `None` if they are not there.
    pub(super) fn take(word: &str, job: &str) -> Option<Self> {
        signals::begin_job();
        let (files, parent) = system::take(word, job)?;
        Some(Self { files, parent })
    }

    /// Ends this process after `lifetime`, by a thread or, on Unix a second or two later, by the system's alarm.
    ///
    /// # Errors
    /// No thread can be started. The alarm is set all the same.
    pub fn end_within(&self, lifetime: Duration) -> io::Result<()> {
        // SAFETY: the call only sets a timer.
        #[cfg(unix)]
        unsafe {
            let late = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).saturating_add(2);
            libc::alarm(late)
        };
        let end = move || {
            std::thread::sleep(lifetime);
            exit(OUT_OF_TIME)
        };
        thread("timer").stack_size(SMALL_STACK).spawn(end).map(drop)
    }
}

/// The exit code after the lifetime of a child: `EX_TEMPFAIL` of `sysexits.h`.
const OUT_OF_TIME: i32 = 75;
