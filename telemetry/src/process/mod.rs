//! What concerns the process as a whole: forks and reentrancy.

pub(crate) mod per_process;
pub(crate) mod reentrancy;
