//! A plugin's functions: the table of each, and how it is called. A new optional table begins here.

use jackfield_plugin_api::abi::{self, BACKEND_SERIAL, BackendTable, Status};
use jackfield_plugin_api::deletion::{DeletionRequestView, DeletionTable};
use jackfield_plugin_api::diagnostics::{DiagnosticsTable, PreviewSink};

/// An optional table. The numbers are bits of [`Abilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum OptionalTable {
    Deletion = 2,
    Diagnostics = 4,
}

/// The bit of [`Abilities`] for a serial plugin.
const SERIAL: u64 = 1;

/// A function of a plugin. A child process gets these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Function {
    Open = 1,
    Send,
    Delete,
    Preview,
    Probe,
    Close,
    Free,
}

impl Function {
    pub(crate) fn of(number: u32) -> Option<Self> {
        let all = [Self::Open, Self::Send, Self::Delete, Self::Preview, Self::Probe, Self::Close, Self::Free];
        all.into_iter().find(|function| *function as u32 == number)
    }
}

/// The optional abilities of a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities(pub(crate) u64);

impl Abilities {
    pub(crate) const fn has(self, table: OptionalTable) -> bool {
        self.0 & table as u64 != 0
    }

    /// Whether only one call at a time may enter the plugin.
    pub(crate) const fn is_serial(self) -> bool {
        self.0 & SERIAL != 0
    }
}

/// Copies of a plugin's tables, which the plugin can't change later.
#[derive(Clone, Copy)]
pub(crate) struct PluginTables {
    pub(crate) backend: BackendTable,
    pub(crate) deletion: Option<DeletionTable>,
    pub(crate) diagnostics: Option<DiagnosticsTable>,
}

/// The arguments of all functions. Each takes a part.
pub(crate) struct Arguments<'a> {
    /// The id of a machine.
    pub(crate) text: &'a str,
    pub(crate) batch: abi::Batch,
    pub(crate) call: *const abi::Call,
    pub(crate) sink: PreviewSink,
}

impl PluginTables {
    /// Tables without optional ones.
    pub(crate) const fn new(backend: BackendTable) -> Self {
        Self { backend, deletion: None, diagnostics: None }
    }

    pub(crate) fn abilities(&self) -> Abilities {
        let bits = [
            (self.backend.flags & BACKEND_SERIAL != 0, SERIAL),
            (self.deletion.is_some(), OptionalTable::Deletion as u64),
            (self.diagnostics.is_some(), OptionalTable::Diagnostics as u64),
        ];
        Abilities(bits.into_iter().filter(|(has, _)| *has).map(|(_, bit)| bit).sum())
    }

    /// Calls a function of an open instance. Returns its status, and the number that it wrote. A function
    /// that the plugin lacks is an invalid argument, and so is `open`.
    ///
    /// # Safety
    /// The tables were checked. `open` made the instance. `free` is called once, and no other function is
    /// inside or follows. Batch and call are valid until the function returns.
    pub(crate) unsafe fn call(
        &self,
        function: Function,
        instance: *mut abi::Instance,
        arguments: &Arguments<'_>,
    ) -> (Status, u32) {
        const ABSENT: Status = abi::STATUS_INVALID_ARGUMENT;
        let (batch, call) = (&raw const arguments.batch, arguments.call);
        let mut number = 0;
        // SAFETY: the caller vouches for instance, batch and call. The others live until the function
        // returns.
        let status = unsafe {
            match function {
                Function::Open => ABSENT,
                Function::Send => (self.backend.send)(instance, batch, call),
                Function::Close => (self.backend.close)(instance, call),
                Function::Free => (self.backend.free)(instance),
                Function::Delete => self.deletion.map_or(ABSENT, |table| {
                    let request = DeletionRequestView {
                        size: size_of::<DeletionRequestView>() as u32,
                        reserved: 0,
                        machine_id: abi::Str::new(arguments.text),
                        event: batch,
                    };
                    (table.request)(instance, &raw const request, call, &raw mut number)
                }),
                Function::Preview => self.diagnostics.map_or(ABSENT, |table| {
                    (table.preview)(instance, batch, call, &raw const arguments.sink)
                }),
                Function::Probe => {
                    self.diagnostics.map_or(ABSENT, |table| (table.probe)(instance, call, &raw mut number))
                }
            }
        };
        (status, number)
    }
}
