//! Children that give up rights, and then try forbidden actions. There is no harness: a child is this program
//! again, which must have one thread when it is confined.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it tries system calls and reports"
)]

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod parent;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    jackfield_loader::init(&[jackfield_loader::Job { name: "confined", run: child::run }]);
    jackfield_test_support::run_tests(&[parent::TESTS, limits::TESTS].concat(), || {})
}

/// The rights that a child applies, and its attempts.
#[cfg(target_os = "linux")]
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Order {
    limits: jackfield_loader::Limits,
    sandbox: Option<jackfield_loader::Sandbox>,
    plugin: std::path::PathBuf,
    /// Before that, this system call fails with this error, as on a kernel without it.
    absent: Option<(i64, u32)>,
    /// The attempts, with their arguments.
    attempts: Vec<(String, String)>,
}
