//! This program's executable, started again for a job.
//!
//! A plugin that may crash runs in such a child, and so does a delivery that outlives a short-lived tool. The
//! child is the same executable, so it knows the same formats. [`init`](crate::isolated::init) at the top of
//! `main` finds the job in the arguments and does it, so that the rest of `main` does not run.
//!
//! A child has a session of its own, so that Ctrl-C on the terminal does not reach it. Standard input and
//! output are the null device, standard error is that of [`Spawn::stderr`]. The descriptors of
//! [`Spawn::files`] have the numbers from 3 on, in their order. The child has no other descriptor.
//!
//! # Platform
//! Unix. Elsewhere [`Spawn::start`] returns an error of the kind `Unsupported`.

pub(crate) mod entry;
#[cfg(unix)]
mod inherited;
#[cfg(unix)]
mod spawn;
#[cfg(not(unix))]
mod unsupported;
#[cfg(not(unix))]
use unsupported::{self as inherited, self as spawn};

pub use self::{
    inherited::Inherited,
    spawn::{Child, Ended, Spawn, adopt_orphans, kill_descendants, processes_below},
};
