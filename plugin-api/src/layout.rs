//! Type layouts by `abi_stable`: the value that a Rust plugin's descriptor points to, and its comparison with the host's.
//!
//! Only this crate uses `abi_stable`. A plugin without layouts, or with those of another `abi_stable` series, is
//! judged by its digest and the sizes of its tables alone.

use core::ffi::c_void;

/// The series of `abi_stable` whose layouts this crate writes and reads, as major and minor version.
pub const ABI_STABLE: (u32, u32) = (0, 11);

/// The result of the comparison of a descriptor's layouts with the host's.
#[derive(Debug)]
#[non_exhaustive]
pub enum LayoutCheck {
    /// Every type was compared and is the same.
    Equal,
    /// Nothing to compare: no layouts, or those of another `abi_stable` series. The digest decides.
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

#[cfg(all(test, feature = "layouts"))]
mod tests {
    use super::*;

    #[test]
    fn the_own_layouts_are_equal_to_themselves() {
        // SAFETY: the pointer of this very crate.
        assert!(matches!(unsafe { check(pointer()) }, LayoutCheck::Equal));
    }

    #[test]
    fn no_layouts_and_those_of_another_series_leave_it_to_the_digest() {
        let other: [u32; 2] = [0, 99];
        // SAFETY: the pointer is null in one call; in the other it points to a live value that names another series.
        unsafe {
            assert!(matches!(check(core::ptr::null()), LayoutCheck::ByDigest));
            assert!(matches!(check((&raw const other).cast()), LayoutCheck::ByDigest));
        }
    }
}
