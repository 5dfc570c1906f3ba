//! The only way into a plugin: every call has a deadline, a panic is an outcome, and a backend that hangs is shut off.
//!
//! - [`call`]: one call, shared by the thread that waits for it and the one that is inside the plugin;
//! - [`instance`]: one instance of a backend with the worker threads that enter it;
//! - [`lane`]: the instances of one backend over time, and who may enter;
//! - [`optional`]: the calls of a plugin's optional tables;
//! - [`preview`]: what a plugin hands over of what it would send;
//! - [`quarantine`]: when a backend that misbehaved is tried again;
//! - [`running`]: the calls that are inside a plugin, by the numbers that plugins know them by;
//! - [`spin`]: looking before sleeping;
//! - [`report`], [`stats`]: what callers are told.
//!
//! No plugin code runs on a caller's thread, neither of `open` nor of the last `free`. A call past its deadline can't be
//! ended in this process: its caller is answered, its thread stays inside the plugin and holds the batch, and nothing
//! further enters that instance. Such threads are counted and capped, and the exit of the process does not wait for them.

mod call;
mod instance;
mod lane;
mod optional;
mod preview;
mod quarantine;
mod report;
mod running;
mod spin;
mod stats;

pub(crate) use call::{CallState, Explanation, Said};
pub(crate) use instance::{Entry, Made, Source, Work};
pub use lane::{CloseFailure, OpenFailure};
pub(crate) use lane::{Lane, LaneConfig};
pub use preview::{Message, Preview, PreviewError, Unsent};
pub use quarantine::Backoff;
pub use report::{Failure, Report};
pub(crate) use spin::Spin;
pub use stats::{Latency, ProcessStats, Stats};
