//! Files for lines that could not be sent. A file is made for its first line; only its owner may read it.

pub(crate) mod bad_lines;

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jackfield_loader::{
    files::{self, Access},
    show_path,
};

/// The folder of one run's files, and the beginning of their names.
#[derive(Debug, Clone)]
pub(crate) struct Leftovers {
    folder: PathBuf,
    stem: String,
}

impl Leftovers {
    /// For a run that starts now.
    ///
    /// # Errors
    /// `folder` is no folder.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        Ok(Self { folder: folder.to_owned(), stem: format!("jackfield-{now}-{}", std::process::id()) })
    }

    /// The file whose name ends like this.
    pub(crate) fn file(&self, ending: &str) -> Leftover {
        Leftover {
            path: self.folder.join(format!("{}.{ending}", self.stem)),
            file: None,
            buffer: Vec::new(),
            buffered: 0,
            whole: 0,
            begun: 0,
            failed: None,
            lost: 0,
        }
    }
}

/// One file. It ends with a complete line after every write, also after a write that failed.
#[derive(Debug)]
pub(crate) struct Leftover {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that wait to be written.
    buffer: Vec<u8>,
    /// Lines that end in the buffer.
    buffered: u64,
    /// Bytes in the file up to the end of its last complete line.
    whole: u64,
    /// Bytes behind that, of an incomplete line.
    begun: u64,
    /// Why it can't be written any more.
    failed: Option<io::Error>,
    /// Lines that the file lacks.
    lost: u64,
}

/// About how many bytes are collected for one write.
const GATHER_BYTES: usize = 16 * 1024;

impl Leftover {
    /// Appends a line.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.part(line);
        self.end_line();
    }

    /// Appends a part of a line, which has no line feed. A file that has failed once gets no more.
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

    /// The file, if it was made.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// How many lines the file lacks, and why.
    pub(crate) fn failure(&self) -> Option<(u64, String)> {
        self.failed
            .as_ref()
            .map(|error| (self.lost, format!("{} can't be written: {error}", show_path(&self.path))))
    }

    /// Writes what is in the buffer.
    fn write(&mut self) {
        let file = match &mut self.file {
            Some(file) => Ok(file),
            none => {
                files::open(&self.path, Access::New).map_err(io::Error::from).map(|file| none.insert(file))
            }
        };
        let (written, result) = match file {
            Ok(file) => write_counted(file, &self.buffer),
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

    /// Cuts off an incomplete line. Where that is not possible, ends the line: a disk that was full may have room for one
    /// byte by now.
    fn end_torn_line(&mut self) {
        if let (Some(file), true) = (&mut self.file, self.begun > 0) {
            // Where neither is possible, the error of the write says enough.
            drop(file.set_len(self.whole).or_else(|_| file.write_all(b"\n")));
        }
    }
}

/// Writes `bytes`. When that fails, says how many of them are written.
fn write_counted(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
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
    fn lines_that_can_not_be_kept_are_counted() {
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
    fn what_is_no_folder_is_refused_before_anything_is_read() {
        assert!(Leftovers::new(Path::new("/nonexistent")).is_err());
        assert!(Leftovers::new(&std::env::current_exe().expect("a file")).is_err());
    }
}
