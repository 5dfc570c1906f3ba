//! Any text is read as a lock file without a panic; a refusal is one line, and what is accepted is written so that it is
//! read back.
#![no_main]

use std::path::Path;

use jackfield::forward::Lock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = Path::new("/etc/jackfield/jackfield.lock");
    match Lock::parse(text, file) {
        Ok(lock) => assert_eq!(Lock::parse(&lock.text(), file).ok(), Some(lock)),
        Err(refusal) => assert!(!refusal.to_string().contains('\n'), "{refusal}"),
    }
});
