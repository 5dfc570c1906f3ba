//! Leaving at once: a tool that ends hands its spool to a child process, which delivers when the tool is gone.
//!
//! The tool decides whether there is anything to do ([`leave`]) and the child does it ([`child`]). What the child has to
//! know, it is handed as [`orders`] through a descriptor: it evaluates no configuration, and no secret shows in its
//! arguments. One child delivers a spool at a time, which a [`turn`] is for.
//!
//! # Platform
//! Unix. Elsewhere no child can be had, and the tool delivers for a bounded time itself.

#[cfg(unix)]
pub(crate) mod child;
#[cfg(unix)]
pub(crate) mod job;
pub(crate) mod lock;
pub(crate) mod spawn;
