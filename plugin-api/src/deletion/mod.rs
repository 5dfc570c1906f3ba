//! The optional table `TABLE_DELETION`: it asks a platform to delete the data of a machine.
//!
//! The table is found by its id, so plugins without it load in hosts that know it, and hosts that do not know it ignore
//! it. A plugin that has the table says so in its metadata, by the capability `deletion`. The host judges the table by
//! its size; a released table never changes.

mod abi;

use crate::{
    abi::{Call as AbiCall, Instance, STATUS_INVALID_ARGUMENT, Status},
    backend::Backend,
    call::{Call, Outcome},
    event::Batch,
    export,
};

pub use abi::*;

/// The capability that a plugin with a [`DeletionTable`] offers.
pub const CAPABILITY: &str = "deletion";

/// A backend that can ask its platform to delete what it has of a machine. Exported by `offers: [deletion]`.
///
/// ```
/// # use jackfield_plugin_api::{Backend, Batch, Call, Error, Host, NoConfig, Outcome, Outcomes, export};
/// use jackfield_plugin_api::{DeletesData, Deletion, DeletionRequest};
///
/// # struct Api;
/// # impl Api {
/// #     fn delete(&self, _: &str, _: std::time::Duration) -> std::io::Result<u16> { Ok(202) }
/// # }
/// # struct Platform { api: Api }
/// # impl Backend for Platform {
/// #     type Config = NoConfig;
/// #     fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> { Ok(Self { api: Api }) }
/// #     fn send(&self, _: &Batch<'_>, _: &Call<'_>) -> Outcomes { Outcome::Delivered.into() }
/// # }
/// impl DeletesData for Platform {
///     fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
///         match self.api.delete(request.machine_id(), call.remaining()) {
///             Ok(202) => Deletion::Sent("api.example deletes it within 30 days".to_owned()),
///             Ok(status) => Deletion::Failed(format!("api.example answers {status}")),
///             Err(error) => Deletion::Failed(error.to_string()),
///         }
///     }
/// }
///
/// export! {
///     backend: Platform,
///     name: "platform",
///     offers: [deletion],
/// }
/// # fn main() {}
/// ```
///
/// A platform without such a request gets the [event](DeletionRequest::event), as `send` would send it, and
/// [`Deletion::from_outcome`] makes the answer of its outcome.
pub trait DeletesData: Backend {
    /// Sends the request to the platform, and blocks for at most [`Call::remaining`].
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion;
}

/// What is to be deleted.
#[derive(Clone, Copy)]
pub struct DeletionRequest<'a> {
    machine_id: &'a str,
    event: Batch<'a>,
}

impl<'a> DeletionRequest<'a> {
    /// A request of a test.
    #[cfg(feature = "test-host")]
    pub(crate) const fn new(machine_id: &'a str, event: Batch<'a>) -> Self {
        Self { machine_id, event }
    }

    /// The pseudonymous id of the machine, as in its events.
    #[must_use]
    pub const fn machine_id(&self) -> &'a str {
        self.machine_id
    }

    /// A batch of one event of the type `data.deletion_request`, for platforms that take nothing but events.
    #[must_use]
    pub const fn event(&self) -> &Batch<'a> {
        &self.event
    }

    /// Views a request from the host; `None` when it is null or its size is not that of this table.
    ///
    /// # Safety
    /// `request` is null, or points to a request that is valid for `'a` as [`DeletionRequestView`] says.
    unsafe fn from_abi(request: *const DeletionRequestView) -> Option<Self> {
        // SAFETY: the caller guarantees a valid request unless it is null, and valid pointers in it.
        unsafe {
            let view = request.as_ref()?;
            if view.size as usize != size_of::<DeletionRequestView>() {
                return None;
            }
            Some(Self { machine_id: view.machine_id.to_str().ok()?, event: Batch::from_abi(view.event)? })
        }
    }
}

/// The result of a request for deletion. The text is one line without secrets, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The request has reached the platform.
    Sent(String),
    /// This backend, as it is configured, has no way to ask.
    Unsupported(String),
    /// The request has not reached the platform.
    Failed(String),
}

impl Deletion {
    /// The answer of a backend that sends the request as an event: [`Deletion::Sent`] with the text of `sent` when the
    /// event was delivered, otherwise [`Deletion::Failed`] with the reason.
    #[must_use]
    pub fn from_outcome(outcome: Outcome, sent: impl FnOnce() -> String) -> Self {
        match outcome {
            Outcome::Delivered => Self::Sent(sent()),
            failed => Self::Failed(failed.reason().to_owned()),
        }
    }

    fn into_abi(self) -> (u32, String) {
        match self {
            Self::Sent(text) => (DELETION_SENT, text),
            Self::Unsupported(text) => (DELETION_UNSUPPORTED, text),
            Self::Failed(text) => (DELETION_FAILED, text),
        }
    }

    /// From a table's answer and the text that came with it. An unknown number is [`Deletion::Failed`].
    #[must_use]
    pub fn from_abi(answer: u32, text: String) -> Self {
        match answer {
            DELETION_SENT => Self::Sent(text),
            DELETION_UNSUPPORTED => Self::Unsupported(text),
            DELETION_FAILED => Self::Failed(text),
            unknown => Self::Failed(format!("the plugin gave the unknown answer {unknown}: {text}")),
        }
    }
}

/// The deletion table of `B`.
#[doc(hidden)]
#[must_use]
pub const fn table<B: DeletesData>() -> DeletionTable {
    DeletionTable { size: size_of::<DeletionTable>() as u32, reserved: 0, request: request::<B> }
}

unsafe extern "C" fn request<B: DeletesData>(
    instance: *const Instance,
    request: *const DeletionRequestView,
    call: *const AbiCall,
    answer: *mut u32,
) -> Status {
    // SAFETY: the contract of `DeletionTable::request`: a live request.
    let Some(request) = (unsafe { DeletionRequest::from_abi(request) }) else {
        return STATUS_INVALID_ARGUMENT;
    };
    // SAFETY: the same contract: an instance that `open` made, a live call, and an `answer` that takes one number.
    unsafe {
        export::answer::<B>(instance, call, answer, |backend, call| {
            backend.request_deletion(&request, call).into_abi()
        })
    }
}
