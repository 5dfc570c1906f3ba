//! Names for plugins.

use crate::exit::CommandError;

/// Longest name, in bytes.
const LIMIT: usize = 40;

// Names that a library, a crate or a file can't have.

/// Keywords of Rust.
const WORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Crates that every project uses.
const CRATES: &[&str] = &[
    "alloc",
    "core",
    "jackfield_plugin_api",
    "jackfield_plugin_tokio",
    "proc_macro",
    "schemars",
    "serde",
    "serde_json",
    "std",
    "test",
    "tokio",
];

/// Names of devices on Windows.
const DEVICES: &[&str] = &["aux", "con", "nul", "prn"];

/// Checks that a plugin can have this name.
pub(super) fn check(name: &str) -> Result<(), CommandError> {
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= LIMIT
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if right && !is_taken(name) {
        return Ok(());
    }
    let why = if right {
        "is taken by the language, the system or a crate".to_owned()
    } else {
        format!("expected a lower-case letter, then such letters, digits and `_`, {LIMIT} characters at most")
    };
    let nearest = nearest(name).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    Err(CommandError::Usage(format!("the name {name:?}: {why}{nearest}")))
}

fn is_taken(name: &str) -> bool {
    [WORDS, CRATES, DEVICES].iter().any(|names| names.contains(&name))
}

/// A similar name that is valid.
fn nearest(name: &str) -> Option<String> {
    let mut nearest: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .skip_while(|c| !c.is_ascii_lowercase())
        .take(LIMIT - "_backend".len())
        .collect();
    if is_taken(&nearest) {
        nearest += "_backend";
    }
    (!nearest.is_empty()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_accepted() {
        for name in ["acme", "acme_lines", "x1", "a"] {
            assert!(check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_invalid_name_is_refused_with_a_valid_one() {
        for (name, nearest) in [
            ("acme-lines", "\"acme_lines\""),
            ("Acme", "\"acme\""),
            ("1st", "\"st\""),
            ("../evil", "\"evil\""),
            ("a b\n", "\"a_b_\""),
            ("größe", "\"gr__e\""),
            ("std", "\"std_backend\""),
            ("con", "\"con_backend\""),
        ] {
            let line = check(name).expect_err(name).to_string();
            assert!(!line.contains('\n') && line.ends_with(&format!("did you mean {nearest}?")), "{line}");
        }
        for name in ["", "_", "1", &"a".repeat(41)] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn proposed_names_are_valid() {
        for name in ["acme-lines", "Type", "9-std", &"Long-".repeat(30), "_fn"] {
            let nearest = nearest(name).expect("something");
            assert!(check(&nearest).is_ok(), "{nearest}");
        }
    }
}
