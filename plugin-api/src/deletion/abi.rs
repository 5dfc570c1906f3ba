//! The C surface of the table `TABLE_DELETION`. Like [`crate::abi`] it never changes once released; `abi/deletion.txt`
//! records it.

use crate::abi::{Batch, Call, Instance, Status, Str};

/// Id of a plugin's [`DeletionTable`].
pub const TABLE_DELETION: u32 = 2;

// Answers. Numbers are never reused; 0 is never valid. Last added: DELETION_FAILED = 3.

/// The request has reached the platform.
pub const DELETION_SENT: u32 = 1;
/// This backend, as it is configured, has no way to ask.
pub const DELETION_UNSUPPORTED: u32 = 2;
/// The request has not reached the platform.
pub const DELETION_FAILED: u32 = 3;

/// The table `TABLE_DELETION`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeletionTable {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Asks the platform to delete what it has of a machine, and blocks until it knows whether the request arrived, at
    /// most for the call's timeout.
    ///
    /// Writes one of the `DELETION_` numbers to `answer`, and says through `call->explain` what was requested from which
    /// platform, or why nothing was. With any status but `STATUS_OK` the host takes the answer as `DELETION_FAILED`.
    /// OWNERSHIP: `request`, `call` and all they point to are borrowed until this function returns.
    pub request: unsafe extern "C" fn(
        instance: *const Instance,
        request: *const DeletionRequestView,
        call: *const Call,
        answer: *mut u32,
    ) -> Status,
}

/// The request: what the platform should delete.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeletionRequestView {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// The pseudonymous id of the machine, as in its events.
    pub machine_id: Str,
    /// A batch of one event of the type `data.deletion_request`, for platforms that accept nothing but events.
    pub event: *const Batch,
}
