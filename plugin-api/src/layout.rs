//! A host uses two things to see whether a plugin was built against the same frozen types: the digest of the surface, and
//! the type layouts of `abi_stable`, to which the descriptor of a Rust plugin points.
//!
//! Only this crate uses `abi_stable`. A plugin without layouts, or with those of another `abi_stable` series, is
//! judged by its digest and the sizes of its tables alone.

use core::ffi::c_void;

/// The frozen surface as text: every type with its fields, their types, and offsets and sizes on a 64-bit target. A test
/// compares it with [`crate::abi`]. Numbers are not part of it: a number may be added without a change of any table.
pub const SURFACE: &str = include_str!("../abi/1.txt");

/// Digest of [`SURFACE`]: FNV-1a, 64 bits, over its bytes without carriage returns. A host and a plugin whose digests
/// differ were built against different tables. It distinguishes versions; it does not protect against forgery.
///
/// Source: the FNV-1a parameters of draft-eastlake-fnv.
pub const DIGEST: u64 = fnv1a(SURFACE.as_bytes());

const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\r' {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        }
        at += 1;
    }
    hash
}

/// The series of `abi_stable` whose layouts this crate writes and reads, as major and minor version.
pub const ABI_STABLE: (u32, u32) = (0, 11);

/// The result of the comparison of a descriptor's layouts with the host's.
#[derive(Debug)]
#[non_exhaustive]
pub enum LayoutCheck {
    /// Every type was compared and is the same.
    Equal,
    /// Nothing to compare: the plugin or the host has no layouts, or those of another `abi_stable` series. The digest decides.
    ByDigest,
    /// Some type differs; the report of `abi_stable`, many lines long.
    Different(String),
}

#[cfg(feature = "layouts")]
pub use with_abi_stable::{Layouts, check, pointer};

/// The pointer that a descriptor carries.
#[cfg(not(feature = "layouts"))]
#[doc(hidden)]
#[must_use]
pub const fn pointer() -> *const c_void {
    core::ptr::null()
}

/// A host without the layouts compares none.
///
/// # Safety
/// None is needed: nothing is read.
#[cfg(not(feature = "layouts"))]
#[must_use]
pub const unsafe fn check(_: *const c_void) -> LayoutCheck {
    LayoutCheck::ByDigest
}

#[cfg(feature = "layouts")]
mod with_abi_stable {
    use abi_stable::{StableAbi, abi_stability::abi_checking, type_layout::TypeLayout};

    use super::{ABI_STABLE, LayoutCheck, c_void};
    use crate::abi::Surface;

    /// What [`Descriptor::layouts`](crate::abi::Descriptor::layouts) points to in a Rust plugin.
    #[repr(C)]
    pub struct Layouts {
        abi_stable_major: u32,
        abi_stable_minor: u32,
        surface: &'static TypeLayout,
    }

    static LAYOUTS: Layouts = Layouts {
        abi_stable_major: ABI_STABLE.0,
        abi_stable_minor: ABI_STABLE.1,
        surface: <Surface as StableAbi>::LAYOUT,
    };

    /// The pointer that a descriptor carries.
    #[doc(hidden)]
    #[must_use]
    pub const fn pointer() -> *const c_void {
        (&raw const LAYOUTS).cast()
    }

    /// Compares a plugin's layouts with this crate's.
    ///
    /// # Safety
    /// `layouts` is null, or comes from the descriptor of a loaded library and points to a [`Layouts`] that stays mapped.
    #[must_use]
    pub unsafe fn check(layouts: *const c_void) -> LayoutCheck {
        if layouts.is_null() {
            return LayoutCheck::ByDigest;
        }
        // SAFETY: the caller guarantees the first two fields, whose types are the same in every version. The third is read
        // only when they name the series that this crate was built with.
        let theirs = unsafe {
            let series = layouts.cast::<[u32; 2]>().read();
            if (series[0], series[1]) != ABI_STABLE {
                return LayoutCheck::ByDigest;
            }
            &*layouts.cast::<Layouts>()
        };
        match abi_checking::check_layout_compatibility(LAYOUTS.surface, theirs.surface) {
            Ok(()) => LayoutCheck::Equal,
            Err(report) => LayoutCheck::Different(report.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a_and_ignores_carriage_returns() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a(b"foo\r\nbar"), fnv1a(b"foo\nbar"));
    }

    #[cfg(feature = "layouts")]
    #[test]
    fn the_own_layouts_are_equal_to_themselves() {
        // SAFETY: the pointer of this very crate.
        assert!(matches!(unsafe { check(pointer()) }, LayoutCheck::Equal));
    }

    #[cfg(feature = "layouts")]
    #[test]
    fn without_comparable_layouts_the_digest_decides() {
        let other: [u32; 2] = [0, 99];
        // SAFETY: the pointer is null in one call; in the other it points to a live value that names another series.
        unsafe {
            assert!(matches!(check(core::ptr::null()), LayoutCheck::ByDigest));
            assert!(matches!(check((&raw const other).cast()), LayoutCheck::ByDigest));
        }
    }
}
