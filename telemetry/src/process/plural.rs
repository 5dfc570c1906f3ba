//! Numbers of events in words.

/// `1 event`, `2 events`
pub(crate) fn events(number: impl TryInto<u64>) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => "1 event".to_owned(),
        number => format!("{number} events"),
    }
}
