//! Any bytes are inspected without a panic, and what is said of them is one line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match jackfield_loader::inspect_bytes(data) {
    Ok(inspection) => {
        let _ = inspection.verdict().map_err(|refusal| one_line(&refusal.to_string()));
    }
    Err(error) => one_line(&error.to_string()),
});

fn one_line(text: &str) {
    assert!(!text.is_empty() && !text.contains('\n'), "{text}");
}
