//! Parsing sizes in bytes, such as `512MiB`.

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as \"512MiB\", \"2GB\" or a number of bytes, found {found:?}")]
pub struct ParseSizeError {
    found: String,
}

/// Reads a whole number of bytes, or of `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`, greater than 0.
///
/// # Errors
/// [`ParseSizeError`] for any other text.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let size = unit.and_then(|(_, bytes)| number.parse::<u64>().ok()?.checked_mul(*bytes));
    size.filter(|size| *size > 0).ok_or_else(|| ParseSizeError { found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_or_without_a_unit_is_a_size() {
        for (text, bytes) in [
            ("1", 1),
            ("536870912", 536_870_912),
            ("7B", 7),
            ("2kB", 2000),
            ("3MB", 3_000_000),
            ("4GB", 4_000_000_000),
            ("2KiB", 2048),
            ("512MiB", 536_870_912),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "0", "0MiB", "MiB", "-1", "1.5GiB", "1 MiB", "1mib", "1TB", "99999999999GiB"] {
            let refusal = parse_size(text).expect_err(text).to_string();
            assert!(
                refusal.contains("such as \"512MiB\"") && refusal.ends_with(&format!("{text:?}")),
                "{refusal}"
            );
        }
    }
}
