//! Checks what a loaded library exports, its descriptor and its tables, before it calls any of its functions.
//!
//! Each field is read through the raw pointer, after the size of its struct, and a function pointer first as
//! an integer. No check can tell whether a pointer leads where it should: that is trusted.

use std::{ffi::c_void, fmt, mem::offset_of};

use jackfield_plugin_api::DIGEST;
use jackfield_plugin_api::abi::{
    ABI_MAJOR, BACKEND_SERIAL, BackendTable, Descriptor, MAGIC, Str, TABLE_BACKEND, TableEntry, Tables,
};
use jackfield_plugin_api::deletion::{DeletionTable, TABLE_DELETION};
use jackfield_plugin_api::diagnostics::{DiagnosticsTable, TABLE_DIAGNOSTICS};
use jackfield_plugin_api::layout::{self, LayoutCheck};

use super::{dlopen::Opened, tables::PluginTables};
use crate::boundary::text::ForeignText;
use crate::inspect::facts::SYMBOL;
use crate::inspect::inspection::{Inspection, trim};

const TABLES_LIMIT: usize = 1024;

/// Longest metadata in a descriptor, in bytes: the limit of the section, and NULs at its end.
const METADATA_LIMIT: usize = 2 << 20;

/// The known flags of a backend table.
const KNOWN_FLAGS: u32 = BACKEND_SERIAL;

/// The comparison of a plugin's tables with the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Every type was compared, field by field.
    Compared,
    /// Only by the digest of the surface: the plugin has no layouts, or has them in another form, or this host has none.
    ByDigest,
}

impl Layout {
    /// What this program can do for a plugin that has layouts: without the feature `layouts` it judges every plugin by digest.
    pub const HOST: Self = if cfg!(feature = "layouts") { Self::Compared } else { Self::ByDigest };
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compared => "type layouts compared",
            Self::ByDigest => "layout by digest",
        })
    }
}

pub(crate) struct Checked {
    pub(crate) tables: PluginTables,
    pub(crate) layout: Layout,
}

/// Why a loaded library is not accepted as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The dynamic linker does not find the descriptor.
    #[error("the dynamic linker finds no symbol `{SYMBOL}`: its vendor must export it")]
    NoDescriptor,
    /// A field is wrong.
    #[error("{field}: expected {expected}, found {found}: the plugin is broken, its vendor must rebuild it")]
    Field {
        /// The field.
        field: &'static str,
        /// The expected value.
        expected: String,
        /// The found value.
        found: String,
    },
    /// Descriptor and metadata section disagree.
    #[error(
        "its metadata section and its descriptor disagree on {what}: the plugin is broken, its vendor must rebuild it"
    )]
    Contradiction {
        /// The subject of the disagreement.
        what: String,
    },
    /// The plugin's child process refused it.
    #[error("{message}")]
    InProcess {
        /// The same line as in this process.
        message: ForeignText,
    },
    /// A type of the surface has another layout than the host's.
    #[error("{summary}: rebuild the plugin with a released plugin API of ABI {ABI_MAJOR}")]
    Layout {
        /// The first difference.
        summary: ForeignText,
    },
}

#[allow(clippy::needless_pass_by_value, reason = "format_args! has no place to be borrowed from")]
fn field(field: &'static str, expected: impl ToString, found: impl ToString) -> CheckError {
    CheckError::Field { field, expected: expected.to_string(), found: found.to_string() }
}

/// Checks the descriptor of `library` against the inspection.
pub(crate) fn check(library: &Opened, inspection: &Inspection) -> Result<Checked, CheckError> {
    let descriptor = library.descriptor.ok_or(CheckError::NoDescriptor)?;
    // SAFETY: the address of a symbol in a library that is never unloaded, or of a descriptor of this program.
    unsafe { check_descriptor(descriptor.cast(), inspection) }
}

