//! Handles of Windows, and what its calls return.

use std::io;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::DuplicateHandle;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// The error of a call that returns 0 for one.
pub(crate) fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The handle that a call has made, or its error.
///
/// # Safety
/// The handle is null, or a new one that nobody else closes.
pub(crate) unsafe fn made(handle: *mut std::ffi::c_void) -> io::Result<OwnedHandle> {
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as the caller says.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A copy of a handle in this process, with other rights or options.
pub(crate) fn copy(
    handle: BorrowedHandle<'_>,
    rights: u32,
    inherit: bool,
    options: u32,
) -> io::Result<OwnedHandle> {
    let mut copy = ptr::null_mut();
    // SAFETY: the handles are open, the copy can be written, and is this function's alone.
    unsafe {
        let own = GetCurrentProcess();
        let raw = handle.as_raw_handle();
        check(DuplicateHandle(own, raw, own, &raw mut copy, rights, inherit.into(), options))?;
        made(copy)
    }
}

/// A time for a call of the system, which takes the largest number for no limit. A part of a millisecond is a whole one.
pub(crate) fn milliseconds(time: Duration) -> u32 {
    let whole = time.as_nanos().div_ceil(1_000_000);
    u32::try_from(whole).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_no_shorter_than_asked_and_never_without_end() {
        for (time, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(20), 20),
            (Duration::MAX, u32::MAX - 1),
        ] {
            assert_eq!(milliseconds(time), expected, "{time:?}");
        }
    }
}
