//! Files for lines that could not be sent. A file is made with its first line; only its owner may read it.

use std::{
    fmt::Display,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jackfield::forward::{Line, MAX_LINE};
use jackfield_loader::{
    count,
    files::{self, Access, write_counted},
    show_path,
};

use crate::log;

/// The folder of one run's files, and the beginning of their names.
#[derive(Debug, Clone)]
pub(crate) struct Leftovers {
    folder: PathBuf,
    stem: String,
}

impl Leftovers {
    /// The files of a run that starts now.
    ///
    /// # Errors
    /// `folder` is not a folder.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        Ok(Self { folder: folder.to_owned(), stem: format!("jackfield-{now}-{}", std::process::id()) })
    }

    /// The file whose name has this ending.
    pub(crate) fn file(&self, ending: &str) -> Leftover {
        let path = self.folder.join(format!("{}.{ending}", self.stem));
        Leftover { path, ..Leftover::default() }
    }
}

/// One file. It ends with a complete line after every write, even after a write that failed.
#[derive(Debug, Default)]
pub(crate) struct Leftover {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that are not written yet.
    buffer: Vec<u8>,
    /// Lines that end in the buffer.
    buffered: u64,
    /// Bytes in the file up to the end of its last complete line.
    whole: u64,
    /// Bytes of an incomplete line after them.
    begun: u64,
    /// The error of the first write that failed.
    failed: Option<io::Error>,
    /// Lines that the file lacks.
    lost: u64,
}

/// Number of bytes that are collected for one write.
const GATHER_BYTES: usize = 16 * 1024;

impl Leftover {
    /// Appends a line.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.part(line);
        self.end_line();
    }

    /// Appends a part of a line, which has no line feed. After an error nothing is appended.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= GATHER_BYTES {
            self.write();
        }
    }

    /// Ends a line of which all parts have been appended.
    pub(crate) fn end_line(&mut self) {
        if self.failed.is_some() {
            self.lost += 1;
        } else {
            self.buffer.push(b'\n');
            self.buffered += 1;
        }
    }

    /// Writes all lines to the file. Gives whether the file has them.
    pub(crate) fn flush(&mut self) -> bool {
        if !self.buffer.is_empty() {
            self.write();
        }
        self.failed.is_none()
    }

    /// The path, if the file was made.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// The number of lines that the file lacks, and why.
    pub(crate) fn failure(&self) -> Option<(u64, String)> {
        self.failed
            .as_ref()
            .map(|error| (self.lost, format!("{} can't be written: {error}", show_path(&self.path))))
    }

    /// Writes the buffer.
    fn write(&mut self) {
        let file = match &mut self.file {
            Some(file) => Ok(file),
            none => {
                files::open(&self.path, Access::New).map_err(io::Error::from).map(|file| none.insert(file))
            }
        };
        let (written, result) = match file {
            Ok(file) => write_counted(&self.buffer, |rest| file.write(rest)),
            Err(error) => (0, Err(error)),
        };
        let arrived = &self.buffer[..written];
        if let Some(end) = arrived.iter().rposition(|&byte| byte == b'\n') {
            self.whole += self.begun + end as u64 + 1;
            self.begun = (written - end - 1) as u64;
        } else {
            self.begun += written as u64;
        }
        if let Err(error) = result {
            self.lost += self.buffered - arrived.iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.failed = Some(error);
            self.end_torn_line();
        }
        self.buffer.clear();
        self.buffered = 0;
    }

    /// Cuts off an incomplete line. If that is not possible, ends the line, because a full disk may now have
    /// room for one byte. A file that would have no line is removed.
    fn end_torn_line(&mut self) {
        if self.whole == 0 && self.file.is_some() && files::remove(&self.path).is_ok() {
            self.file = None;
            return;
        }
        if let (Some(file), true) = (&mut self.file, self.begun > 0) {
            // If neither is possible, the error of the write is reported anyway.
            drop(file.set_len(self.whole).or_else(|_| file.write_all(b"\n")));
        }
    }
}

/// The number of bad lines that are printed one by one.
const PRINTED: u64 = 20;

/// Lines that are not events: the first ones are printed with their reason, and all are kept in a file.
pub(crate) struct BadLines {
    pub(crate) file: Leftover,
    pub(crate) count: u64,
}

impl BadLines {
    pub(crate) fn new(file: Leftover) -> Self {
        Self { file, count: 0 }
    }

    /// Notes a line that is not an event.
    pub(crate) fn bad(&mut self, number: u64, line: &[u8], reason: &dyn Display) {
        self.report(number, reason);
        self.file.line(line);
    }

    /// Notes a piece of a line that is too long.
    pub(crate) fn piece(&mut self, number: u64, line: &Line<'_>) {
        match line {
            Line::TooLong(bytes) => {
                self.report(number, &format_args!("line too long: limit {MAX_LINE} bytes"));
                self.file.part(bytes);
            }
            Line::Whole(bytes) | Line::More(bytes, false) => self.file.part(bytes),
            Line::More(bytes, true) => {
                self.file.part(bytes);
                self.file.end_line();
            }
        }
    }

    fn report(&mut self, number: u64, reason: &dyn Display) {
        self.count += 1;
        if self.count <= PRINTED {
            log::error(format_args!("line {number}: {reason}"));
        }
    }

    /// Writes the buffered lines to the file.
    pub(crate) fn flush(&mut self) {
        self.file.flush();
    }

    /// Prints the number of lines that were not printed, and writes the buffered lines to the file.
    pub(crate) fn finish(&mut self) {
        if self.count > PRINTED {
            let more = count(self.count - PRINTED, "more bad line");
            log::error(format_args!("{more}, not printed"));
        }
        self.file.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_with_its_first_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let leftovers = Leftovers::new(folder.path()).expect("a folder");
        let (mut used, unused) = (leftovers.file("main.rejected.jsonl"), leftovers.file("bad-lines.txt"));
        used.line(b"one");
        used.line(b"two");
        assert!(used.flush());
        assert_eq!((unused.path(), unused.failure()), (None, None));
        let path = used.path().expect("made").to_owned();
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "one\ntwo\n");
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn lines_that_can_not_be_written_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut leftover = Leftovers::new(folder.path()).expect("a folder").file("x");
        folder.close().expect("removed");
        leftover.line(b"one");
        leftover.line(b"two");
        assert!(!leftover.flush());
        let (lost, why) = leftover.failure().expect("failed");
        assert_eq!(lost, 2);
        assert!(why.contains("can't be written"), "{why}");
    }

    #[test]
    fn parts_of_a_long_line_make_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut leftover = Leftovers::new(folder.path()).expect("a folder").file("x");
        let part = vec![b'x'; GATHER_BYTES - 1];
        leftover.line(b"one");
        for _ in 0..3 {
            leftover.part(&part);
        }
        leftover.end_line();
        assert!(leftover.flush());
        let text = std::fs::read_to_string(leftover.path().expect("made")).expect("readable");
        assert_eq!(text, format!("one\n{}\n", "x".repeat(3 * part.len())));
    }

    #[test]
    fn a_path_that_is_no_folder_is_refused() {
        assert!(Leftovers::new(Path::new("/nonexistent")).is_err());
        assert!(Leftovers::new(&std::env::current_exe().expect("a file")).is_err());
    }
}