/// # Safety
/// `descriptor` is null or the address of a symbol in a library that stays loaded. What it leads to obeys the
/// contract, as far as this function can't check it.
unsafe fn check_descriptor(
    descriptor: *const Descriptor,
    inspection: &Inspection,
) -> Result<Checked, CheckError> {
    if descriptor.is_null() {
        return Err(field("descriptor", "an address", "null"));
    }
    aligned("descriptor", descriptor)?;
    // SAFETY: not null, aligned, in a loaded library. The first 24 bytes are the same in every ABI.
    let descriptor = unsafe {
        let magic = (&raw const (*descriptor).magic).read();
        if magic != MAGIC {
            return Err(field(
                "descriptor, magic",
                format_args!("{MAGIC:#018x}"),
                format_args!("{magic:#018x}"),
            ));
        }
        let major = (&raw const (*descriptor).abi_major).read();
        if major != ABI_MAJOR {
            return Err(field("descriptor, abi_major", ABI_MAJOR, major));
        }
        let size = (&raw const (*descriptor).size).read();
        if size as usize != size_of::<Descriptor>() {
            return Err(field("descriptor, size", size_of::<Descriptor>(), size));
        }
        descriptor.read()
    };

    let metadata = &inspection.metadata;
    let text = format!("{:016x}", descriptor.digest);
    if text != metadata.digest {
        return Err(CheckError::Contradiction {
            what: format!("the digest ({} and {text})", metadata.digest),
        });
    }
    if descriptor.digest != DIGEST {
        return Err(field("descriptor, digest", format_args!("{DIGEST:016x}"), text));
    }
    // SAFETY: the size is right, so the contract describes the view.
    unsafe { check_metadata(descriptor.metadata, inspection) }?;
    // SAFETY: as above.
    let tables = unsafe { check_tables(descriptor.tables) }?;

    #[cfg(feature = "layouts")]
    aligned("descriptor, layouts", descriptor.layouts.cast::<layout::Layouts>())?;
    // SAFETY: from the descriptor of a loaded library.
    let layout = match unsafe { layout::check(descriptor.layouts) } {
        LayoutCheck::Equal => Layout::Compared,
        LayoutCheck::Different(report) => {
            tracing::debug!(plugin = %metadata.name, "layouts differ:\n{report}");
            return Err(CheckError::Layout { summary: condense(&report) });
        }
        _ => Layout::ByDigest,
    };
    tracing::debug!(plugin = %metadata.name, "{layout}");
    Ok(Checked { tables, layout })
}

/// # Safety
/// `view` is from a descriptor of the right size.
unsafe fn check_metadata(view: Str, inspection: &Inspection) -> Result<(), CheckError> {
    if view.ptr.is_null() {
        return Err(field("descriptor, metadata", "the metadata section", "null"));
    }
    if view.len < inspection.metadata_json.len() || view.len > METADATA_LIMIT {
        return Err(CheckError::Contradiction {
            what: format!(
                "the metadata's length ({} and {} bytes)",
                inspection.metadata_json.len(),
                view.len
            ),
        });
    }
    // SAFETY: not null, and by the contract `len` bytes are readable.
    let bytes = unsafe { std::slice::from_raw_parts(view.ptr, view.len) };
    if trim(bytes) != inspection.metadata_json.as_bytes() {
        return Err(CheckError::Contradiction { what: "the metadata's text".to_owned() });
    }
    Ok(())
}

/// # Safety
/// `tables` is from a descriptor of the right size.
unsafe fn check_tables(tables: Tables) -> Result<PluginTables, CheckError> {
    if tables.len > TABLES_LIMIT {
        return Err(field("descriptor, tables", format_args!("at most {TABLES_LIMIT}"), tables.len));
    }
    if tables.ptr.is_null() && tables.len > 0 {
        return Err(field("descriptor, tables", "an address", "null"));
    }
    aligned::<TableEntry>("descriptor, tables", tables.ptr)?;
    // SAFETY: null, or `len` entries by the contract. The lists have all functions of each type.
    unsafe {
        let backend = table::<BackendTable>(
            tables.find(TABLE_BACKEND),
            ["table 1 (backend)", "backend table, size"],
            &[
                ("backend table, open", offset_of!(BackendTable, open)),
                ("backend table, send", offset_of!(BackendTable, send)),
                ("backend table, close", offset_of!(BackendTable, close)),
                ("backend table, free", offset_of!(BackendTable, free)),
            ],
        )?;
        let backend = backend.ok_or_else(|| field("table 1 (backend)", "an address", "none"))?;
        if backend.flags & !KNOWN_FLAGS != 0 {
            return Err(field(
                "backend table, flags",
                format_args!("no bits but {KNOWN_FLAGS:#x}"),
                format_args!("{:#x}", backend.flags),
            ));
        }
        let deletion = table(
            tables.find(TABLE_DELETION),
            ["table 2 (deletion)", "deletion table, size"],
            &[("deletion table, request", offset_of!(DeletionTable, request))],
        )?;
        let diagnostics = table(
            tables.find(TABLE_DIAGNOSTICS),
            ["table 3 (diagnostics)", "diagnostics table, size"],
            &[
                ("diagnostics table, preview", offset_of!(DiagnosticsTable, preview)),
                ("diagnostics table, probe", offset_of!(DiagnosticsTable, probe)),
            ],
        )?;
        Ok(PluginTables { backend, deletion, diagnostics })
    }
}

