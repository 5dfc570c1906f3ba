//! This program's executable, started again for a job.
//!
//! A plugin that may crash runs in such a child, and so does a delivery that outlives a short-lived tool. The
//! child is the same executable, so it knows the same formats. [`init`](crate::isolated::init) at the top of
//! `main` finds the job in the arguments and does it, so that the rest of `main` does not run.
//!
//! Standard input and output of a child are the null device, standard error is that of [`Spawn::stderr`]. The child gets the
//! files of [`Spawn::files`], and has no others.
//!
//! # Platform
//! - Unix: a child has a session of its own, so that Ctrl-C on the terminal does not reach it. Its files have the numbers
//!   from 3 on, in their order.
//! - Windows: a child has a console of its own, without a window. Its files have the numbers that it is told by its
//!   arguments. A child and the processes that it starts are in a job, which ends them when the parent ends, unless the
//!   child [outlives](Spawn::outlives) it.

pub(crate) mod entry;
mod handle;
mod inherited;
pub(crate) mod program;
mod spawn;
mod text;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use self::unix::{Child, adopt_orphans, kill_descendants, processes_below, processes_beside};
#[cfg(windows)]
pub use self::windows::{Child, adopt_orphans, kill_descendants, processes_below, processes_beside};

/// Whether [`processes_below`] and [`processes_beside`] list anything on this system.
pub const LISTS_PROCESSES: bool = cfg!(target_os = "linux");

pub use self::{
    handle::OwnedHandle,
    inherited::Inherited,
    spawn::{Ended, Spawn},
    text::{hand_over, handed_over},
};
