//! Foreign text, made fit for one line of a message or a log: of bounded length, and without what moves a terminal's
//! cursor, breaks the line or turns the direction of writing.

use std::path::Path;

use jackfield_plugin_api::abi;

/// Longest reason of an outcome or explanation of a failure that is taken from a plugin, in bytes.
pub(crate) const REASON_LIMIT: usize = 4 << 10;

/// Longest message of a log record that is taken from a plugin, in bytes.
pub(crate) const LOG_MESSAGE_LIMIT: usize = 16 << 10;

/// Longest target of a log record that is taken from a plugin, in bytes.
pub(crate) const LOG_TARGET_LIMIT: usize = 256;

/// Control characters, separators of lines and paragraphs, and those that embed or isolate a direction of writing.
fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push(line: &mut String, c: char) {
    if is_hostile(c) { line.extend(c.escape_default()) } else { line.push(c) }
}

/// `text` with control characters escaped, cut to `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut chars = text.trim().chars();
    for c in chars.by_ref().take(max) {
        push(&mut line, c);
    }
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// A plugin's text with control characters escaped, cut to `limit` bytes and an ellipsis. No more than `limit` bytes are
/// read, whatever length the plugin states.
///
/// # Safety
/// `text.ptr` is null, or points to `text.len` or `limit` readable bytes, whichever is less.
pub(crate) unsafe fn from_plugin(text: abi::Str, limit: usize) -> String {
    let mut cut = text.len > limit;
    let start = abi::Str { ptr: text.ptr, len: text.len.min(limit) };
    // SAFETY: the caller vouches for as many bytes.
    let start = match unsafe { start.to_str() } {
        Ok(text) => text,
        // The limit parts a character.
        Err(error) if cut && error.error_len().is_none() => {
            let whole = abi::Str { ptr: text.ptr, len: error.valid_up_to() };
            // SAFETY: as above, for fewer bytes.
            unsafe { whole.to_str() }.unwrap_or_default()
        }
        Err(_) => return "(text that is not UTF-8)".to_owned(),
    };
    let mut line = String::new();
    for c in start.trim().chars() {
        let length = line.len();
        push(&mut line, c);
        if line.len() > limit {
            line.truncate(length);
            cut = true;
            break;
        }
    }
    if cut {
        line.push('…');
    }
    line
}

/// `path` as it is shown to people: one line without control characters, which a file's name may have.
#[must_use]
pub fn show(path: &Path) -> String {
    one_line(&path.to_string_lossy(), 4096)
}

/// `items` as a list in prose.
pub(crate) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin_says(text: &str, limit: usize) -> String {
        // SAFETY: `text` is readable.
        unsafe { from_plugin(abi::Str::new(text), limit) }
    }

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(one_line("a\nb\u{1b}[31m", 100), "a\\nb\\u{1b}[31m");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("äöü", 3), "äöü");
    }

    #[test]
    fn a_plugins_text_is_one_line_that_leaves_a_terminal_alone() {
        assert_eq!(plugin_says(" it\r\n\tbroke\u{1b}[2J ", 100), "it\\r\\n\\tbroke\\u{1b}[2J");
        assert_eq!(plugin_says("a\u{9b}31mb\u{7f}", 100), "a\\u{9b}31mb\\u{7f}");
        assert_eq!(plugin_says("\u{202e}fdp\u{2066}x\u{2028}y", 100), "\\u{202e}fdp\\u{2066}x\\u{2028}y");
        assert_eq!(plugin_says("größer als 4 µs 日本", 100), "größer als 4 µs 日本");
        assert_eq!(plugin_says("", 100), "");
        // SAFETY: null is allowed, and the bytes are readable.
        unsafe {
            assert_eq!(from_plugin(abi::Str { ptr: std::ptr::null(), len: 7 }, 100), "");
            let latin = abi::Str { ptr: b"caf\xe9!".as_ptr(), len: 5 };
            assert_eq!(from_plugin(latin, 100), "(text that is not UTF-8)");
            let torn = abi::Str { ptr: "caf\u{e9}".as_ptr(), len: 4 };
            assert_eq!(from_plugin(torn, 100), "(text that is not UTF-8)");
        }
    }

    #[test]
    fn a_plugins_text_is_cut_at_a_character_however_long_it_grows_by_escaping() {
        assert_eq!(plugin_says("abcdef", 6), "abcdef");
        assert_eq!(plugin_says("abcdefg", 6), "abcdef…");
        assert_eq!(plugin_says("abcdeé", 6), "abcde…");
        assert_eq!(plugin_says("abc\u{1b}", 6), "abc…");
        assert_eq!(plugin_says(&"\u{1b}".repeat(4096), 4096).len(), 4092 + '…'.len_utf8());
    }

    #[test]
    fn no_more_of_a_plugins_text_is_read_than_the_limit() {
        let text = abi::Str { ptr: "abcd".as_ptr(), len: isize::MAX as usize };
        // SAFETY: as many bytes as the limit are readable.
        assert_eq!(unsafe { from_plugin(text, 4) }, "abcd…");
    }

    #[test]
    fn a_path_is_shown_in_one_line() {
        assert_eq!(show(Path::new("/p/a\nb\u{1b}]0;x\u{7}.so")), "/p/a\\nb\\u{1b}]0;x\\u{7}.so");
    }
}
