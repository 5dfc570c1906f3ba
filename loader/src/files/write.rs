//! Writing in as many steps as the system takes.

use std::io;

/// Hands `bytes` to `write`, which takes the beginning of them and says how many, until all are written. When that fails,
/// says how many are written.
pub fn write_counted(
    bytes: &[u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_written_in_steps_and_a_failure_counts_what_was() {
        let mut out = Vec::new();
        let mut room = 5;
        let mut write = |bytes: &[u8]| match bytes.len().min(2).min(room) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            count => {
                room -= count;
                out.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        };
        assert!(matches!(write_counted(b"abc", &mut write), (3, Ok(()))));
        let (written, error) = write_counted(b"defg", &mut write);
        assert_eq!((written, error.unwrap_err().kind()), (2, io::ErrorKind::StorageFull));
        assert!(matches!(write_counted(b"x", |_| Ok(0)), (0, Err(_))));
        assert_eq!(out, b"abcde");
    }
}
