//! Files for what could not be sent, made when the first line comes, readable by their owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// Where the files of one run lie, and what their names begin with.
#[derive(Debug, Clone)]
pub(super) struct Leftovers {
    folder: PathBuf,
    stem: String,
}

impl Leftovers {
    /// For a run that starts now.
    ///
    /// # Errors
    /// `folder` is no folder.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        if !folder.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        Ok(Self { folder: folder.to_owned(), stem: format!("jackfield-{now}-{}", std::process::id()) })
    }

    /// The file whose name ends like this.
    pub(super) fn file(&self, ending: &str) -> Leftover {
        Leftover {
            path: self.folder.join(format!("{}.{ending}", self.stem)),
            file: None,
            failed: None,
            pending: 0,
            lost: 0,
        }
    }
}

/// One file.
#[derive(Debug)]
pub(super) struct Leftover {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// Why it can't be written any more.
    failed: Option<io::Error>,
    /// Lines that were taken and may not be in the file yet.
    pending: u64,
    /// Lines that are not in the file though they should be, at most.
    lost: u64,
}

impl Leftover {
    /// Appends a line.
    pub(super) fn line(&mut self, line: &[u8]) {
        self.part(line);
        self.end_line();
    }

    /// Appends a part of a line. A file that has failed once gets no more.
    pub(super) fn part(&mut self, bytes: &[u8]) {
        self.write(|file| file.write_all(bytes));
    }

    /// Ends a line of which all parts have been appended.
    pub(super) fn end_line(&mut self) {
        self.pending += 1;
        self.write(|file| file.write_all(b"\n"));
    }

    /// Makes sure that all lines are in the file before further events are taken. Answers whether they are.
    pub(super) fn flush(&mut self) -> bool {
        if self.file.is_some() {
            self.write(io::Write::flush);
        }
        if self.failed.is_none() {
            self.pending = 0;
        }
        self.failed.is_none()
    }

    /// The file, if it was made.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// How many lines are not in the file though they should be, and why.
    pub(super) fn failure(&self) -> Option<(u64, String)> {
        self.failed
            .as_ref()
            .map(|error| (self.lost, format!("{} can't be written: {error}", self.path.display())))
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if self.failed.is_none() {
            let file = match &mut self.file {
                Some(file) => Ok(file),
                none => create(&self.path).map(|file| none.insert(BufWriter::new(file))),
            };
            self.failed = file.and_then(write).err();
        }
        if self.failed.is_some() {
            self.lost += std::mem::take(&mut self.pending);
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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
    fn what_is_no_folder_is_refused_before_anything_is_read() {
        assert!(Leftovers::new(Path::new("/nonexistent")).is_err());
        assert!(Leftovers::new(&std::env::current_exe().expect("a file")).is_err());
    }
}
