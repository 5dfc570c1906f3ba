//! The mapping of a memory, on every platform.

/// The mapping of a whole memory, which ends with the value. The system chooses the address, which is aligned to a page.
pub(crate) struct Mapping {
    pub(super) base: *mut u8,
    pub(super) len: usize,
}

// SAFETY: the mapping lives as long as the value, on any thread. The type gives nothing but a pointer.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Memory of this process in the place of a mapping, for an interpreter that has none. The value must not be dropped.
    #[cfg(test)]
    pub(crate) const fn of_memory(base: *mut u8, len: usize) -> Self {
        Self { base, len }
    }

    pub(crate) const fn base(&self) -> *mut u8 {
        self.base
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}
