//! This program's executable, started once more for a job of its own.
//!
//! A plugin that may crash runs in such a child, and so does what outlives a short-lived tool. The child is the same
//! executable, so it knows the same formats; it finds its job in its arguments, and [`init`] at the top of `main` does
//! that job instead of the program's.
//!
//! What a child is given: a session of its own, so that the terminal's Ctrl-C is not for it; standard input and output on
//! the null device; standard error where [`Spawn::stderr`] says; the descriptors of [`Spawn::files`] from number 3 on in
//! their order, and no other.
//!
//! # Platform
//! Unix. Elsewhere [`Spawn::start`] answers with an error of the kind `Unsupported`, and [`init`] does nothing.

mod entry;
#[cfg(unix)]
mod spawn;
#[cfg(not(unix))]
#[path = "unsupported.rs"]
mod spawn;

pub use entry::{Job, Program, init};
pub use spawn::{Child, Ended, Inherited, Spawn};

/// A child's first argument is this and its job; the second one the number of its descriptors; the third is for people who
/// look at a list of processes. Arguments, because what the child starts in its turn would inherit a variable.
const MARK: &str = "jackfield:";

/// The number of the first descriptor of [`Spawn::files`].
const FIRST: i32 = 3;
