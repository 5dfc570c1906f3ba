//! The actions and the mask of signals, in the command `jackfield` and in a child that does a job. Tools with
//! the library do not call these functions, because the signals belong to the tool.
//!
//! # Platform
//! Unix. On Windows, which has no signals, they keep dialog boxes away, and `on_console_end` tells what a console asks for.

/// The first call in `main` of a command. Unblocks all signals except `SIGHUP`, which waits for
/// [`release_hangup`] because the program may handle it and has no handler yet. Ignores `SIGXFSZ`, so that a
/// write past the limit of a file's size (`ulimit -f`) fails as a write to a full disk does.
///
/// # Platform
/// On Windows, a crash or a missing disk ends in an error and not in a dialog box that nobody may be there to answer, and a
/// console shows colours.
pub fn begin_command() {
    #[cfg(unix)]
    {
        ignore(libc::SIGXFSZ);
        set_mask(&[libc::SIGHUP]);
    }
    #[cfg(windows)]
    {
        windows::keep_dialogs_away();
        windows::interpret_escapes();
    }
}

#[cfg(windows)]
pub use self::windows::on_console_end;

#[cfg(windows)]
mod windows {
    use std::io;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, OnceLock};

    use windows_sys::Win32::System::Console::{
        CTRL_BREAK_EVENT, CTRL_C_EVENT, ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode, GetStdHandle,
        STD_ERROR_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCtrlHandler, SetConsoleMode,
    };
    use windows_sys::Win32::System::Diagnostics::Debug::{
        SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
    };

    use crate::boundary::handles::check;
    use crate::boundary::process::{lock, thread};

    pub(super) fn keep_dialogs_away() {
        // SAFETY: the call only sets flags of this process.
        unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX) };
    }

    /// Has a console that shows the output take escape sequences for colours and not for characters.
    pub(super) fn interpret_escapes() {
        for stream in [STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
            let mut mode = 0;
            // SAFETY: the calls fail if the stream is no console, and the mode can be written.
            unsafe {
                let handle = GetStdHandle(stream);
                if GetConsoleMode(handle, &raw mut mode) != 0 {
                    SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
                }
            }
        }
    }

    static REQUESTS: OnceLock<Mutex<Sender<()>>> = OnceLock::new();

    /// Calls `end` on a thread of its own for each request of the console to end this process: Ctrl-C, Ctrl-Break, the closed
    /// window, the end of the session. After one of the last two the system ends the process some seconds later. Only the first call has an effect.
    ///
    /// # Errors
    /// No thread can be started, or the system refuses.
    pub fn on_console_end(mut end: impl FnMut() + Send + 'static) -> io::Result<()> {
        let (sender, requests) = channel();
        let wait = move || requests.iter().for_each(|()| end());
        thread("signals").spawn(wait)?;
        let _ = REQUESTS.set(Mutex::new(sender));
        // SAFETY: the function is never unmapped.
        check(unsafe { SetConsoleCtrlHandler(Some(requested), 1) })
    }

    /// The system calls it on a thread of its own.
    unsafe extern "system" fn requested(kind: u32) -> i32 {
        if let Some(sender) = REQUESTS.get() {
            let _ = lock(sender).send(());
        }
        if kind != CTRL_C_EVENT && kind != CTRL_BREAK_EVENT {
            // When this returns, the process ends at once.
            loop {
                std::thread::park();
            }
        }
        1
    }
}

/// Unblocks `SIGHUP`. One that came since [`begin_command`] arrives now.
pub fn release_hangup() {
    #[cfg(unix)]
    set_mask(&[]);
}

/// The first call in a child for a job. Ignores `SIGHUP`, which is for the program that started the child,
/// and `SIGXFSZ`, as in [`begin_command`]. Unblocks all signals.
pub(crate) fn begin_job() {
    #[cfg(unix)]
    {
        ignore(libc::SIGHUP);
        ignore(libc::SIGXFSZ);
        set_mask(&[]);
    }
    #[cfg(windows)]
    windows::keep_dialogs_away();
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
