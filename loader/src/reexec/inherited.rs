//! The child's side: the descriptors from its parent, and the end of its lifetime.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use crate::boundary::process::{SMALL_STACK, exit, thread};
use crate::boundary::signals;

/// The number of the first descriptor that a child gets.
pub(super) const FIRST: i32 = 3;

/// The parent of a child, and the descriptors from it.
#[derive(Debug)]
pub struct Inherited {
    /// The files of [`Spawn::files`](super::Spawn::files), in their order.
    pub files: Vec<OwnedFd>,
    /// The process that started this one.
    pub parent: u32,
}

impl Inherited {
    /// Takes the first `files` descriptors, closes all others, and sets the name and what signals do.
    pub(super) fn take(files: usize, job: &str) -> io::Result<Self> {
        signals::begin_job();
        #[cfg(target_os = "linux")]
        if let Ok(name) = std::ffi::CString::new(format!("jackfield-{job}")) {
            let _ = rustix::thread::set_name(&name);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = job;
        let end = FIRST + files as RawFd;
        for number in FIRST..end {
            // SAFETY: the call fails if the descriptor is not open.
            if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        close_from(end);
        // SAFETY: they are open, and `init` requires that no other code of this process has them.
        let files = (FIRST..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
        Ok(Self { files, parent: std::os::unix::process::parent_id() })
    }

    /// Ends this process after `lifetime`, by a thread or, a second or two later, by the system's alarm.
    ///
    /// # Errors
    /// No thread can be started. The alarm is set all the same.
    pub fn end_within(&self, lifetime: Duration) -> io::Result<()> {
        let late = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).saturating_add(2);
        // SAFETY: the call only sets a timer.
        unsafe { libc::alarm(late) };
        let end = move || {
            std::thread::sleep(lifetime);
            exit(OUT_OF_TIME)
        };
        thread("timer").stack_size(SMALL_STACK).spawn(end).map(drop)
    }
}

/// The exit code after the lifetime of a child: `EX_TEMPFAIL` of `sysexits.h`.
const OUT_OF_TIME: i32 = 75;

fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `init` requires that no code of this process has these descriptors.
        if unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) } == 0 {
            return;
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
    for number in first..RawFd::try_from(limit).unwrap_or(65_536).min(65_536) {
        // SAFETY: as above.
        unsafe { libc::close(number) };
    }
}
