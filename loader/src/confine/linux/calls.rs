//! The system calls that a plugin has no business with. They fail by EPERM, which a library copes with that only tries.

use std::env;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

const DENIED: [i64; 5] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
];

/// The same in the ABI x32, which some kernels have beside that of x86-64: its mark, and the numbers that differ there.
#[cfg(target_arch = "x86_64")]
const X32: (i64, [i64; 5]) = (0x4000_0000, [520, 545, 521, 539, 540]);

/// Denies them to this thread and to what it starts. A call by the rules of another architecture ends the process.
pub(super) fn deny() -> Result<(), seccompiler::Error> {
    let mut numbers = DENIED.to_vec();
    #[cfg(target_arch = "x86_64")]
    numbers.extend(DENIED.iter().chain(&X32.1).map(|number| X32.0 | number));
    let filter = SeccompFilter::new(
        numbers.into_iter().map(|number| (number, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        env::consts::ARCH.try_into()?,
    )?;
    apply_filter(&BpfProgram::try_from(filter)?)
}
