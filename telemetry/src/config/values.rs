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
#[error("expected {expected}, found {found:?}{hint}")]
pub struct ParseDurationError {
    expected: &'static str,
    found: String,
    /// What was meant, as the end of a sentence.
    hint: String,
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
    millis.map(Duration::from_millis).ok_or_else(|| {
        let meant = |unit: &str| match unit.trim().to_ascii_lowercase().as_str() {
            "s" => &["s"][..],
            "m" => &["m"],
            "h" => &["h"],
            "" | "sec" | "secs" | "second" | "seconds" => &["s", "m"],
            "msec" | "millis" | "millisecond" | "milliseconds" => &["ms"],
            "min" | "mins" | "minute" | "minutes" => &["m"],
            "hr" | "hrs" | "hour" | "hours" => &["h"],
            "day" | "days" => &["d"],
            _ => &[],
        };
        ParseDurationError { expected, found: text.to_owned(), hint: hint(text, units, meant) }
    })
}

/// Which right texts have the number of `text`, as the end of a sentence. `meant` gives the possible units for a wrong one.
fn hint(text: &str, units: &[(&str, u64)], meant: impl Fn(&str) -> &'static [&'static str]) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.trim_matches('0').is_empty()
        || units.iter().any(|(known, _)| *known == unit && !unit.is_empty())
    {
        return String::new();
    }
    let known = |unit: &&&str| units.iter().any(|(known, _)| known == *unit);
    let words: Vec<_> = meant(unit).iter().filter(known).map(|unit| format!("\"{number}{unit}\"")).collect();
    if words.is_empty() { String::new() } else { format!(", did you mean {}?", words.join(" or ")) }
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
#[error("expected a size such as \"512MiB\", \"2GB\" or a number of bytes, found {found:?}{hint}")]
pub struct ParseSizeError {
    found: String,
    /// What was meant, as the end of a sentence.
    hint: String,
}

/// Reads a whole number of bytes, or of `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`, greater than 0.
///
/// # Errors
/// [`ParseSizeError`] for any other text.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    quantity(text, &SIZES).ok_or_else(|| {
        let meant = |unit: &str| match unit.trim().to_ascii_lowercase().as_str() {
            "k" | "kb" | "kib" => &["kB", "KiB"][..],
            "m" | "mb" | "mib" => &["MB", "MiB"],
            "g" | "gb" | "gib" => &["GB", "GiB"],
            "b" | "byte" | "bytes" => &["B"],
            _ => &[],
        };
        ParseSizeError { found: text.to_owned(), hint: hint(text, &SIZES, meant) }
    })
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
                refusal.contains("such as \"250ms\"") && refusal.contains(&format!("found {text:?}")),
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
                refusal.contains("such as \"512MiB\"") && refusal.contains(&format!("{text:?}")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_wrong_unit_is_answered_with_the_right_ones() {
        for (text, hint) in [
            ("1KB", ", did you mean \"1kB\" or \"1KiB\"?"),
            ("512M", ", did you mean \"512MB\" or \"512MiB\"?"),
            ("2 gb", ", did you mean \"2GB\" or \"2GiB\"?"),
            ("1TB", "found \"1TB\""),
            ("0k", "found \"0k\""),
        ] {
            let refusal = parse_size(text).expect_err(text).to_string();
            assert!(refusal.ends_with(hint), "{refusal}");
        }
        for (text, hint) in [
            ("5", ", did you mean \"5s\" or \"5m\"?"),
            ("10 min", ", did you mean \"10m\"?"),
            ("5 s", ", did you mean \"5s\"?"),
            ("25h", "found \"25h\""),
            ("2hours", ", did you mean \"2h\"?"),
            ("1days", "found \"1days\""),
            ("x", "found \"x\""),
        ] {
            let refusal = parse_duration(text).expect_err(text).to_string();
            assert!(refusal.ends_with(hint), "{refusal}");
        }
        let refusal = parse_age("30").expect_err("no unit").to_string();
        assert!(refusal.ends_with(", did you mean \"30m\"?"), "{refusal}");
    }
}
