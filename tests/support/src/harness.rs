//! A harness for test binaries whose `main` has to begin as that of a tool does.

use std::{env, panic, process::ExitCode};

/// A test: its name and what it does.
pub type Test = (&'static str, fn());

/// The tests of these functions.
#[macro_export]
macro_rules! tests {
    ($($test:path),* $(,)?) => { &[$((stringify!($test), $test as fn())),*] };
}

/// Runs the tests whose names contain one of the words on the command line, one after the other; all of them without a word.
/// `after_failure` clears away what a test that failed has left.
#[must_use]
#[allow(clippy::print_stdout, reason = "it reports as a harness does")]
pub fn run_tests(tests: &[Test], after_failure: fn()) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in tests.iter().filter(|(name, _)| wanted(name)) {
        let is_ok = panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        if is_ok {
            passed += 1;
        } else {
            failed.push(*name);
            after_failure();
        }
    }
    println!("test result: {passed} passed, {} failed {failed:?}", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}
