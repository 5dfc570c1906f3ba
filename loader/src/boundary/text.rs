//! Text from outside: names of files, plugins and tools, metadata, messages of plugins and servers.
//! [`ForeignText`] prevents that it is printed as it is.
//!
//! The printed form is one line. Everywhere it escapes, as Rust does (`\n`, `\u{202e}`), control characters,
//! separators of lines and paragraphs, characters that change the direction of writing, and those without
//! width. Quoted JSON keeps its value: [`to_json`] writes these characters as JSON's own escapes (`\u202e`).

use std::{borrow::Cow, fmt, path::Path};

use jackfield_plugin_api::abi;
use serde::{Deserialize, Serialize, Serializer};

/// Longest reason or explanation of a plugin, in bytes.
pub(crate) const REASON_LIMIT: usize = 4 << 10;

/// Longest message of a plugin's log record, in bytes.
pub(crate) const LOG_MESSAGE_LIMIT: usize = 16 << 10;

/// Longest target of a plugin's log record, in bytes.
pub(crate) const LOG_TARGET_LIMIT: usize = 256;

/// Text that comes from outside. `Display`, `Debug` and `Serialize` escape it as the module's page says.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct ForeignText(String);

impl ForeignText {
    /// Trims `text`, and cuts it to `most` characters and an ellipsis.
    #[must_use]
    pub fn cut(text: &str, most: usize) -> Self {
        let text = text.trim();
        Self(match text.char_indices().nth(most) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        })
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The unescaped text, to compare it or to open the file that it names. It must not be printed.
    #[must_use]
    pub fn as_raw(&self) -> &str {
        &self.0
    }
}

impl From<String> for ForeignText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ForeignText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for ForeignText {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// Replaces what is not UTF-8 by U+FFFD.
impl From<&Path> for ForeignText {
    fn from(path: &Path) -> Self {
        Self(path.to_string_lossy().into_owned())
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for ForeignText {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape(&self.0))
    }
}

impl fmt::Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for ForeignText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&escape(&self.0))
    }
}

/// The printed form of a path.
#[must_use]
pub fn show(path: &Path) -> ForeignText {
    path.into()
}

/// Encodes `value` as JSON in one line, in which all characters are printable.
///
/// # Errors
/// A map in `value` has keys that are not strings.
pub fn to_json<T: ?Sized + Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|json| escape_in_json(&json).into_owned())
}

/// As [`to_json`], with a line for each member.
pub fn to_json_pretty<T: ?Sized + Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|json| escape_in_json(&json).into_owned())
}

/// Whether a character is escaped. Joiners have no width, and stay because scripts and emoji need them.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

fn push(line: &mut String, c: char) {
    if is_hostile(c) { line.extend(c.escape_default()) } else { line.push(c) }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push(&mut line, c));
    Cow::Owned(line)
}

/// Escapes the characters in JSON that are not printable, and keeps its value and its line feeds.
#[must_use]
pub fn escape_in_json(json: &str) -> Cow<'_, str> {
    let is_hostile = |c| c != '\n' && is_hostile(c);
    if !json.contains(is_hostile) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\t' | '\r' => escaped.push(' '),
            c if is_hostile(c) => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A plugin's text, escaped, and cut to `limit` bytes and an ellipsis. Reads at most `limit` bytes.
///
/// # Safety
/// `text.ptr` is null, or leads to the lesser of `text.len` and `limit` readable bytes.
pub(crate) unsafe fn from_plugin(text: abi::Str, limit: usize) -> String {
    let len = if text.ptr.is_null() { 0 } else { text.len };
    let start = if len == 0 { std::ptr::dangling() } else { text.ptr };
    // SAFETY: the caller vouches for these bytes.
    escape_start(unsafe { std::slice::from_raw_parts(start, len.min(limit)) }, len > limit, limit)
}

/// As [`from_plugin`], for bytes.
pub(crate) fn from_bytes(bytes: &[u8], limit: usize) -> String {
    escape_start(&bytes[..bytes.len().min(limit)], bytes.len() > limit, limit)
}

