//! The optional table `TABLE_DIAGNOSTICS`: it shows what would be sent, and whether the platform answers.
//!
//! The table is found by its id, like that of [`deletion`](crate::deletion). A plugin that has it says so in its
//! metadata, by the capability `diagnostics`. The host judges the table by its size; a released table never changes.

mod abi;

use crate::{
    abi::{Batch as AbiBatch, Call as AbiCall, Instance, STATUS_INVALID_ARGUMENT, Status, Str},
    backend::{Backend, Error},
    call::Call,
    event::Batch,
    export,
};

pub use abi::*;

/// The capability that a plugin with a [`DiagnosticsTable`] offers.
pub const CAPABILITY: &str = "diagnostics";

/// A backend that can show what it would send, and find out whether its platform would accept it. Exported by
/// `offers: [diagnostics]`. Users see the first by `telemetry show`, ops the second by `jackfield doctor`.
///
/// ```
/// # use jackfield_plugin_api::{Backend, Batch, Call, Error, Host, NoConfig, Outcome, Outcomes, export};
/// use std::net::TcpStream;
///
/// use jackfield_plugin_api::{Diagnoses, Probe};
///
/// # struct Lines;
/// # impl Backend for Lines {
/// #     type Config = NoConfig;
/// #     fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> { Ok(Self) }
/// #     fn send(&self, _: &Batch<'_>, _: &Call<'_>) -> Outcomes { Outcome::Delivered.into() }
/// # }
/// impl Diagnoses for Lines {
///     fn preview(
///         &self,
///         batch: &Batch<'_>,
///         sink: &mut dyn FnMut(&str, &[u8]),
///         _call: &Call<'_>,
///     ) -> Result<(), Error> {
///         for event in batch {
///             sink("a line to 127.0.0.1:5170", format!("{}\n", event.json()).as_bytes());
///         }
///         Ok(())
///     }
///
///     fn probe(&self, call: &Call<'_>) -> Probe {
///         match TcpStream::connect_timeout(&([127, 0, 0, 1], 5170).into(), call.remaining()) {
///             Ok(_) => Probe::Reachable("127.0.0.1:5170 accepts connections".to_owned()),
///             Err(error) => Probe::Unreachable(format!("127.0.0.1:5170: {error}")),
///         }
///     }
/// }
///
/// export! {
///     backend: Lines,
///     name: "lines",
///     offers: [diagnostics],
/// }
/// # fn main() {}
/// ```
pub trait Diagnoses: Backend {
    /// Hands `sink` what [`send`](Backend::send) would send for this batch, and sends nothing.
    ///
    /// `sink` takes a label and the bytes, once for each request or message, in order. The label is one line for people,
    /// such as `POST https://host/path (application/json)`, without secrets. The bytes are exactly those that would be
    /// sent, including credentials that are a part of the body. A compressed body is shown before compression, and the
    /// label says so. Values that depend on the time of sending are those of this moment. An event that `send`
    /// itself would refuse is [reported](Call::report) to the call as `send` would report it; nothing else is reported.
    ///
    /// # Errors
    /// When the backend can't tell what it would send.
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error>;

    /// Finds out by a request whether the platform can be reached and accepts this backend, without delivering an event;
    /// blocks for at most [`Call::remaining`].
    fn probe(&self, call: &Call<'_>) -> Probe;
}

/// The result of a probe. The text is one line without secrets, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The platform answers and accepts this backend.
    Reachable(String),
    /// There is no answer, or none by which events could be delivered now.
    Unreachable(String),
    /// The platform answers and does not accept this backend: its credentials, its permissions, or what it says.
    Refused(String),
    /// This backend, as it is configured, has no way to find out without delivering an event.
    Unsupported(String),
}

impl Probe {
    fn into_abi(self) -> (u32, String) {
        match self {
            Self::Reachable(text) => (PROBE_REACHABLE, text),
            Self::Unreachable(text) => (PROBE_UNREACHABLE, text),
            Self::Refused(text) => (PROBE_REFUSED, text),
            Self::Unsupported(text) => (PROBE_UNSUPPORTED, text),
        }
    }

    /// From a table's answer and the text that came with it. An unknown number is [`Probe::Unreachable`].
    #[must_use]
    pub fn from_abi(answer: u32, text: String) -> Self {
        match answer {
            PROBE_REACHABLE => Self::Reachable(text),
            PROBE_UNREACHABLE => Self::Unreachable(text),
            PROBE_REFUSED => Self::Refused(text),
            PROBE_UNSUPPORTED => Self::Unsupported(text),
            unknown => Self::Unreachable(format!("the plugin gave the unknown answer {unknown}: {text}")),
        }
    }
}

impl PreviewSink {
    /// Views a sink from the host; `None` when it is null or its size is not that of this table.
    ///
    /// # Safety
    /// `sink` is null, or points to a sink that is valid for `'a` as [`PreviewSink`] says.
    unsafe fn from_abi<'a>(sink: *const Self) -> Option<&'a Self> {
        // SAFETY: the caller guarantees a valid sink unless it is null.
        let sink = unsafe { sink.as_ref() }?;
        (sink.size as usize == size_of::<Self>()).then_some(sink)
    }
}

/// The diagnostics table of `B`.
#[doc(hidden)]
#[must_use]
pub const fn table<B: Diagnoses>() -> DiagnosticsTable {
    DiagnosticsTable {
        size: size_of::<DiagnosticsTable>() as u32,
        reserved: 0,
        preview: preview::<B>,
        probe: probe::<B>,
    }
}

unsafe extern "C" fn preview<B: Diagnoses>(
    instance: *const Instance,
    batch: *const AbiBatch,
    call: *const AbiCall,
    sink: *const PreviewSink,
) -> Status {
    // SAFETY: the contract of `DiagnosticsTable::preview`: an instance that `open` made, a live batch, call and sink.
    let (backend, batch, call, sink) = unsafe {
        (
            export::backend::<B>(instance),
            Batch::from_abi(batch),
            Call::from_abi(call),
            PreviewSink::from_abi(sink),
        )
    };
    let (Some(backend), Some(batch), Some(call), Some(sink)) = (backend, batch, call, sink) else {
        return STATUS_INVALID_ARGUMENT;
    };
    export::guard(&call, || {
        let mut message = |label: &str, bytes: &[u8]| {
            // SAFETY: the sink is live until this function returns, and its context belongs to its function; label and
            // bytes are copied before it returns.
            unsafe { (sink.message)(sink.context, Str::new(label), bytes.as_ptr(), bytes.len()) };
        };
        backend?.preview(&batch, &mut message, &call)
    })
}

unsafe extern "C" fn probe<B: Diagnoses>(
    instance: *const Instance,
    call: *const AbiCall,
    answer: *mut u32,
) -> Status {
    // SAFETY: the contract of `DiagnosticsTable::probe`: an instance that `open` made, a live call, and an `answer` that
    // takes one number.
    unsafe { export::answer::<B>(instance, call, answer, |backend, call| backend.probe(call).into_abi()) }
}
