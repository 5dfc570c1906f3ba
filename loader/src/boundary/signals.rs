//! What signals do to a process that is Jackfield's own: the command `jackfield`, and a child that does a job for a tool.
//! A library changes nothing of this for its host, so no tool calls these functions.
//!
//! # Platform
//! Unix. Elsewhere they do nothing.

/// The first call in `main` of a program that is no library of another one. The mask that the parent has left is undone, except that `SIGHUP` waits until
/// [`release_hangup`]: the program may have a use for it, and has no handler yet. `SIGXFSZ` is ignored, so that a write
/// past the limit on the size of files (`ulimit -f`) fails like one to a full disk.
pub fn begin_command() {
    #[cfg(unix)]
    {
        ignore(libc::SIGXFSZ);
        set_mask(&[libc::SIGHUP]);
    }
}

/// From now on a `SIGHUP` does what the program has made of it, also one that came since [`begin_command`].
pub fn release_hangup() {
    #[cfg(unix)]
    set_mask(&[]);
}

/// The first call in a child that does a job. `SIGHUP` is for the program that started it, and waits until then: see
/// [`WAITING`]. Of `SIGXFSZ` as in [`begin_command`].
#[cfg(unix)]
pub(crate) fn begin_job() {
    ignore(libc::SIGHUP);
    ignore(libc::SIGXFSZ);
    set_mask(&[]);
}

/// The signals that a child is started with blocked, until [`begin_job`].
#[cfg(unix)]
pub(crate) const WAITING: &[libc::c_int] = &[libc::SIGHUP];

/// A set of signals.
#[cfg(unix)]
pub(crate) fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: sets of signals are plain data, filled in by the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

#[cfg(unix)]
fn ignore(signal: libc::c_int) {
    // SAFETY: no code runs for a signal that is ignored.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Blocks these signals for the calling thread, and no other.
#[cfg(unix)]
fn set_mask(blocked: &[libc::c_int]) {
    let mask = set_of(blocked);
    // SAFETY: the set is valid for the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()) };
}