/// Escapes the start of a text, which is `cut` if more follows.
fn escape_start(start: &[u8], mut cut: bool, limit: usize) -> String {
    let start = match std::str::from_utf8(start) {
        Ok(start) => start,
        // The limit cuts a character.
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
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

/// Joins `items` by commas.
#[must_use]
pub fn in_prose<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// Formats a number with a noun: `1 event`, `2 events`.
#[must_use]
pub fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Formats a time in its largest unit.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The entry of `known` that `word` is probably meant to be, if one is similar.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let distance = |known| (strsim::damerau_levenshtein(&word, known), known);
    let (distance, known) = known.into_iter().map(distance).min()?;
    (distance <= 1 + known.len() / 4).then_some(known)
}

/// Formats bytes with two hexadecimal digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that must not reach a terminal, and its printed form.
    const HOSTILE: [(&str, &str); 12] = [
        ("\u{1b}[31mred", "\\u{1b}[31mred"),
        ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\0", "\\u{0}"),
        ("\u{7f}\u{85}\u{9b}31m", "\\u{7f}\\u{85}\\u{9b}31m"),
        ("\u{202e}fdp", "\\u{202e}fdp"),
        ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ("\u{61c}\u{200e}\u{200f}", "\\u{61c}\\u{200e}\\u{200f}"),
        ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ("a\u{200b}b\u{2060}\u{feff}", "a\\u{200b}b\\u{2060}\\u{feff}"),
        ("größer als 4 µs 日本", "größer als 4 µs 日本"),
        ("👩\u{200d}🔬 \\ \"", "👩\u{200d}🔬 \\ \""),
    ];

    fn plugin_says(text: &str, limit: usize) -> String {
        // SAFETY: `text` is readable.
        unsafe { from_plugin(abi::Str::new(text), limit) }
    }

    #[test]
    fn foreign_text_is_printed_in_one_harmless_form() {
        for (raw, shown) in HOSTILE {
            let text = ForeignText::from(raw);
            assert_eq!((text.as_raw(), text.to_string().as_str()), (raw, shown));
            assert_eq!(serde_json::to_value(&text).unwrap(), shown);
            assert!(!format!("{text:?}").contains(is_hostile), "{text:?}");
            assert_eq!(plugin_says(raw, 100), shown);
        }
        assert_eq!(format!("{:<6}|", ForeignText::from("a\n")), "a\\n   |");
    }

    #[test]
    fn json_keeps_its_value_and_has_no_hostile_character() {
        for (raw, _) in HOSTILE {
            let value = serde_json::json!({ raw: [raw] });
            for json in [to_json(&value).unwrap(), to_json_pretty(&value).unwrap()] {
                assert!(!json.replace('\n', "").contains(is_hostile), "{json}");
                assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
            }
        }
        let quoted = serde_json::value::RawValue::from_string("[1,\r\t\"\u{9b}\"]".to_owned()).unwrap();
        assert_eq!(to_json(&quoted).unwrap(), "[1,  \"\\u009b\"]");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(ForeignText::cut("abcdef", 3), "abc…");
        assert_eq!(ForeignText::cut(" äöü\n", 3), "äöü");
    }

    #[test]
    fn a_plugins_text_need_not_be_readable() {
        // SAFETY: null is allowed, and the bytes are readable.
        unsafe {
            assert_eq!(from_plugin(abi::Str { ptr: std::ptr::null(), len: 7 }, 100), "");
            let latin = abi::Str { ptr: b"caf\xe9!".as_ptr(), len: 5 };
            assert_eq!(from_plugin(latin, 100), "(text that is not UTF-8)");
            let torn = abi::Str { ptr: "caf\u{e9}".as_ptr(), len: 4 };
            assert_eq!(from_plugin(torn, 100), "(text that is not UTF-8)");
        }
        assert_eq!(plugin_says(" it\r\n\tbroke\u{1b}[2J ", 100), "it\\r\\n\\tbroke\\u{1b}[2J");
    }

    #[test]
    fn an_escaped_text_is_cut_at_a_character() {
        assert_eq!(plugin_says("abcdef", 6), "abcdef");
        assert_eq!(plugin_says("abcdefg", 6), "abcdef…");
        assert_eq!(plugin_says("abcdeé", 6), "abcde…");
        assert_eq!(plugin_says("abc\u{1b}", 6), "abc…");
        assert_eq!(plugin_says(&"\u{1b}".repeat(4096), 4096).len(), 4092 + '…'.len_utf8());
    }

    #[test]
    fn a_text_is_read_up_to_the_limit() {
        let text = abi::Str { ptr: "abcd".as_ptr(), len: isize::MAX as usize };
        // SAFETY: the first four bytes are readable.
        assert_eq!(unsafe { from_plugin(text, 4) }, "abcd…");
    }

    #[test]
    fn a_path_is_shown_in_one_line() {
        let shown = show(Path::new("/p/a\nb\u{1b}]0;x\u{7}.so")).to_string();
        assert_eq!(shown, "/p/a\\nb\\u{1b}]0;x\\u{7}.so");
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (seconds, text) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(
            (count(1_u64, "event"), count(0_usize, "event")),
            ("1 event".to_owned(), "0 events".to_owned())
        );
    }

    #[test]
    fn the_nearest_word_is_suggested_unless_it_is_far() {
        assert_eq!(nearest("Timeuot", ["timeout", "name"]), Some("timeout"));
        assert_eq!(nearest("colour", ["timeout", "name"]), None);
        assert_eq!(nearest("name", []), None);
    }

    #[test]
    fn bytes_have_two_digits_each() {
        assert_eq!(hex(&[0, 0x0f, 0xff]), "000fff");
    }
}
