//! Parsing durations, such as `250ms`.

use std::time::Duration;

/// The longest duration: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration from 1ms to 24h such as \"250ms\", \"5s\" or \"1m\", found {found:?}")]
pub struct ParseDurationError {
    found: String,
}

/// Reads a whole number with a unit, `ms`, `s`, `m` or `h`, from 1 ms to 24 h.
///
/// # Errors
/// [`ParseDurationError`] for any other text.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let duration = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    match duration.map(Duration::from_millis) {
        Some(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        _ => Err(ParseDurationError { found: text.to_owned() }),
    }
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
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "5", "s", "0s", "-1s", "1.5s", "5 s", "5S", "25h", "99999999999999999999s", "1d"] {
            let refusal = parse_duration(text).expect_err(text).to_string();
            assert!(
                refusal.contains("such as \"250ms\"") && refusal.ends_with(&format!("found {text:?}")),
                "{refusal}"
            );
        }
    }
}
