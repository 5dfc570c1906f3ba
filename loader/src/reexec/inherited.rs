//! The descriptors that a child gets from its parent.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    time::Duration,
};

use crate::boundary::process::{SMALL_STACK, exit, thread};

/// The number of the first descriptor that a child is handed.
pub(super) const FIRST: i32 = 3;

/// What a parent hands to a child.
#[derive(Debug)]
pub struct Inherited {
    /// The files of [`Spawn::files`](super::spawn::Spawn::files), in their order.
    pub files: Vec<OwnedFd>,
    /// The process that started this one.
    pub parent: u32,
}

impl Inherited {
    /// Takes over the first `files` descriptors and closes all that follow.
    pub(super) fn take(files: usize) -> io::Result<Self> {
        let end = FIRST + files as RawFd;
        for number in FIRST..end {
            // SAFETY: asks whether the descriptor is open.
            if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        close_from(end);
        // SAFETY: they are open, as was just found, and `init` promises that no other code of this process has them.
        let files = (FIRST..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
        Ok(Self { files, parent: std::os::unix::process::parent_id() })
    }

    /// Prepares the process for any job: sets the name that `ps` and `top` show.
    pub(super) fn prepare(&self, job: &str) {
        #[cfg(target_os = "linux")]
        if let Ok(name) = std::ffi::CString::new(format!("jackfield-{job}")) {
            let _ = rustix::thread::set_name(&name);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = job;
    }

    /// Ends this process after `lifetime`, whatever other code in it does: a thread ends it, and if that thread does not run,
    /// the system's alarm ends it a second or two later.
    ///
    /// # Errors
    /// When there is no thread to be had. The alarm is set all the same.
    pub fn end_within(&self, lifetime: Duration) -> io::Result<()> {
        let late = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).saturating_add(2);
        // SAFETY: sets a timer, whose signal ends a process that has not said otherwise.
        unsafe { libc::alarm(late) };
        let end = move || {
            std::thread::sleep(lifetime);
            exit(OUT_OF_TIME)
        };
        thread("timer").stack_size(SMALL_STACK).spawn(end).map(drop)
    }
}

/// The exit code of a child whose lifetime was over: 75, `EX_TEMPFAIL` of `sysexits.h`.
const OUT_OF_TIME: i32 = 75;

/// Closes every descriptor from `first` on.
fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: closes descriptors that no code of this process has, as `init` promises. By number: an older C library has no
        // such function.
        if unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) } == 0 {
            return;
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
    for number in first..RawFd::try_from(limit).unwrap_or(65_536).min(65_536) {
        // SAFETY: as above; what is not open stays so.
        unsafe { libc::close(number) };
    }
}
