//! The first line of a tool's `main`.

/// Lets this program be started again for a job of telemetry: to be called on the first line of `main`.
///
/// A backend with `isolation = "process"` runs in such a child, and so does what delivers the events of a tool that has
/// ended. In such a child this function does the job and never returns; everywhere else it returns at once. It has to come
/// before any thread is started and anything is opened: a child closes every descriptor that it was not handed.
///
/// ```
/// jackfield::init();
/// // and now the tool, from its arguments on
/// ```
pub fn init() {
    jackfield_loader::init(&JOBS);
}

/// [`init`] for a program that has jobs of its own: the command.
#[doc(hidden)]
pub fn init_with(own: &[jackfield_loader::Job]) {
    jackfield_loader::init(&[&JOBS, own].concat());
}

#[cfg(unix)]
const JOBS: [jackfield_loader::Job; 1] = [crate::detached::child::JOB];
#[cfg(not(unix))]
const JOBS: [jackfield_loader::Job; 0] = [];
