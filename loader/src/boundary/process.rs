//! This process: its end, number, threads, locks and heaps.

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Stack of a thread that only waits, in bytes.
pub(crate) const SMALL_STACK: usize = 64 << 10;

/// A thread for `job`. Linux shows the first 15 characters of the name `jackfield-{job}`.
pub(crate) fn thread(job: &str) -> Builder {
    Builder::new().name(format!("jackfield-{job}"))
}

/// A thread for `job` of a backend. The name has room for the beginning of the backend's.
pub(crate) fn backend_thread(job: &str, backend: &str) -> Builder {
    Builder::new().name(format!("{job}-{backend}"))
}

/// Locks `mutex`, also after a panic of its holder: no panic of this crate invalidates the state of a mutex.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instant after `timeout`. The longest timeout is about 30 years.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    after(Instant::now(), timeout)
}

/// The time after a duration, which may be any.
pub(crate) fn after(start: Instant, duration: Duration) -> Instant {
    start.checked_add(duration).unwrap_or_else(|| start + Duration::from_secs(1 << 30))
}

/// A timeout in the unit of the contract.
pub(crate) fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)
}

/// Limits the number of heaps from which the C library serves the threads of this process.
///
/// A heap keeps memory that was freed in it, and a new thread may get another heap than the thread before it.
/// So a process that starts threads again and again, as each reload of backends does, grows until all heaps
/// have kept what they can. The variables `MALLOC_ARENA_MAX` and `GLIBC_TUNABLES` have precedence. Call it
/// before other threads exist.
///
/// # Platform
/// glibc has eight heaps for each processor unless it is limited. With another C library this does nothing.
pub fn limit_heaps(most: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let tunables = std::env::var_os("GLIBC_TUNABLES").unwrap_or_default();
        if std::env::var_os("MALLOC_ARENA_MAX").is_none() && !tunables.to_string_lossy().contains("arena_max")
        {
            // SAFETY: the call is sound in any state of the process.
            unsafe { libc::mallopt(libc::M_ARENA_MAX, most) };
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = most;
}

/// Ends the process at once with the exit code `code`, of which Unix keeps the low 8 bits.
///
/// [`std::process::exit`] runs the destructors of loaded libraries. A plugin's destructor can crash, or hang
/// on a lock that a stuck call holds. This function runs no destructor of a library or of Rust and no
/// `atexit` function, so [`close`](crate::backend::Backend::close) the backends first.
///
/// It flushes Rust's standard output and standard error, and waits for a thread that is printing to them. It
/// ignores errors. Data in buffers of C code is lost.
///
/// # Platform
/// On Windows the other threads end first, and no DLL gets a notification.
pub fn exit(code: i32) -> ! {
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // SAFETY: the call is sound in any state of the process.
    #[cfg(unix)]
    unsafe {
        libc::_exit(code)
    }
    // SAFETY: as above; the handle is that of this process, which is always valid.
    #[cfg(windows)]
    unsafe {
        use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
        TerminateProcess(GetCurrentProcess(), code.cast_unsigned());
    }
    #[cfg(windows)]
    std::process::abort()
}

/// The number of this process, like [`std::process::id`], also after a fork. Cheap enough for frequent calls.
///
/// # Platform
/// On Linux 4.14 and later the number is kept in a page that the kernel clears in a forked child
/// (`MADV_WIPEONFORK`). Elsewhere, and under QEMU's user mode, each call asks the system.
#[must_use]
#[inline]
pub fn process_id() -> u32 {
    #[cfg(target_os = "linux")]
    return kept::process_id();
    #[cfg(not(target_os = "linux"))]
    std::process::id()
}

#[cfg(target_os = "linux")]
mod kept {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    /// The page, whose first word is the number, or 0. No lock guards it: a fork could copy a held lock.
    static KEPT: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
    /// Replaces the page if there is none, and stays 0.
    static NOWHERE: AtomicU32 = AtomicU32::new(0);

    const LEN: usize = size_of::<AtomicU32>();

    #[inline]
    pub(super) fn process_id() -> u32 {
        // SAFETY: a pointer that is not null comes from `page`: aligned, initialized, never unmapped.
        let kept = unsafe { KEPT.load(Ordering::Acquire).as_ref() };
        match kept.map_or(0, |kept| kept.load(Ordering::Relaxed)) {
            0 => ask(kept),
            id => id,
        }
    }

    #[cold]
    fn ask(kept: Option<&'static AtomicU32>) -> u32 {
        let id = std::process::id();
        let kept = kept.unwrap_or_else(page);
        if !ptr::eq(kept, &NOWHERE) {
            kept.store(id, Ordering::Relaxed);
        }
        id
    }

    /// Maps the page, unless another thread was faster.
    fn page() -> &'static AtomicU32 {
        let made = map().unwrap_or(ptr::from_ref(&NOWHERE).cast_mut());
        match KEPT.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: aligned, initialized, and never unmapped from here on.
            Ok(_) => unsafe { &*made },
            Err(first) => {
                if !ptr::eq(made, &NOWHERE) {
                    // SAFETY: no other code has seen this mapping.
                    let _ = unsafe { munmap(made.cast(), LEN) };
                }
                // SAFETY: as above, for another thread's page.
                unsafe { &*first }
            }
        }
    }

    /// A page of zeros that the kernel clears in every child.
    fn map() -> Option<*mut AtomicU32> {
        // SAFETY: the kernel chooses an address that is not in use.
        let page = unsafe {
            mmap_anonymous(ptr::null_mut(), LEN, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }
        .ok()?;
        // QEMU's user mode takes every advice, even one that does not exist, and follows none of this kind.
        // SAFETY: no other code has this mapping, and a kernel refuses the advice.
        let obeyed = unsafe { libc::madvise(page, LEN, -1) } != 0;
        // SAFETY: no other code has this mapping, and the advice does not change it in this process.
        if !obeyed || unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) }.is_err() {
            // SAFETY: as above.
            let _ = unsafe { munmap(page, LEN) };
            return None;
        }
        Some(page.cast())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_number_is_what_the_system_says() {
        for _ in 0..3 {
            assert_eq!(super::process_id(), std::process::id());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_forked_child_has_its_own_number() {
        assert_eq!(super::process_id(), std::process::id());
        // SAFETY: the child only calls `getpid` and `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let own = super::process_id() == std::process::id() && super::process_id() == std::process::id();
            // SAFETY: the call is sound in any state of the process.
            unsafe { libc::_exit(i32::from(!own)) };
        }
        let mut status = 0;
        // SAFETY: `status` is writable.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child has its own number");
    }
}
