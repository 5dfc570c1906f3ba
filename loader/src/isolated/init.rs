//! Where a program that can be started again for a job begins.

use crate::reexec::entry::{Job, run_job};

/// What a child for a plugin is started for.
#[cfg(target_os = "linux")]
pub(super) const JOB: &str = "child";

#[cfg(target_os = "linux")]
const JOBS: &[Job] = &[Job { name: JOB, run: super::child::serve::run }];
#[cfg(not(target_os = "linux"))]
const JOBS: &[Job] = &[];

/// In a child of this program, does the job that it was started for, and ends the process. In any other process it says
/// that this program can have children, and returns.
///
/// To be called on the first line of `main`, while there is one thread and nothing is open: a child closes every
/// descriptor that it was not handed.
pub fn init(jobs: &[Job]) {
    run_job(&[jobs, JOBS].concat());
}
