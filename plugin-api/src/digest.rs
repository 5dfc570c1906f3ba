//! The digest of the frozen surface.

/// The frozen surface as text: every type with its fields, their types, and offsets and sizes on a 64-bit target. A test
/// compares it with [`crate::abi`]. Numbers are not part of it: a number may be added without a change of any table.
pub const SURFACE: &str = include_str!("../abi/1.txt");

/// Digest of [`SURFACE`]: FNV-1a, 64 bits, over its bytes without carriage returns. A host and a plugin whose digests
/// differ were built against different tables. It distinguishes versions; it does not protect against forgery.
///
/// Source: the FNV-1a parameters of draft-eastlake-fnv.
pub const DIGEST: u64 = fnv1a(SURFACE.as_bytes());

const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\r' {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        }
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn the_hash_is_fnv1a_and_ignores_carriage_returns() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a(b"foo\r\nbar"), fnv1a(b"foo\nbar"));
    }
}
