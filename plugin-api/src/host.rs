//! The host, as a plugin sees it.

use crate::abi;

/// The host's services. Cheap to copy, usable from any thread, for as long as the process lives.
#[derive(Clone, Copy)]
pub struct Host {
    services: &'static abi::HostServices,
}

// SAFETY: the contract keeps the services for the life of the process and makes them callable from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Views the host; `None` when it is null, of another major version, or without services.
    ///
    /// # Safety
    /// `host` is null, or points to a host that lives as long as the process, as [`abi::Host`] says.
    #[must_use]
    pub unsafe fn from_abi(host: *const abi::Host) -> Option<Self> {
        // SAFETY: the caller guarantees a valid host unless it is null, and valid tables.
        let services = unsafe {
            let host = host.as_ref()?;
            if host.size as usize != size_of::<abi::Host>() || host.abi_major != abi::ABI_MAJOR {
                return None;
            }
            host.tables.find(abi::HOST_TABLE_SERVICES).cast::<abi::HostServices>().as_ref()?
        };
        (services.size as usize == size_of::<abi::HostServices>()).then_some(Self { services })
    }

    fn text(view: abi::Str) -> &'static str {
        // SAFETY: the contract keeps the services' strings for the life of the process.
        unsafe { view.to_str() }.unwrap_or_default()
    }

    /// Name of the tool whose telemetry this is.
    #[must_use]
    pub fn tool_name(&self) -> &'static str {
        Self::text(self.services.tool_name)
    }

    /// Version of that tool.
    #[must_use]
    pub fn tool_version(&self) -> &'static str {
        Self::text(self.services.tool_version)
    }

    /// Name of this backend in the configuration.
    #[must_use]
    pub fn backend_name(&self) -> &'static str {
        Self::text(self.services.backend_name)
    }

    /// Whether the host no longer uses this backend. A plugin's own threads check it regularly, and end when it is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the services live as long as the process, and their context belongs to their functions.
        unsafe { (self.services.cancelled)(self.services.context) != 0 }
    }

    /// Whether the host wants a log record.
    pub(crate) fn log_enabled(&self, level: u32, target: &str) -> bool {
        // SAFETY: as above; the target is borrowed for the call.
        unsafe { (self.services.log_enabled)(self.services.context, level, abi::Str::new(target)) != 0 }
    }

    /// Hands a log record to the host.
    pub(crate) fn log(&self, record: &abi::LogRecord) {
        // SAFETY: as above; the record is copied before `log` returns.
        unsafe { (self.services.log)(self.services.context, record) }
    }
}
