//! The number of this process, for code that needs it often.
//!
//! # Platform
//! Linux: asking the system costs a quarter of a small write. So the answer is kept in a page that the kernel empties in
//! every child, however it was forked (`MADV_WIPEONFORK`, Linux 4.14). Elsewhere, and on older kernels, the system is
//! asked each time.

/// The number of this process: what [`std::process::id`] says, after a fork too.
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
    use std::{
        ptr,
        sync::atomic::{AtomicPtr, AtomicU32, Ordering},
    };

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    /// The page's first word: the process's number, or 0 before the first use. No lock guards it, because a child may
    /// be forked while another thread holds it.
    static KEPT: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
    /// Stands in where no such page is to be had, and stays 0.
    static NOWHERE: AtomicU32 = AtomicU32::new(0);

    /// The kernel makes whole pages of it.
    const LEN: usize = size_of::<AtomicU32>();

    #[inline]
    pub(super) fn process_id() -> u32 {
        // SAFETY: what is not null comes from `page`, which is aligned, holds a number and is never unmapped.
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

    /// Makes the page, unless another thread did so first.
    fn page() -> &'static AtomicU32 {
        let made = map().unwrap_or(ptr::from_ref(&NOWHERE).cast_mut());
        match KEPT.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: aligned, holds a number, and is never unmapped from here on.
            Ok(_) => unsafe { &*made },
            Err(first) => {
                if !ptr::eq(made, &NOWHERE) {
                    // SAFETY: it is a mapping of this function's own, which no other code has seen.
                    let _ = unsafe { munmap(made.cast(), LEN) };
                }
                // SAFETY: as above; it is what the other thread has made.
                unsafe { &*first }
            }
        }
    }

    /// A page of zeros that is one of zeros again in every child.
    fn map() -> Option<*mut AtomicU32> {
        // SAFETY: a new private mapping at an address that the kernel chooses touches no memory that is in use.
        let page = unsafe {
            mmap_anonymous(ptr::null_mut(), LEN, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }
        .ok()?;
        // SAFETY: the mapping is this function's own, and in this process the advice changes nothing about it.
        if unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) }.is_err() {
            // SAFETY: no other code has it.
            let _ = unsafe { munmap(page, LEN) };
            return None;
        }
        Some(page.cast())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_what_the_system_says() {
        for _ in 0..3 {
            assert_eq!(super::process_id(), std::process::id());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_forked_child_has_a_number_of_its_own() {
        assert_eq!(super::process_id(), std::process::id());
        // SAFETY: the child calls nothing but `getpid` and `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let own = super::process_id() == std::process::id() && super::process_id() == std::process::id();
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(i32::from(!own)) };
        }
        let mut status = 0;
        // SAFETY: `status` is a place for the answer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child has its own number");
    }
}
