//! What the tests of several crates share. It is a dependency of tests alone, and depends on no crate of the workspace.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![forbid(unsafe_code)]

mod harness;
mod load;
mod made;
mod rerun;
mod wait;

pub use crate::{
    harness::{Test, run_tests},
    load::Load,
    made::{assert_schema, same_or_bless},
    rerun::{rerun, rerun_by},
    wait::{LONG, wait_for, wait_until, within},
};
