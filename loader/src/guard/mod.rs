//! The only way into a plugin: every call has a deadline, a panic is an outcome, and a backend that hangs is shut off.
//!
//! - [`supervisor`]: one backend over time: lets calls enter, waits for them, judges how they ended; [`optional`] has the calls of a
//!   plugin's optional tables, [`send_async`] the asynchronous one;
//! - [`health`]: which instance calls enter, and what the end of a call says about the next ones;
//! - [`circuit_breaker`]: when a backend that misbehaved is tried again;
//! - [`instance`]: one instance of a backend with the worker threads that enter it;
//! - [`executor`]: how a worker enters: [`in_process`], or a child process;
//! - [`work`]: what is to be done inside a plugin;
//! - [`call`]: one call, shared by the thread that waits for it and the one that is inside the plugin;
//! - [`callbacks`], [`call_registry`]: what a plugin says during a call, and by which number it says so;
//! - [`preview`]: what a plugin hands over of what it would send;
//! - [`spin`]: looking before sleeping;
//! - [`options`]; [`report`], [`stats`], [`error`]: what callers say and are told.
//!
//! No plugin code runs on a caller's thread, neither of `open` nor of the last `free`. A call past its deadline can't be
//! ended in this process: its caller is answered, its thread stays inside the plugin and holds the batch, and nothing
//! further enters that instance. Such threads are counted and capped, and the exit of the process does not wait for them.

pub(crate) mod call;
mod call_registry;
mod callbacks;
mod circuit_breaker;
pub(crate) mod error;
pub(crate) mod executor;
mod health;
mod in_process;
mod instance;
mod optional;
pub(crate) mod options;
pub(crate) mod preview;
pub(crate) mod report;
#[cfg(feature = "tokio")]
mod send_async;
pub(crate) mod spin;
pub(crate) mod stats;
pub(crate) mod supervisor;
pub(crate) mod work;
