//! Numbered events.

use std::ops::Range;

use serde_json::Value;

/// An event of some 300 bytes with every member that gets filled in, as the line that arrives.
#[must_use]
pub fn event(number: usize) -> String {
    format!(
        r#"{{"id":"{}","timestamp":"2026-01-02T03:04:05.678901Z","type":"command.run","name":"build-{number}","machine_id":"6dcd4ce23d88e2ee95838f7b014f6284","tool_name":"e2e","version":"1.2.3","os":"linux","arch":"x86_64","os_version":"6.1.0","runtime_version":"1.95.0","duration_ms":{number},"exit_code":0,"args":["--n","{number}"]}}"#,
        id(number)
    )
}

/// The id of an event.
#[must_use]
pub fn id(number: usize) -> String {
    format!("018f0000-0000-7000-8000-{number:012x}")
}

/// Events, a line each.
#[must_use]
pub fn events(numbers: Range<usize>) -> String {
    numbers.map(|number| event(number) + "\n").collect()
}

/// The ids of the events in `text`, in their order; every line is one.
///
/// # Panics
/// When a line is no event with an id.
#[must_use]
pub fn ids(text: &str) -> Vec<String> {
    let id = |line| -> String {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        event["id"].as_str().expect("a string").to_owned()
    };
    text.lines().map(id).collect()
}
