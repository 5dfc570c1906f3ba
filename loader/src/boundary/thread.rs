//! Threads of this crate, each named by its job.

use std::thread::Builder;

/// Enough stack for a thread that only waits.
pub(crate) const SMALL_STACK: usize = 64 << 10;

/// A thread for `job`. Linux shows the first 15 characters of the name, so the job comes first in `job`.
pub(crate) fn thread(job: &str) -> Builder {
    Builder::new().name(format!("jackfield-{job}"))
}
