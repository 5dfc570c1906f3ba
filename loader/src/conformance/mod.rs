//! A plugin's functions without the guard in front of them, for a kit that looks how they behave.
//!
//! What the contract forbids a host can't be done through this module either: a serial plugin is entered once at a time, a
//! context that a plugin goes on using after its call leads nowhere, and an instance is freed once. Whoever calls it does so
//! in a child process: a plugin that is wrong may hang or crash whatever calls it.

mod batch;
mod call;
mod host;
mod process;
mod subject;
mod terms;

pub use self::{
    call::{Answer, late_uses},
    process::ProcessState,
    subject::{Instance, Subject},
    terms::{Cancel, Empty, HostKind, Terms},
};
