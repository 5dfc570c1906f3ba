//! The language that a plugin is written in, and how its tables will be compared with the host's when it is loaded.

use jackfield_loader::Metadata;

/// Such as `C, layout by digest`. Rust alone may bring its layouts to be compared field by field, which only the loaded
/// library tells; whatever else says that it does is not listened to.
pub(crate) fn shown(metadata: &Metadata) -> String {
    match metadata.language.as_str() {
        "rust" => "Rust".to_owned(),
        "c" => by_digest("C"),
        "c++" => by_digest("C++"),
        other => by_digest(other),
    }
}

fn by_digest(language: &str) -> String {
    format!("{language}, layout by digest")
}
