//! A count of the bytes that a scan looks at, so that a test can tell that their number is linear.

#[cfg(test)]
thread_local! {
    /// Bytes that scans on this thread have looked at.
    pub(super) static SPENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
pub(super) fn spend(bytes: usize) {
    SPENT.with(|spent| spent.set(spent.get() + bytes as u64));
}

#[cfg(not(test))]
pub(super) fn spend(_bytes: usize) {}
