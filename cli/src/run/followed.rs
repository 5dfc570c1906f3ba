//! Regular files: one that is followed as `tail -F` follows it, and one that gzip has compressed.
//!
//! Both are read from where the last run stopped. The state folder has that position in the file `input.v1`: device
//! and inode of the file, and the number of bytes whose lines are stored, before compression. It is overwritten after
//! each block, so a run that is killed stores the lines of at most one block again.
//!
//! A file that was renamed is read to its end, and so is one that was renamed between two runs and is still in the same
//! folder. A new file under the name that can't be opened yet is waited for, as a missing one is. A file that is shorter
//! than the position is read from its start.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use flate2::read::MultiGzDecoder;
use jackfield_loader::{
    files::{self, Access, identity, identity_at},
    show_path,
};

use super::source::{BLOCK, Found, Source, is_whole};
use crate::{
    gzip::{decompressed, is_compressed, read_full},
    log,
};

/// The time between two looks at a file that has no new bytes.
const TICK: Duration = Duration::from_millis(50);
/// A renamed file is read until nothing was appended for this time: its writer opens the new one after the renaming.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// Length of the file with the position, in bytes.
const ROOM: usize = 80;

/// Up to where a file was stored.
pub(super) struct Position {
    file: File,
    /// Device and inode of the file that was read.
    of: (u64, u64),
    offset: u64,
}

impl Position {
    /// The position that an earlier run has left in the file at `path`. One that can't be read is none.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = files::open(path, Access::Write)?;
        let text = files::read_open(&file, ROOM as u64).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut number = || numbers.next().and_then(Result::ok);
        let (of, offset) = match (number(), number(), number()) {
            (Some(device), Some(inode), Some(offset)) => ((device, inode), offset),
            _ => ((0, 0), 0),
        };
        Ok(Self { file, of, offset })
    }

    fn set(&mut self, of: (u64, u64), offset: u64) {
        (self.of, self.offset) = (of, offset);
        let text = format!("{:<width$}\n", format!("{} {} {offset}", of.0, of.1), width = ROOM - 1);
        let written = self.file.rewind().and_then(|()| self.file.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::debug!("the position in the input is not written: {error}");
        }
    }

    /// Goes on behind the bytes of a block that were taken. If they are `inside` a line, the file keeps the start of
    /// the line: its beginning is in memory alone until its end has come.
    fn advance(&mut self, len: usize, inside: bool) {
        let offset = self.offset + len as u64;
        if inside {
            self.offset = offset;
        } else {
            self.set(self.of, offset);
        }
    }
}

/// Opens the file to read first: the one at `path`, or the one that was there when the last run stopped.
pub(super) fn resume(path: &Path, mut position: Position) -> io::Result<RegularFile> {
    let file = open(path)?;
    let found = identity(&file)?;
    if found != position.of {
        let renamed = (position.of != (0, 0)).then(|| renamed(path, &position)).flatten();
        if let Some((old, file)) = renamed {
            log::say(format_args!(
                "{} was renamed to {}, which is read first",
                show_path(path),
                show_path(&old)
            ));
            return Ok(RegularFile::Followed(Followed::new(path, file, position)));
        }
        position.set(found, 0);
    }
    if !is_compressed(&file)? {
        return Ok(RegularFile::Followed(Followed::new(path, file, position)));
    }
    let mut decoder = decompressed(file);
    io::copy(&mut (&mut decoder).take(position.offset), &mut io::sink())?;
    Ok(RegularFile::Compressed(Compressed {
        decoder,
        buffer: Vec::new(),
        inside: false,
        ended: false,
        failed: None,
        position,
    }))
}

#[expect(clippy::disallowed_methods, reason = "the user's input")]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Opens what is at the path if it is a regular file.
fn open_regular(path: &Path) -> io::Result<File> {
    // Judged before it is opened: opening a FIFO would wait for its writer.
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        return Err(io::Error::other(format!("expected a file, found {}", files::kind(kind))));
    }
    open(path)
}

/// The file in the folder of `path` that was followed last, if it has bytes that were not stored. The position in a
/// compressed file counts other bytes than its own.
fn renamed(path: &Path, position: &Position) -> Option<(PathBuf, File)> {
    let entries = fs::read_dir(path.parent()?).ok()?;
    let has_more = |found: io::Result<Metadata>| {
        found.is_ok_and(|found| found.is_file() && found.len() > position.offset)
    };
    let is_it = |found: io::Result<(u64, u64)>| found.is_ok_and(|found| found == position.of);
    let may_be = |entry: &fs::DirEntry| has_more(entry.metadata()) && is_it(identity_at(&entry.path()));
    let old = entries.flatten().find(may_be)?.path();
    let file = open(&old).ok()?;
    let is_followed =
        has_more(file.metadata()) && is_it(identity(&file)) && !is_compressed(&file).unwrap_or(true);
    is_followed.then_some((old, file))
}

/// A regular file that is read.
pub(super) enum RegularFile {
    Followed(Followed),
    Compressed(Compressed),
}

impl Source for RegularFile {
    fn keeps(&self) -> bool {
        true
    }

    fn is_continued(&self) -> bool {
        true
    }

    fn left(&self) -> usize {
        match self {
            Self::Followed(file) => file.left,
            Self::Compressed(file) => file.buffer.len(),
        }
    }

