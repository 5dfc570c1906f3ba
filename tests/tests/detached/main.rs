//! Tools that leave at once, and the child that delivers for them.
//!
//! There is no harness: a `main` that begins as a tool's does is what a child needs. This binary is test, tool and child.
//! On Linux, whose `/proc` says what runs.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::print_stdout, reason = "it tells what it saw")]
#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod consent;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod fallback;
#[cfg(target_os = "linux")]
mod leaving;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod tool;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use jackfield_test_support::run_tests;

    if !tool::lacks_init() {
        jackfield::init();
    }
    if tool::is_tool() {
        return std::process::ExitCode::SUCCESS;
    }
    processes::adopt_orphans();
    // One after the other: each looks at all processes that this one has.
    run_tests(&[leaving::TESTS, consent::TESTS, fallback::TESTS, crowd::TESTS].concat(), processes::end_all)
}
