//! Any text is judged as a plugin's schema, and options are checked by it, without a panic and in bounded time and memory.
//! A refusal and each fault are one line of bounded length.
#![no_main]

use jackfield::forward::OptionsSchema;
use libfuzzer_sys::fuzz_target;

/// More than 32 words of 128 characters, each of which is escaped.
const LONGEST: usize = 128 << 10;

fuzz_target!(|text: &str| {
    let (options, schema) = text.split_once('\n').unwrap_or(("{}", text));
    let schema = match OptionsSchema::parse(schema) {
        Ok(schema) => schema,
        Err(refusal) => return one_line(&refusal.to_string()),
    };
    let Ok(options) = serde_json::from_str(options) else { return };
    let _ = schema.files(&options);
    for fault in schema.faults(&options) {
        one_line(&fault.what);
    }
});

fn one_line(text: &str) {
    assert!(!text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_control), "{text}");
}
