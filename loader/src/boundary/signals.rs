//! The actions and the mask of signals, in the command `jackfield` and in a child that does a job. Tools with
//! the library do not call these functions, because the signals belong to the tool.
//!
//! # Platform
//! Unix. Elsewhere the functions do nothing.

/// The first call in `main` of a command. Unblocks all signals except `SIGHUP`, which waits for
/// [`release_hangup`] because the program may handle it and has no handler yet. Ignores `SIGXFSZ`, so that a
/// write past the limit of a file's size (`ulimit -f`) fails as a write to a full disk does.
pub fn begin_command() {
    #[cfg(unix)]
    {
        ignore(libc::SIGXFSZ);
        set_mask(&[libc::SIGHUP]);
    }
}

/// Unblocks `SIGHUP`. One that came since [`begin_command`] arrives now.
pub fn release_hangup() {
    #[cfg(unix)]
    set_mask(&[]);
}

/// The first call in a child for a job. Ignores `SIGHUP`, which is for the program that started the child,
/// and `SIGXFSZ`, as in [`begin_command`]. Unblocks all signals.
#[cfg(unix)]
pub(crate) fn begin_job() {
    ignore(libc::SIGHUP);
    ignore(libc::SIGXFSZ);
    set_mask(&[]);
}

/// The signals that are blocked at the start of a child, until [`begin_job`].
#[cfg(unix)]
pub(crate) const WAITING: &[libc::c_int] = &[libc::SIGHUP];

#[cfg(unix)]
pub(crate) fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    // SAFETY: a set of signals is plain data, which the calls fill in.
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
    // SAFETY: no code runs for an ignored signal.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Blocks these signals for the calling thread, and unblocks all others.
#[cfg(unix)]
fn set_mask(blocked: &[libc::c_int]) {
    let mask = set_of(blocked);
    // SAFETY: the set is valid.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()) };
}
