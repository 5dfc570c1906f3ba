//! What concerns the process as a whole: forks, reentrancy, deadlines.

pub(crate) mod deadline;
pub(crate) mod per_process;
pub(crate) mod reentrancy;