/// Copies a table, if it exists, has the right size, and has no function that is null.
///
/// # Safety
/// `table` is null, or leads to a table of this type, which begins with its size and has these functions.
unsafe fn table<T: Copy>(
    table: *const c_void,
    [name, size]: [&'static str; 2],
    functions: &[(&'static str, usize)],
) -> Result<Option<T>, CheckError> {
    let table = table.cast::<T>();
    if table.is_null() {
        return Ok(None);
    }
    aligned(name, table)?;
    // SAFETY: not null and aligned. The fields are read as integers, and the table after its size.
    unsafe {
        let found = table.cast::<u32>().read();
        if found as usize != size_of::<T>() {
            return Err(field(size, size_of::<T>(), found));
        }
        for (name, offset) in functions {
            // A function pointer that is null would be undefined behaviour.
            if table.byte_add(*offset).cast::<usize>().read() == 0 {
                return Err(field(name, "a function", "null"));
            }
        }
        Ok(Some(table.read()))
    }
}

/// A null pointer is aligned.
fn aligned<T>(name: &'static str, pointer: *const T) -> Result<(), CheckError> {
    if pointer.is_aligned() {
        return Ok(());
    }
    Err(field(name, format_args!("an address that {} divides", align_of::<T>()), format_args!("{pointer:p}")))
}

/// The first difference in a report of `abi_stable`, which prints the whole layout of a type before each.
fn condense(report: &str) -> ForeignText {
    let (before, error) = report.split_once("\nError:").unwrap_or((report, ""));
    // The place of the difference: pairs of `field_name:` and `type:`, the outermost first. Field 0 is the
    // target of a pointer.
    let place = before.rsplit_once("error(s)inside:").map_or("", |(_, place)| place);
    let place = place.split("Layout of expected").next().unwrap_or("");
    let values = |key| place.lines().filter_map(move |line| line.trim().strip_prefix(key)).map(str::trim);
    let fields: Vec<_> = values("field_name:").collect();
    let types: Vec<_> = values("type:").collect();
    let place = match (fields.as_slice(), types.as_slice()) {
        ([.., "0"] | [_], [.., r#type]) => format!("type {type}"),
        ([.., field], [.., parent, _]) => format!("type {parent}, field {field}"),
        _ => "the type layouts".to_owned(),
    };

    let what = error
        .lines()
        .next()
        .map(str::trim)
        .filter(|what| !what.is_empty())
        .unwrap_or("not the same as the host's");
    let value = |header| {
        let mut lines = error.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
        let first = lines.next()?;
        match (first.strip_prefix("field_name:"), lines.next().and_then(|line| line.strip_prefix("type:"))) {
            (Some(name), Some(r#type)) => Some(format!("{name}: {}", r#type.trim())),
            _ => Some(first.to_owned()),
        }
    };
    match (value("Expected:"), value("Found:")) {
        (Some(expected), Some(found)) => {
            ForeignText::cut(&format!("{place}: {what}: expected {expected}, found {found}"), 300)
        }
        _ => ForeignText::cut(&format!("{place}: {what}"), 300),
    }
}

#[cfg(test)]
mod tests;
