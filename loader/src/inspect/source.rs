//! Where a parser reads from: bytes in memory, or an open file of which only the ranges that are asked for are read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, SeekFrom};
use std::ops::Range;

use object::{ReadCache, ReadRef};

use crate::library::error::ImageError;

/// Most bytes that are read of an open file. Of a library these are headers, tables of symbols and metadata.
pub(super) const READ_LIMIT: u64 = 64 << 20;

/// An open file, and the ranges that were read of it, of at most [`READ_LIMIT`] bytes in all.
pub(super) struct FileRanges {
    ranges: ReadCache<Reader>,
    left: Cell<u64>,
    is_exhausted: Cell<bool>,
}

impl FileRanges {
    pub(super) fn new(file: &File) -> Result<Self, ImageError> {
        let file = file.try_clone().map_err(ImageError::io("read"))?;
        let ranges = ReadCache::new(Reader { file, error: None });
        Ok(Self { ranges, left: READ_LIMIT.into(), is_exhausted: false.into() })
    }

    fn read(&self, offset: u64, size: u64) -> Result<&[u8], ()> {
        match self.left.get().checked_sub(size) {
            Some(left) => self.left.set(left),
            None => self.is_exhausted.set(true),
        }
        if self.is_exhausted.get() { Err(()) } else { (&self.ranges).read_bytes_at(offset, size) }
    }

    /// Why a range was not read, if that was not the file's content.
    pub(super) fn error(self) -> Option<ImageError> {
        if self.is_exhausted.get() {
            return Some(ImageError::TablesTooLarge { limit: READ_LIMIT });
        }
        self.ranges.into_inner().error.map(ImageError::io("read"))
    }
}

/// Keeps the error of the system, which [`ReadCache`] drops.
struct Reader {
    file: File,
    error: Option<io::Error>,
}

impl Reader {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }
}

impl io::Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes);
        self.keep(count)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact(bytes);
        self.keep(read)
    }
}

impl io::Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.file.seek(to);
        self.keep(position)
    }
}

/// The bytes of a library, or of a part of it.
#[derive(Clone, Copy)]
pub(super) struct Source<'data> {
    bytes: Bytes<'data>,
    start: u64,
    size: u64,
}

#[derive(Clone, Copy)]
enum Bytes<'data> {
    Memory(&'data [u8]),
    File(&'data FileRanges),
}

impl<'data> Source<'data> {
    pub(super) fn memory(bytes: &'data [u8]) -> Self {
        Self { bytes: Bytes::Memory(bytes), start: 0, size: bytes.len() as u64 }
    }

    /// The first `size` bytes of a file.
    pub(super) fn file(file: &'data FileRanges, size: u64) -> Self {
        Self { bytes: Bytes::File(file), start: 0, size }
    }

    pub(super) fn size(self) -> u64 {
        self.size
    }

    /// The `size` bytes from `start`, as if they were the whole.
    pub(super) fn part(self, start: u64, size: u64) -> Option<Self> {
        let end = start.checked_add(size)?;
        (end <= self.size).then_some(Self { start: self.start + start, size, ..self })
    }

    /// Up to `size` bytes from the start.
    pub(super) fn head(self, size: u64) -> Result<&'data [u8], ()> {
        self.read_bytes_at(0, size.min(self.size))
    }
}

impl<'data> ReadRef<'data> for Source<'data> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        let end = offset.checked_add(size).filter(|end| *end <= self.size).ok_or(())?;
        let (start, end) = (self.start + offset, self.start + end);
        match self.bytes {
            Bytes::Memory(bytes) => bytes.read_bytes_at(start, end - start),
            Bytes::File(file) => file.read(start, end - start),
        }
    }

    /// Not needed by the parsers here.
    fn read_bytes_at_until(self, _range: Range<u64>, _delimiter: u8) -> Result<&'data [u8], ()> {
        Err(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_within_its_limit_and_its_length() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(READ_LIMIT * 4).unwrap();
        let ranges = FileRanges::new(&file).unwrap();
        let source = Source::file(&ranges, READ_LIMIT * 4);
        assert_eq!(source.read_bytes_at(READ_LIMIT * 4 - 1, 2), Err(()));
        assert_eq!(source.read_bytes_at(u64::MAX, 2), Err(()));
        assert_eq!(
            source.read_bytes_at(READ_LIMIT, READ_LIMIT - 10).map(<[u8]>::len),
            Ok(READ_LIMIT as usize - 10)
        );
        assert_eq!(source.read_bytes_at(7, 10), Ok(&[0; 10][..]));
        assert_eq!(source.read_bytes_at(7, 1), Err(()));
        let error = ranges.error().unwrap().to_string();
        assert!(error.starts_with("its headers, symbols and metadata take more than 64 MiB: "), "{error}");
    }

    #[test]
    fn a_file_that_was_cut_meanwhile_is_told_from_a_corrupt_one() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        let ranges = FileRanges::new(&file).unwrap();
        assert_eq!((&ranges.ranges).len(), Ok(100));
        file.set_len(10).unwrap();
        assert_eq!(Source::file(&ranges, 100).read_bytes_at(50, 10), Err(()));
        assert_eq!(ranges.error().unwrap().to_string(), "can't read: failed to fill whole buffer");
    }

    #[test]
    fn a_part_ends_where_it_says() {
        let part = Source::memory(b"0123456789").part(2, 5).unwrap().part(1, 3).unwrap();
        assert_eq!(part.head(100), Ok(&b"345"[..]));
        assert_eq!(part.read_bytes_at(1, 2), Ok(&b"45"[..]));
        assert_eq!(part.read_bytes_at(1, 3), Err(()));
        assert!(part.part(1, 3).is_none());
    }
}
