//! Numbers, times and lists as people read them.

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
