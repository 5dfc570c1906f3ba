//! A job of Windows: limits that hold for the processes in it and for all that they start.

use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, OwnedHandle};
use std::{io, ptr};

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject, TerminateJobObject,
};

use super::handles::{check, made};

#[derive(Debug)]
pub(crate) struct Job(OwnedHandle);

impl Job {
    pub(crate) fn new(limits: &JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> io::Result<Self> {
        // SAFETY: a new job without a name, which nobody inherits; the limits can be read.
        unsafe {
            let job = made(CreateJobObjectW(ptr::null(), ptr::null()))?;
            check(SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                ptr::from_ref(limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
            ))?;
            Ok(Self(job))
        }
    }

    /// Puts a process into the job, for its life.
    pub(crate) fn add(&self, process: BorrowedHandle<'_>) -> io::Result<()> {
        // SAFETY: the handles are open.
        check(unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process.as_raw_handle()) })
    }

    /// Ends every process in the job, with this exit code.
    pub(crate) fn end(&self, code: u32) {
        // SAFETY: the handle is open.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), code) };
    }
}
