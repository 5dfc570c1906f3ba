//! What the tests of several crates share. It is a dependency of tests alone.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![forbid(unsafe_code)]

mod harness;
mod load;
mod rerun;
mod wait;

pub use jackfield_plugin_api::schema::same_or_bless;

pub use crate::{
    harness::{Test, run_tests},
    load::Load,
    rerun::{rerun, rerun_by},
    wait::{LONG, wait_for, wait_until, within},
};
