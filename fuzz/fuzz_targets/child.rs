//! Whatever a child writes into the shared memory, its log and its standard error, the host reads it without a panic and in
//! bounded memory. What it takes from it is one line for each text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = jackfield_loader::hostile_child(bytes);
});
