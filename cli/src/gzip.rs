//! Input files that gzip has compressed (RFC 1952).

use std::{
    fs::File,
    io::{self, Read, Seek as _},
};

use flate2::read::MultiGzDecoder;

/// Whether a regular file has the start of one that gzip has compressed. Its next bytes are those of the start.
pub(crate) fn is_compressed(mut file: &File) -> io::Result<bool> {
    let mut start = [0; 2];
    let is_read = read_full(&mut file, &mut start)? == start.len();
    file.rewind()?;
    Ok(is_read && start == [0x1f, 0x8b])
}

/// The bytes before compression, of all members of the file.
pub(crate) fn decompressed<R: Read>(file: R) -> MultiGzDecoder<R> {
    MultiGzDecoder::new(file)
}

/// Reads until the block is full or nothing more comes.
pub(crate) fn read_full(reader: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < block.len() {
        match reader.read(&mut block[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
