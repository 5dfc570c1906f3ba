//! The end of a process that has loaded plugins.

use std::io::{self, Write as _};

/// Ends the process at once with the exit code `code`, of which Unix keeps the low 8 bits.
///
/// [`std::process::exit`] runs the destructors of every loaded library. A destructor of a plugin can hang or crash, also
/// because a call that is stuck inside the plugin holds a lock that the destructor needs. This function runs no destructor of a library,
/// no function that was registered with `atexit`, and no destructor of Rust, so [`close`](crate::backend::Backend::close)
/// backends first.
///
/// What was printed through Rust's standard output and standard error is written out. It waits for a thread that is in
/// the middle of printing through them, and fails silently. What C code keeps in its own buffers is lost.
///
/// # Platform
/// On Windows the destructors do run, on the one thread that is left by then.
pub fn exit(code: i32) -> ! {
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    end(code)
}

#[cfg(unix)]
fn end(code: i32) -> ! {
    // SAFETY: ends the process, whatever state it is in.
    unsafe { libc::_exit(code) }
}

#[cfg(not(unix))]
fn end(code: i32) -> ! {
    // Windows ends all other threads before it tells the libraries, and to end a process without telling them takes
    // TerminateProcess, which std does not offer.
    std::process::exit(code)
}
