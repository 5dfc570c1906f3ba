//! The C surface of the table `TABLE_DIAGNOSTICS`. Like [`crate::abi`] it never changes once released;
//! `abi/diagnostics.txt` records it.

use core::ffi::c_void;

use crate::abi::{Batch, Call, Instance, Status, Str};

/// Id of a plugin's [`DiagnosticsTable`].
pub const TABLE_DIAGNOSTICS: u32 = 3;

// Answers. Numbers are never reused; 0 is never valid. Last added: PROBE_UNSUPPORTED = 4.

/// The platform answers and accepts this backend.
pub const PROBE_REACHABLE: u32 = 1;
/// There is no answer, or none by which events could be delivered now.
pub const PROBE_UNREACHABLE: u32 = 2;
/// The platform answers and does not accept this backend: its credentials, its permissions, or what it says.
pub const PROBE_REFUSED: u32 = 3;
/// This backend, as it is configured, has no way to find out without delivering an event.
pub const PROBE_UNSUPPORTED: u32 = 4;

/// The table `TABLE_DIAGNOSTICS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DiagnosticsTable {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Gives the sink what `send` would send for a batch, byte for byte, and sends nothing.
    ///
    /// Calls `sink->message` once for each request or message that `send` would make, in order. An event that `send`
    /// itself would refuse is reported to the call as `send` would report it; nothing else is reported. With any status but
    /// `STATUS_OK` the host drops what the sink has taken.
    /// OWNERSHIP: `batch`, `call`, `sink` and all they point to are borrowed until this function returns.
    pub preview: unsafe extern "C" fn(
        instance: *const Instance,
        batch: *const Batch,
        call: *const Call,
        sink: *const PreviewSink,
    ) -> Status,
    /// Finds out whether the platform can be reached and accepts this backend, without delivering an event, and blocks
    /// until it knows, at most for the call's timeout.
    ///
    /// Writes one of the `PROBE_` numbers to `answer`, and says through `call->explain` what answered, or why nothing did.
    /// With any status but `STATUS_OK` the host takes the answer as `PROBE_UNREACHABLE`.
    /// OWNERSHIP: `call` is borrowed until this function returns.
    pub probe: unsafe extern "C" fn(instance: *const Instance, call: *const Call, answer: *mut u32) -> Status,
}

/// The receiver of a preview.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PreviewSink {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The host's; handed back to `message` unchanged.
    pub context: *const c_void,
    /// Takes one request or message, from any thread, until `preview` returns. The label is one line for people, such as
    /// `POST https://host/path (application/json)`, without secrets. The bytes are its body as it is sent. A
    /// compressed body is given before compression, and the label says so. Null is allowed when there are no bytes.
    /// OWNERSHIP: both are copied before it returns.
    pub message: unsafe extern "C" fn(context: *const c_void, label: Str, bytes: *const u8, len: usize),
}
