//! The language that a plugin is written in, and how its tables will be compared with the host's when it is loaded.

use jackfield_loader::{ForeignText, Metadata};

/// Such as `C, layout by digest`. Only a plugin in Rust may have layouts that are compared field by field; the loaded library
/// tells whether it has.
pub(crate) fn shown(metadata: &Metadata) -> ForeignText {
    match metadata.language.as_raw() {
        "rust" => "Rust".into(),
        "c" => by_digest("C"),
        "c++" => by_digest("C++"),
        other => by_digest(other),
    }
}

fn by_digest(language: &str) -> ForeignText {
    format!("{language}, layout by digest").into()
}
