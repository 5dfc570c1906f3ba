//! Delivery by a detached child process, after the tool has ended.
//!
//! The tool decides whether a child is needed, and starts it ([`spawn`]). The child delivers ([`child`]). The child inherits
//! its [`job`] through a descriptor: it evaluates no configuration, and no secret shows in its arguments. A [`lock`] makes
//! sure that one child at a time delivers a spool.

pub(crate) mod child;
#[cfg(unix)]
mod holder;
/// No other process has the lock of a child, and the child's own timer ends it.
#[cfg(windows)]
mod holder {
    use std::{fs::File, io, time::Duration};

    pub(super) const fn sign(_: &File, _: Duration) -> io::Result<()> {
        Ok(())
    }

    pub(super) const fn end_overdue(_: &File) -> bool {
        false
    }
}
pub(crate) mod job;
pub(crate) mod lock;
pub(crate) mod spawn;
