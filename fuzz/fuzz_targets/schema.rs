//! Any text is judged as a plugin's schema, and options are checked by it, without a panic and in bounded time. Each fault is
//! one line.
#![no_main]

use jackfield::forward::OptionsSchema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (options, schema) = text.split_once('\n').unwrap_or(("{}", text));
    let Ok(schema) = OptionsSchema::parse(schema) else { return };
    let Ok(options) = serde_json::from_str(options) else { return };
    for fault in schema.faults(&options) {
        assert!(!fault.what.is_empty());
    }
});
