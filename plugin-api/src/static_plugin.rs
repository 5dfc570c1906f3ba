//! A plugin as a part of a program.

use crate::abi::{Descriptor, TableEntry};
use crate::export::descriptor;

/// The code of a plugin: what [`export!`](crate::export!) makes a library of, and what a program can be linked with.
/// [`plugin!`](crate::plugin!) makes one. It defines no symbol, so a program can be linked with many.
#[derive(Clone, Copy)]
pub struct StaticPlugin {
    name: &'static str,
    metadata: &'static [u8],
    /// The tables for a program that has a `tracing` and a panic hook of its own.
    program: &'static [TableEntry],
    /// The tables for a library, or for a process that runs nothing but this plugin.
    library: &'static [TableEntry],
}

// SAFETY: the tables are never written, and lead to nothing but functions. Who calls `new` guarantees it.
unsafe impl Send for StaticPlugin {}
// SAFETY: as above.
unsafe impl Sync for StaticPlugin {}

impl StaticPlugin {
    /// A plugin of these parts.
    ///
    /// # Safety
    /// Each table is of the type that its id says, as the contract requires of a plugin, and is never written.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn new(
        name: &'static str,
        metadata: &'static [u8],
        program: &'static [TableEntry],
        library: &'static [TableEntry],
    ) -> Self {
        Self { name, metadata, program, library }
    }

    /// The name in the metadata.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The [metadata](crate::metadata): JSON.
    #[must_use]
    pub const fn metadata(&self) -> &'static [u8] {
        self.metadata
    }

    /// The descriptor for a program that is linked with the plugin.
    #[must_use]
    pub const fn descriptor(&self) -> Descriptor {
        descriptor(self.metadata, self.program)
    }

    /// The descriptor for a library, or for a process that runs nothing but this plugin. `metadata` is where the library has
    /// the metadata.
    #[must_use]
    pub const fn library_descriptor(&self, metadata: &'static [u8]) -> Descriptor {
        descriptor(metadata, self.library)
    }

    /// A copy of the metadata. `N` is its length.
    #[doc(hidden)]
    #[must_use]
    pub const fn copy_metadata<const N: usize>(&self) -> [u8; N] {
        let mut copy = [0; N];
        copy.copy_from_slice(self.metadata);
        copy
    }
}

impl std::fmt::Debug for StaticPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StaticPlugin").field(&self.name).finish()
    }
}

/// Makes the constant `PLUGIN`, a [`StaticPlugin`], of a [`Backend`](crate::Backend). A crate for tools to be linked with
/// calls it at its root; a second crate, of the type `cdylib`, makes the library of it by
/// [`export!`](crate::export!)`(the_crate::PLUGIN)`.
///
/// `backend` and `name` are required; the rest, in this order, is optional: `vendor`, `description`, `requires` (a list
/// of host capabilities), `offers` (those of `[deletion, diagnostics]` whose trait the backend implements:
/// [`DeletesData`](crate::DeletesData), [`Diagnoses`](crate::Diagnoses)),
/// `config_schema` (JSON Schema text, as `include_str!` gives it). Version, target, compiler and panic strategy are those
/// of the crate that calls it.
#[macro_export]
macro_rules! plugin {
    (
        backend: $backend:ty,
        name: $name:expr,
        $(vendor: $vendor:expr,)?
        $(description: $description:expr,)?
        $(requires: $requires:expr,)?
        $(offers: [$($offer:ident),* $(,)?],)?
        $(config_schema: $schema:expr $(,)?)?
    ) => {
        /// This plugin, for programs that are linked with it.
        pub const PLUGIN: $crate::StaticPlugin = {
            #[allow(unused_mut, unused_assignments)]
            const FACTS: $crate::metadata::Facts = {
                let mut facts = $crate::metadata::Facts {
                    name: $name,
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    vendor: "",
                    description: "",
                    requires: &[],
                    offers: &[],
                    serial: <$backend as $crate::Backend>::SERIAL,
                    panic: if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" },
                    config_schema: "null",
                };
                $(facts.vendor = $vendor;)?
                $(facts.description = $description;)?
                $(facts.requires = $requires;)?
                $(facts.offers = &[$($crate::plugin!(@capability $offer)),*];)?
                $(facts.config_schema = $schema;)?
                facts
            };
            const METADATA: [u8; $crate::metadata::len(&FACTS)] = $crate::metadata::render(&FACTS);
            const PROGRAM: &[$crate::export::TableEntry] = &[
                $crate::plugin!(@backend $crate::export::static_table::<$backend>()),
                $($($crate::plugin!(@table $offer, $backend)),*)?
            ];
            const LIBRARY: &[$crate::export::TableEntry] = &[
                $crate::plugin!(@backend $crate::export::table::<$backend>()),
                $($($crate::plugin!(@table $offer, $backend)),*)?
            ];
            // SAFETY: each table is made for its id, and is a constant.
            unsafe { $crate::StaticPlugin::new(FACTS.name, &METADATA, PROGRAM, LIBRARY) }
        };
    };
    (@backend $table:expr) => {
        $crate::export::TableEntry {
            id: $crate::abi::TABLE_BACKEND,
            reserved: 0,
            table: $crate::export::erased(&const { $table }),
        }
    };
    (@capability deletion) => { $crate::deletion::CAPABILITY };
    (@capability diagnostics) => { $crate::diagnostics::CAPABILITY };
    (@table deletion, $backend:ty) => {
        $crate::export::TableEntry {
            id: $crate::deletion::TABLE_DELETION,
            reserved: 0,
            table: $crate::export::erased(&const { $crate::deletion::table::<$backend>() }),
        }
    };
    (@table diagnostics, $backend:ty) => {
        $crate::export::TableEntry {
            id: $crate::diagnostics::TABLE_DIAGNOSTICS,
            reserved: 0,
            table: $crate::export::erased(&const { $crate::diagnostics::table::<$backend>() }),
        }
    };
}
