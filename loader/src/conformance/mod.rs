//! A plugin's functions without the guard, for a kit that tests their behaviour.
//!
//! This module follows the host's side of the contract: only one call at a time enters a serial plugin, the
//! context of an ended call has no effect, and an instance is freed once. Use it in a child process.

mod call;
mod host;
mod late;
mod log;
mod made;
mod process;
mod subject;

pub use self::{
    call::Answer,
    host::{Cancel, Empty, HostKind, Memory, Terms},
    late::{late_records, late_uses},
    log::log_breaches,
    made::{Left, Made},
    process::{ProcessState, allocated, begin, flush_output, trim},
    subject::{Instance, Subject},
};
