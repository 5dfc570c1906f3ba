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
/// | key | value | if it is absent |
/// | --- | --- | --- |
/// | `backend` | the type that implements [`Backend`](crate::Backend) | an error |
/// | `name` | the plugin's name, a string | an error |
/// | `vendor`, `description` | a string | empty |
/// | `requires` | the capabilities that the host must have, a list of strings | `&[]` |
/// | `offers` | those of `[deletion, diagnostics]` whose trait the backend implements: [`DeletesData`](crate::DeletesData), [`Diagnoses`](crate::Diagnoses) | `[]` |
/// | `acknowledges` | `false` for a backend that can't know whether the platform has got an event | `true` |
/// | `isolation` | `"process"` for a plugin that can run only in a process of its own | `"thread"` |
/// | `config_schema` | JSON Schema of the configuration, a string, as `include_str!` gives it | `"null"` |
///
/// A key that is missing, unknown or there twice is an error of the compiler:
///
/// ```compile_fail
/// jackfield_plugin_api::plugin! { name: "no-backend" }
/// ```
///
/// The keys have any order. Version, target, compiler and panic strategy are those of the crate that calls it.
#[macro_export]
macro_rules! plugin {
    (@sort [$backend:ty] [$($offer:ident)*] [$(($key:ident $value:expr))*]) => {
        /// This plugin, for programs that are linked with it.
        pub const PLUGIN: $crate::StaticPlugin = {
            #[allow(unused_mut)]
            const FACTS: $crate::metadata::Facts = {
                let mut facts = $crate::metadata::Facts {
                    name: "",
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    vendor: "",
                    description: "",
                    requires: &[],
                    offers: &[$($crate::plugin!(@capability $offer)),*],
                    serial: <$backend as $crate::Backend>::SERIAL,
                    acknowledges: true,
                    isolation: "thread",
                    panic: if ::core::cfg!(panic = "abort") { "abort" } else { "unwind" },
                    config_schema: "null",
                };
                $($crate::plugin!(@set facts $key $value);)*
                facts
            };
            const METADATA: [u8; $crate::metadata::len(&FACTS)] = $crate::metadata::render(&FACTS);
            const PROGRAM: &[$crate::export::TableEntry] = &[
                $crate::plugin!(@backend $crate::export::static_table::<$backend>()),
                $($crate::plugin!(@table $offer, $backend)),*
            ];
            const LIBRARY: &[$crate::export::TableEntry] = &[
                $crate::plugin!(@backend $crate::export::table::<$backend>()),
                $($crate::plugin!(@table $offer, $backend)),*
            ];
            // SAFETY: each table is made for its id, and is a constant.
            unsafe { $crate::StaticPlugin::new(FACTS.name, &METADATA, PROGRAM, LIBRARY) }
        };
    };
    (@sort [] $offers:tt $facts:tt) => {
        ::core::compile_error!("`backend: TYPE` is missing");
    };
    (@sort [] $offers:tt $facts:tt backend: $backend:ty $(, $($rest:tt)*)?) => {
        $crate::plugin! { @sort [$backend] $offers $facts $($($rest)*)? }
    };
    (@sort $backend:tt [] $facts:tt offers: [$($offer:ident),* $(,)?] $(, $($rest:tt)*)?) => {
        $crate::plugin! { @sort $backend [$($offer)*] $facts $($($rest)*)? }
    };
    (@sort $backend:tt $offers:tt [$($facts:tt)*] $key:ident: $value:expr $(, $($rest:tt)*)?) => {
        $crate::plugin! { @sort $backend $offers [$($facts)* ($key $value)] $($($rest)*)? }
    };
    (@set $facts:ident name $value:expr) => { $facts.name = $value };
    (@set $facts:ident vendor $value:expr) => { $facts.vendor = $value };
    (@set $facts:ident description $value:expr) => { $facts.description = $value };
    (@set $facts:ident requires $value:expr) => { $facts.requires = $value };
    (@set $facts:ident acknowledges $value:expr) => { $facts.acknowledges = $value };
    (@set $facts:ident isolation $value:expr) => { $facts.isolation = $value };
    (@set $facts:ident config_schema $value:expr) => { $facts.config_schema = $value };
    (@set $facts:ident $key:ident $value:expr) => {
        ::core::compile_error!(::core::concat!("unknown key `", ::core::stringify!($key), "`, or one that is there twice"))
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
    (@sort $($rest:tt)*) => {
        ::core::compile_error!("expected `KEY: VALUE`, with a comma behind each");
    };
    ($($arguments:tt)*) => {
        $crate::plugin! { @sort [] [] [] $($arguments)* }
    };
}
