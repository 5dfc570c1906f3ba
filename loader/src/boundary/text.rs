//! Text from outside: names of files, plugins and tools, metadata, messages of plugins and servers. It is kept as
//! [`ForeignText`], which can't be printed as it is.
//!
//! The printed form is one line. Control characters, separators of lines and paragraphs, characters that turn the direction
//! of writing and those without width are escaped as in Rust (`\n`, `\u{202e}`), everywhere: in messages, tables, logs and
//! as a string of JSON. JSON that is quoted, such as a plugin's schema or a stored event, keeps its value: [`to_json`] writes
//! these characters as JSON's own escapes (`\u202e`).

use std::{borrow::Cow, fmt, path::Path};

use jackfield_plugin_api::abi;
use serde::{Deserialize, Serialize, Serializer};

/// Longest reason of an outcome or explanation of a failure that is taken from a plugin, in bytes.
pub(crate) const REASON_LIMIT: usize = 4 << 10;

/// Longest message of a log record that is taken from a plugin, in bytes.
pub(crate) const LOG_MESSAGE_LIMIT: usize = 16 << 10;

/// Longest target of a log record that is taken from a plugin, in bytes.
pub(crate) const LOG_TARGET_LIMIT: usize = 256;

/// A text that somebody else wrote. `Display`, `Debug` and `Serialize` escape it; see the module's page for how.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct ForeignText(String);

impl ForeignText {
    /// `text` without white space at its ends, cut to `most` characters and an ellipsis.
    #[must_use]
    pub fn cut(text: &str, most: usize) -> Self {
        let text = text.trim();
        Self(match text.char_indices().nth(most) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as it came, to compare it or to open the file that it names. It must not be printed.
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

/// What is not UTF-8 is replaced by U+FFFD.
impl From<&Path> for ForeignText {
    fn from(path: &Path) -> Self {
        Self(path.to_string_lossy().into_owned())
    }
}

impl PartialEq<str> for ForeignText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<String> for ForeignText {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for ForeignText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
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

/// `path` as it is shown to people.
#[must_use]
pub fn show(path: &Path) -> ForeignText {
    path.into()
}

/// `value` as JSON in one line, without a character that would not be printed as it is.
///
/// # Errors
/// When a map in `value` has keys that are no strings.
pub fn to_json<T: ?Sized + Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|json| escape_in_json(&json).into_owned())
}

/// As [`to_json`], with a line for each member.
///
/// # Errors
/// As [`to_json`].
pub fn to_json_pretty<T: ?Sized + Serialize>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|json| escape_in_json(&json).into_owned())
}

/// Characters that are escaped: control characters, separators of lines and paragraphs, those that mark, embed, override or
/// isolate a direction of writing, and those without width, but for the joiners, which scripts and emoji need.
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

/// JSON with the same value and without hostile characters but line feeds: outside of its strings there is none but white
/// space, and inside of them each can be escaped. Of what is no JSON every line is made harmless, too.
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

/// `items` as a list in prose.
#[must_use]
pub fn in_prose<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// `1 event`, `2 events`.
#[must_use]
pub fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A time in its largest unit.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The one of `known` that is most likely meant by `word`, if any is near.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let distance = |known| (strsim::damerau_levenshtein(&word, known), known);
    let (distance, known) = known.into_iter().map(distance).min()?;
    (distance <= 1 + known.len() / 4).then_some(known)
}

/// Two hexadecimal digits a byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal must not get, and the form in which it is shown.
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
