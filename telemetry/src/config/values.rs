//! Durations, sizes and paths of a configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A path that starts at `folder`, or at the home folder after `~/`.
pub(super) fn absolute(path: &str, folder: &Path) -> PathBuf {
    let home = path.strip_prefix("~/").or((path == "~").then_some(""));
    match (home, jackfield_loader::home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

/// The product of a whole number and its unit, which is one of `units`; `None` for 0 and for any other text.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|product| *product > 0)
}

/// Units of time, in milliseconds.
const TIMES: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// The longest duration, in milliseconds: a day.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Units of age, in milliseconds.
const AGES: [(&str, u64); 3] = [("m", 60_000), ("h", 3_600_000), ("d", LONGEST_MS)];

/// The greatest age, in milliseconds: ten years.
const OLDEST_MS: u64 = 3650 * LONGEST_MS;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ParseDurationError {
    expected: &'static str,
    found: String,
}

/// Reads a whole number with a unit, `ms`, `s`, `m` or `h`, from 1 ms to 24 h.
///
/// # Errors
/// [`ParseDurationError`] for any other text.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let expected = "a duration from 1ms to 24h such as \"250ms\", \"5s\" or \"1m\"";
    time(text, &TIMES, LONGEST_MS, expected)
}

/// Reads a whole number with a unit, `m`, `h` or `d`, from 1 minute to 3650 days.
///
/// # Errors
/// [`ParseDurationError`] for any other text.
pub fn parse_age(text: &str) -> Result<Duration, ParseDurationError> {
    time(text, &AGES, OLDEST_MS, "an age from 1m to 3650d such as \"12h\" or \"30d\"")
}

fn time(
    text: &str,
    units: &[(&str, u64)],
    longest_ms: u64,
    expected: &'static str,
) -> Result<Duration, ParseDurationError> {
    let millis = quantity(text, units).filter(|millis| *millis <= longest_ms);
    millis.map(Duration::from_millis).ok_or_else(|| ParseDurationError { expected, found: text.to_owned() })
}

/// Units of size, in bytes.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A text that is not a size.
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
    quantity(text, &SIZES).ok_or_else(|| ParseSizeError { found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration() {
        for (text, millis) in [("1ms", 1), ("250ms", 250), ("5s", 5000), ("1m", 60_000), ("24h", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn another_text_is_not_a_duration() {
        for text in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5S", "25h", "99999999999999999999s", "1d"] {
            let refusal = parse_duration(text).expect_err(text).to_string();
            assert!(
                refusal.contains("such as \"250ms\"") && refusal.ends_with(&format!("found {text:?}")),
                "{refusal}"
            );
        }
    }

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
    fn another_text_is_not_a_size() {
        for text in ["", "0", "0MiB", "MiB", "-1", "1.5GiB", "1 MiB", "1mib", "1TB", "99999999999GiB"] {
            let refusal = parse_size(text).expect_err(text).to_string();
            assert!(
                refusal.contains("such as \"512MiB\"") && refusal.ends_with(&format!("{text:?}")),
                "{refusal}"
            );
        }
    }
}