    fn next(&mut self, block: &mut [u8], stop: &dyn Fn() -> bool) -> io::Result<Found> {
        match self {
            Self::Followed(file) => file.next(block, stop),
            Self::Compressed(file) => file.next(block),
        }
    }

    fn take(&mut self, len: usize) -> io::Result<()> {
        match self {
            Self::Followed(file) => {
                file.left -= len;
                file.position.advance(len, file.inside);
            }
            Self::Compressed(file) => {
                file.buffer.drain(..len);
                file.position.advance(len, file.inside);
            }
        }
        Ok(())
    }
}

/// A file that is followed.
pub(super) struct Followed {
    path: PathBuf,
    file: File,
    position: Position,
    /// Bytes that were given and not taken.
    left: usize,
    /// Whether the block that was given is a part of a line.
    inside: bool,
    /// The last time at which bytes came.
    came: Instant,
    /// It was printed that the new file can't be opened.
    is_told: bool,
}

impl Followed {
    fn new(path: &Path, file: File, position: Position) -> Self {
        Self {
            path: path.to_owned(),
            file,
            position,
            left: 0,
            inside: false,
            came: Instant::now(),
            is_told: false,
        }
    }

    /// Goes on with the file that is at the path now, from its start. Gives whether it can be read. One that can't be
    /// may only lack its mode or owner yet, which `logrotate` sets after it has created the file.
    fn begin(&mut self) -> bool {
        let opened = open_regular(&self.path).and_then(|file| Ok((identity(&file)?, file)));
        match opened {
            Ok((found, file)) => {
                if self.is_told {
                    log::say(format_args!("{} can be opened, and is read", show_path(&self.path)));
                }
                self.file = file;
                self.position.set(found, 0);
                (self.left, self.came, self.is_told) = (0, Instant::now(), false);
                return true;
            }
            // Gone again; another one may come.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if !self.is_told => {
                log::warn(format_args!(
                    "{}: {error}: the new file is read once it can be opened",
                    show_path(&self.path)
                ));
                self.is_told = true;
            }
            Err(_) => {}
        }
        false
    }

    /// Waits for more bytes than are left, until the file was replaced or `stop` ends the wait.
    fn next(&mut self, block: &mut [u8], stop: &dyn Fn() -> bool) -> io::Result<Found> {
        loop {
            if self.file.metadata()?.len() < self.position.offset {
                log::warn(format_args!("{} was truncated: it is read from its start", show_path(&self.path)));
                self.position.set(self.position.of, 0);
                self.left = 0;
            }
            let len = self.read(block)?;
            if len > self.left {
                (self.left, self.came) = (len, Instant::now());
                let found = Found { len, end: false, full: len == block.len() };
                self.inside = is_inside(found, block);
                return Ok(found);
            }
            if self.came.elapsed() >= LAST_BYTES && self.is_replaced() {
                if len > 0 {
                    // The last line of a file that gets no more.
                    return Ok(Found { len, end: true, full: false });
                }
                if self.begin() {
                    continue;
                }
            }
            if stop() {
                return Ok(Found { len, end: false, full: false });
            }
            thread::sleep(TICK);
        }
    }

    /// Fills the block from the position on, as far as there are bytes.
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.position.offset))?;
        read_full(&mut self.file, block)
    }

    /// Whether another file is at the path. A missing one is none: it may come.
    fn is_replaced(&self) -> bool {
        identity_at(&self.path).is_ok_and(|now| now != self.position.of)
    }
}

/// A file that gzip has compressed. It is read once, to its end.
pub(super) struct Compressed {
    decoder: MultiGzDecoder<File>,
    /// Bytes that were given and not taken.
    buffer: Vec<u8>,
    /// Whether the block that was given is a part of a line.
    inside: bool,
    ended: bool,
    /// The file is damaged from here on.
    failed: Option<io::Error>,
    position: Position,
}

impl Compressed {
    fn next(&mut self, block: &mut [u8]) -> io::Result<Found> {
        if self.failed.is_none() {
            let room = BLOCK - self.buffer.len();
            // What was decompressed before an error is in the buffer.
            match (&mut self.decoder).take(room as u64).read_to_end(&mut self.buffer) {
                Ok(read) => self.ended |= read == 0 && room > 0,
                Err(error) => self.fail(&error),
            }
        }
        if self.buffer.is_empty()
            && let Some(error) = self.failed.take()
        {
            return Err(error);
        }
        let len = self.buffer.len();
        block[..len].copy_from_slice(&self.buffer);
        let found = Found { len, end: self.ended, full: len == BLOCK };
        self.inside = is_inside(found, block);
        Ok(found)
    }

    /// Keeps the whole lines before the damage, and the error for the time when they are taken.
    fn fail(&mut self, error: &io::Error) {
        let read = self.position.offset + self.buffer.len() as u64;
        let text =
            format!("{error}: {read} bytes could be decompressed, and the whole lines in them are taken");
        self.failed = Some(io::Error::new(error.kind(), text));
        let lines = memchr::memrchr(b'\n', &self.buffer).map_or(0, |at| at + 1);
        if is_whole(&self.buffer[lines..]) {
            self.ended = true;
        } else {
            self.buffer.truncate(lines);
        }
    }
}

/// Whether a block is a part of a line that is longer than a block.
fn is_inside(found: Found, block: &[u8]) -> bool {
    found.full && memchr::memchr(b'\n', &block[..found.len]).is_none()
}

#[cfg(test)]
mod tests;
