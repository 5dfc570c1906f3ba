//! This program's executable, started once more for a job of its own.
//!
//! A plugin that may crash runs in such a child, and so does a delivery that outlives a short-lived tool. The child is the
//! same executable, so it knows the same formats; it finds its job in its arguments, and [`init`](crate::isolated::init::init) at the top of `main` does
//! that job instead of the program's.
//!
//! What a child is given: a session of its own, so that the terminal's Ctrl-C is not for it; standard input and output on
//! the null device; standard error where [`Spawn::stderr`] says; the descriptors of [`Spawn::files`] from number 3 on in
//! their order, and no other.
//!
//! # Platform
//! Unix. Elsewhere [`Spawn::start`] answers with an error of the kind `Unsupported`, and [`init`](crate::isolated::init::init) does nothing.

#[cfg(unix)]
mod child;
pub(crate) mod entry;
#[cfg(unix)]
mod inherited;
pub(crate) mod program;
#[cfg(unix)]
mod spawn;
#[cfg(not(unix))]
mod unsupported;
#[cfg(not(unix))]
use unsupported::{self as child, self as inherited, self as spawn};

pub use self::{
    child::{Child, Ended},
    inherited::Inherited,
    spawn::Spawn,
};
