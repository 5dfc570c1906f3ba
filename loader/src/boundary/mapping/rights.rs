//! Rights that are taken from a mapping, so that a use of it ends the process.

use std::io;

#[cfg(target_os = "linux")]
use super::linux as system;
use super::view::Mapping;
#[cfg(windows)]
use super::windows as system;

impl Mapping {
    /// Takes the right to write from this process: a write ends it.
    pub(crate) fn protect(&self) -> io::Result<()> {
        // SAFETY: the whole mapping belongs to this value, and nobody has a reference by which it is written.
        unsafe { system::restrict(self.base, self.len, true) }
    }

    /// Takes every right to use `len` bytes from `at` on, both multiples of a page's size: a use of them ends the process.
    pub(crate) fn close(&self, at: usize, len: usize) -> io::Result<()> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the range lies within the mapping, and nobody has a reference to it.
        unsafe { system::restrict(self.base.add(at), len, false) }
    }

    /// Leaves the mapping as it is when the value ends.
    pub(crate) fn keep(&mut self) {
        self.len = 0;
    }
}
