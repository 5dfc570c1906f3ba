//! Any text is read as a configuration without a panic, and a refusal is one line.
#![no_main]

use std::path::Path;

use jackfield::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match Config::parse(text, Path::new("/etc/jackfield/config.toml")) {
    Ok(config) => {
        for backend in &config.backends {
            assert_eq!(backend.conceal(""), "");
            let _ = backend.conceal(text);
            let _ = backend.place_of(text);
            assert!(!backend.name.is_empty());
        }
    }
    Err(refusal) => assert!(!refusal.to_string().contains('\n'), "{refusal}"),
});
