//! Percent-encoded texts, in which credentials are written.

use percent_encoding::percent_decode_str;

/// Why a text is not percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPercentEncoded {
    /// A `%` is not followed by two hexadecimal digits.
    Digits,
    /// The bytes are not UTF-8.
    Utf8,
}

/// The text without its percent-encoding.
///
/// # Errors
/// [`NotPercentEncoded`].
pub fn percent_decoded(text: &str) -> Result<String, NotPercentEncoded> {
    let digits =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(digits) {
        return Err(NotPercentEncoded::Digits);
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| NotPercentEncoded::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_needs_two_digits_and_the_bytes_are_utf_8() {
        for (text, expected) in [
            ("", Ok("")),
            ("a+b", Ok("a+b")),
            ("p%40ss%2f%2F", Ok("p@ss//")),
            ("%C3%A4%25", Ok("ä%")),
            ("%2541", Ok("%41")),
            ("%", Err(NotPercentEncoded::Digits)),
            ("a%e", Err(NotPercentEncoded::Digits)),
            ("%+f", Err(NotPercentEncoded::Digits)),
            ("%%41", Err(NotPercentEncoded::Digits)),
            ("%ä0", Err(NotPercentEncoded::Digits)),
            ("%ff", Err(NotPercentEncoded::Utf8)),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), expected.as_deref(), "{text}");
        }
    }
}
