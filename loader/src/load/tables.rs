//! A plugin's functions: which table each stands in, and how it is called. A new optional table begins here.

use jackfield_plugin_api::{
    abi::{self, BACKEND_SERIAL, BackendTable, Status},
    deletion::{DeletionRequestView, DeletionTable},
    diagnostics::{DiagnosticsTable, PreviewSink},
};

/// A table that a plugin may have. The numbers are bits of [`PluginTables::abilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum OptionalTable {
    Deletion = 2,
    Diagnostics = 4,
}

/// The bit of [`PluginTables::abilities`] for a plugin that is entered once at a time.
const SERIAL: u64 = 1;

/// What a host asks of a plugin. The numbers are those by which a child process is asked.
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
    /// The function with this number.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "for process isolation"))]
    pub(crate) fn of(number: u32) -> Option<Self> {
        let all = [Self::Open, Self::Send, Self::Delete, Self::Preview, Self::Probe, Self::Close, Self::Free];
        all.into_iter().find(|function| *function as u32 == number)
    }
}

/// What a plugin has beside the functions of every plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities(pub(crate) u64);

impl Abilities {
    pub(crate) const fn has(self, table: OptionalTable) -> bool {
        self.0 & table as u64 != 0
    }

    /// Whether it is entered once at a time.
    pub(crate) const fn is_serial(self) -> bool {
        self.0 & SERIAL != 0
    }
}

/// A plugin's tables: copies, so that nothing the plugin does later changes them.
#[derive(Clone, Copy)]
pub(crate) struct PluginTables {
    pub(crate) backend: BackendTable,
    pub(crate) deletion: Option<DeletionTable>,
    pub(crate) diagnostics: Option<DiagnosticsTable>,
}

/// What a function is called with. Each takes a part of it.
pub(crate) struct Arguments<'a> {
    /// The id of a machine.
    pub(crate) text: &'a str,
    pub(crate) batch: abi::Batch,
    pub(crate) call: *const abi::Call,
    pub(crate) sink: PreviewSink,
}

impl PluginTables {
    /// The tables of a plugin that has none but its backend.
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

    /// Calls a function of an open instance: its status, and the number that it wrote. A function that the plugin does not
    /// have is an invalid argument, and so is `open`, which makes the instance.
    ///
    /// # Safety
    /// The tables were checked. `open` made the instance, and `free` has not been called; `free` is called while no other
    /// function is inside. The batch and the call are valid until the function returns.
    pub(crate) unsafe fn call(
        &self,
        function: Function,
        instance: *mut abi::Instance,
        arguments: &Arguments<'_>,
    ) -> (Status, u32) {
        const ABSENT: Status = abi::STATUS_INVALID_ARGUMENT;
        let (batch, call) = (&raw const arguments.batch, arguments.call);
        let mut number = 0;
        // SAFETY: the caller vouches for instance, batch and call; what is made here lives until the function returns.
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
