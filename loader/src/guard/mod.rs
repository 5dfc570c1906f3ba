//! The only way into a plugin: a call has a deadline, a panic is an outcome, a hanging backend gets no calls.
//!
//! - [`supervisor`]: one backend, with its calls, and [`optional`], the calls of its optional tables;
//! - [`health`]: which instance calls may enter, with its [`circuit_breaker`];
//! - [`instance`]: one instance of a backend, with the worker threads that enter it;
//! - [`executor`]: the work of a worker, and how it enters: [`in_process`], or a child process;
//! - [`call`]: one call, shared by the thread that waits for it and the worker;
//! - [`callbacks`]: the functions that a plugin may call during a call;
//! - [`spin`]: busy waiting before sleeping;
//! - [`options`], [`report`], [`preview`], [`stats`] with its [`histogram`], [`error`]: what callers pass and get.
//!
//! No plugin code runs on a caller's thread, not even `open` or the last `free`. A call in this process can't
//! be ended at its deadline: the caller gets an answer, the worker stays inside the plugin with the batch,
//! and no further call enters that instance. Such threads are limited, and the process can end without them.

pub(crate) mod call;
mod callbacks;
pub(crate) mod circuit_breaker;
pub(crate) mod error;
pub(crate) mod executor;
mod health;
mod histogram;
pub(crate) mod in_process;
mod instance;
mod optional;
pub(crate) mod options;
pub(crate) mod preview;
pub(crate) mod report;
pub(crate) mod spin;
pub(crate) mod stats;
pub(crate) mod supervisor;
