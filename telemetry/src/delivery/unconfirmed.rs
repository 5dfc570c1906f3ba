//! The record of the events that a backend was given and has not confirmed: they may have arrived, or still arrive.
//!
//! It is in `unconfirmed.v1.json` in the data folder: one line, a JSON object with the number of events of each backend. A
//! pass overwrites the line before and after each attempt, so the numbers are right after a kill, too. It does so in place,
//! because a new file for each attempt would cost more than a small batch.
//!
//! An attempt first adds its events, then reads consent. An opt-out first writes consent, then reads the record. So an
//! opt-out knows of every attempt that consent did not stop.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

use jackfield_loader::files::{self, Access};

use crate::process::lock;

/// The most bytes that are read. The file normally has less than a hundred.
const LONGEST: u64 = 1 << 20;

/// Numbers of events by the names of their backends.
pub(crate) type Unconfirmed = BTreeMap<String, u64>;

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct UnconfirmedFile(PathBuf);

impl UnconfirmedFile {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.join("unconfirmed.v1.json"))
    }

    /// The numbers; `None` when the file can't be read, so that they are not known.
    pub(crate) fn read(&self) -> Option<Unconfirmed> {
        match files::read(&self.0, Access::Read, LONGEST) {
            // The rest of a longer line may follow.
            Ok(text) => serde_json::from_str(text.lines().next()?).ok(),
            // No attempt was made.
            Err(_) if !self.0.exists() => Some(Unconfirmed::new()),
            Err(_) => None,
        }
    }

    pub(crate) fn forget(&self) -> io::Result<()> {
        files::remove(&self.0)
    }
}

/// The record as one pass writes it. Only the holder of the claim does.
#[derive(Debug)]
pub(super) struct UnconfirmedRecord {
    file: UnconfirmedFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` before the first attempt.
    open: Option<File>,
    numbers: Unconfirmed,
}

impl UnconfirmedRecord {
    pub(super) fn new(file: &UnconfirmedFile) -> Self {
        let numbers = file.read().unwrap_or_default();
        Self { file: file.clone(), state: Mutex::new(State { open: None, numbers }) }
    }

    /// Sets the number of a backend, and returns the one before.
    pub(super) fn set(&self, backend: &str, number: u64) -> u64 {
        let mut state = lock(&self.state);
        let before = match number {
            0 => state.numbers.remove(backend),
            _ => state.numbers.insert(backend.to_owned(), number),
        };
        if let Err(error) = state.write(&self.file) {
            tracing::debug!("what backends were given is not recorded: {error}");
        }
        before.unwrap_or(0)
    }
}

impl State {
    fn write(&mut self, file: &UnconfirmedFile) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(files::open(&file.0, Access::Write)?),
        };
        let mut line = serde_json::to_vec(&self.numbers)?;
        line.push(b'\n');
        open.seek(SeekFrom::Start(0))?;
        // An empty file says that the numbers are not known. Those of an earlier attempt would be wrong.
        files::write_all(open, &line).inspect_err(|_| drop(open.set_len(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_right_after_each_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = UnconfirmedFile::new(folder.path());
        assert_eq!(file.read(), Some(Unconfirmed::new()), "no attempt was made");
        let record = UnconfirmedRecord::new(&file);
        assert_eq!(record.set("a backend with a long name", 1000), 0);
        record.set("http", 3);
        let expected = [("a backend with a long name", 1000), ("http", 3)];
        assert_eq!(file.read(), Some(expected.map(|(name, number)| (name.to_owned(), number)).into()));
        assert_eq!(record.set("a backend with a long name", 0), 1000);
        drop(record);
        // Another pass, and a shorter line over a longer one.
        let record = UnconfirmedRecord::new(&file);
        record.set("file", 1);
        assert_eq!(file.read(), Some([("file".to_owned(), 1), ("http".to_owned(), 3)].into()));
        drop(record);
        file.forget().expect("ours");
        assert_eq!(file.read(), Some(Unconfirmed::new()));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it stands for a full disk")]
    fn a_damaged_record_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = UnconfirmedFile::new(folder.path());
        for text in ["", "\n", "{\"http\":", "[]\n"] {
            std::fs::write(&file.0, text).expect("room");
            assert_eq!(file.read(), None, "{text:?}");
        }
    }
}
