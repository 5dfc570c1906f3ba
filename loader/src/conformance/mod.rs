//! A plugin's functions without the guard, for a kit that tests their behaviour.
//!
//! This module keeps to the host's side of the contract: it enters a serial plugin once at a time, a context that a plugin
//! goes on using after its call leads nowhere, and an instance is freed once. Call it in a child process: a faulty plugin
//! may hang or crash the process.

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
