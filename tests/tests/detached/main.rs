//! Tools that leave at once, and the child that delivers for them.
//!
//! There is no harness: a `main` that begins as a tool's does is what a child needs. This binary is test, tool and child.
//! On Linux, whose `/proc` says what runs.
#![forbid(unsafe_code)]
#![cfg_attr(target_os = "linux", allow(clippy::print_stdout, reason = "it reports as a harness does"))]

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
    use std::panic::catch_unwind;

    if !tool::lacks_init() {
        jackfield::init();
    }
    if tool::is_tool() {
        return std::process::ExitCode::SUCCESS;
    }
    processes::adopt_orphans();
    let all = [leaving::TESTS, consent::TESTS, fallback::TESTS, crowd::TESTS].concat();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    // One after the other: each looks at all processes that this one has.
    for (name, test) in all.iter().filter(|(name, _)| wanted(name)) {
        let passed = catch_unwind(*test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
            processes::end_all();
        }
    }
    println!(
        "test result: {}",
        if failed.is_empty() { "ok".to_owned() } else { format!("FAILED: {failed:?}") }
    );
    std::process::ExitCode::from(u8::from(!failed.is_empty()))
}
