//! Random bytes of the operating system.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use jackfield_loader::Digest;

/// Fills `bytes`. Where the system gives none, as before its generator is ready, they come from the clock and the process:
/// they differ from all others of this machine, and can be guessed.
pub(crate) fn fill(bytes: &mut [u8]) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if getrandom::fill(bytes).is_ok() {
        return;
    }
    for part in bytes.chunks_mut(32) {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let digest = Digest::of(format!("{:?} {} {count}", SystemTime::now(), process::id()).as_bytes());
        part.copy_from_slice(&digest.as_bytes()[..part.len()]);
    }
}

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A number from 0 to less than 1.
pub(crate) fn fraction() -> f64 {
    fraction_of(u64::from_ne_bytes(bytes()))
}

/// The number from 0 to less than 1 that random bits make: of the first ones, as many as the number can have.
pub(crate) fn fraction_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
