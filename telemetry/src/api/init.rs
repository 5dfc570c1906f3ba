//! The call on the first line of a tool's `main`.

/// Makes this executable usable as a child process of its own telemetry. Call it on the first line of `main`.
///
/// A backend with `isolation = "process"` runs in such a child. Another child delivers the events of a tool that has ended.
/// In a child this function does the job and never returns; elsewhere it returns at once. Call it before the tool starts a
/// thread or opens a file: a child closes every descriptor that it did not inherit on purpose.
///
/// ```
/// jackfield::init();
/// // The tool follows, beginning with its arguments.
/// ```
pub fn init() {
    jackfield_loader::init(&JOBS);
}

/// [`init`] for a program with further jobs for child processes.
#[doc(hidden)]
pub fn init_with(own: &[jackfield_loader::Job]) {
    jackfield_loader::init(&[&JOBS, own].concat());
}

#[cfg(unix)]
const JOBS: [jackfield_loader::Job; 1] = [crate::detached::child::JOB];
#[cfg(not(unix))]
const JOBS: [jackfield_loader::Job; 0] = [];
