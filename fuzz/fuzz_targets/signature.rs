//! Any bytes are read as a signature, and any text as a key, without a panic.
#![no_main]

use jackfield_loader::{PublicKey, Signature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match Signature::parse(data) {
        Ok(signature) => assert_eq!(signature.key_id().to_string().parse(), Ok(signature.key_id())),
        Err(error) => {
            let reason = error.to_string();
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<PublicKey>();
    }
});
