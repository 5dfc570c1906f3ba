//! Delivery by a detached child process, after the tool has ended.
//!
//! The tool decides whether a child is needed, and starts it ([`spawn`]). The child delivers ([`child`]). The child inherits
//! its [`job`] through a descriptor: it evaluates no configuration, and no secret shows in its arguments. A [`lock`] makes
//! sure that one child at a time delivers a spool.
//!
//! # Platform
//! Unix. Elsewhere no child can be started, and the tool itself delivers for a bounded time.

#[cfg(unix)]
pub(crate) mod child;
#[cfg(unix)]
mod holder;
#[cfg(unix)]
pub(crate) mod job;
pub(crate) mod lock;
pub(crate) mod spawn;
