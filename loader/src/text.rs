//! Foreign text, made fit for one line of an error message.

use std::path::Path;

/// `text` with control characters escaped, cut to `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut chars = text.trim().chars();
    for c in chars.by_ref().take(max) {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// `path` as it is shown to people.
pub(crate) fn show(path: &Path) -> String {
    one_line(&path.to_string_lossy(), 4096)
}

/// `items` as a list in prose.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(one_line("a\nb\u{1b}[31m", 100), "a\\nb\\u{1b}[31m");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("äöü", 3), "äöü");
    }
}
