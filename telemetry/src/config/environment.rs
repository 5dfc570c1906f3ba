//! The environment's variables, behind a trait: tests have one of their own, and nothing ever sets one.

use std::ffi::OsString;

/// Where environment variables are looked up.
///
/// Any `Fn(&str) -> Option<OsString>` is one.
pub trait Environment: Send + Sync {
    /// The value of the variable `name`, if it is set.
    fn var(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl<F: Fn(&str) -> Option<OsString> + Send + Sync> Environment for F {
    fn var(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}
