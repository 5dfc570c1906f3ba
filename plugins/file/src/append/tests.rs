//! What the file holds after all that can happen to it.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use super::*;
use crate::handle::SYSTEM;

struct Log {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        Self { folder, path }
    }

    fn appender(&self) -> Appender {
        appender(&self.path, None)
    }

    fn rotating(&self, bytes: u64, keep: u32) -> Appender {
        appender(&self.path, Some(Rotation { bytes, keep: NonZeroU32::new(keep).expect("not zero") }))
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("readable")
    }

    fn numbered(&self, number: u32) -> String {
        fs::read_to_string(self.folder.path().join(format!("events.jsonl.{number}"))).unwrap_or_default()
    }
}

fn appender(path: &Path, rotation: Option<Rotation>) -> Appender {
    Appender::new(Options { path: path.to_owned(), fsync: false, rotation, disk: SYSTEM })
}

fn append(appender: &mut Appender, lines: &[&str]) {
    let mut written = 0;
    appender.append(lines.iter().copied(), &mut written, &|| true).expect("written");
    assert_eq!(written, lines.len());
}

fn refusal(appender: &mut Appender, lines: &[&str]) -> (usize, String) {
    let mut written = 0;
    let failure = appender.append(lines.iter().copied(), &mut written, &|| false).expect_err("a failure");
    (written, appender.explain(&failure))
}

#[test]
fn each_event_is_appended_as_a_line() {
    let log = Log::new();
    let mut appender = log.appender();
    append(&mut appender, &["{\"a\":1}", "{\"b\":2}"]);
    append(&mut appender, &[]);
    append(&mut appender, &["{\"c\":3}"]);
    assert_eq!(log.text(), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
}

#[cfg(unix)]
#[test]
fn only_a_new_file_gets_mode_0600() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;

    let log = Log::new();
    append(&mut log.appender(), &["a"]);
    assert_eq!(mode(&log.path), 0o600);

    let log = Log::new();
    fs::write(&log.path, "").expect("writable");
    fs::set_permissions(&log.path, fs::Permissions::from_mode(0o640)).expect("ours");
    append(&mut log.appender(), &["a"]);
    assert_eq!(mode(&log.path), 0o640);
}

#[test]
fn an_incomplete_last_line_is_kept_and_ended() {
    let log = Log::new();
    fs::write(&log.path, "{\"a\":1}\n{\"to").expect("writable");
    append(&mut log.appender(), &["{\"b\":2}"]);
    assert_eq!(log.text(), "{\"a\":1}\n{\"to\n{\"b\":2}\n");
}

#[test]
fn lines_for_several_writes_arrive_whole() {
    let log = Log::new();
    let long = "x".repeat(GATHER_BYTES + 7);
    let half = "y".repeat(GATHER_BYTES / 2);
    append(&mut log.appender(), &["a", &long, &half, &half, &half, "b"]);
    assert_eq!(log.text(), format!("a\n{long}\n{half}\n{half}\n{half}\nb\n"));
}

#[test]
fn a_file_is_rotated_before_it_becomes_too_large() {
    let log = Log::new();
    let mut appender = log.rotating(6, 2);
    append(&mut appender, &["1a", "1b", "2a", "2b"]);
    assert_eq!((log.text(), log.numbered(1)), ("2a\n2b\n".into(), "1a\n1b\n".into()));
    append(&mut appender, &["3a"]);
    append(&mut appender, &["a line of its own", "5a"]);
    assert_eq!(log.text(), "5a\n");
    assert_eq!((log.numbered(1), log.numbered(2)), ("a line of its own\n".into(), "3a\n".into()));
    assert_eq!(log.numbered(3), "");
}

#[test]
fn a_moved_or_removed_file_is_made_again() {
    let log = Log::new();
    let mut appender = log.appender();
    append(&mut appender, &["a"]);
    fs::rename(&log.path, log.folder.path().join("moved")).expect("ours");
    append(&mut appender, &["b"]);
    assert_eq!(log.text(), "b\n");
    fs::remove_file(&log.path).expect("ours");
    append(&mut appender, &["c"]);
    assert_eq!(log.text(), "c\n");
    assert_eq!(fs::read_to_string(log.folder.path().join("moved")).expect("readable"), "a\n");
}

#[test]
fn several_writers_of_a_rotating_file_lose_no_line() {
    const WRITERS: usize = 4;
    const BATCHES: usize = 60;
    const LIMIT: u64 = 1_000;
    let log = Log::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut appender = log.rotating(LIMIT, 10_000);
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    let lines: Vec<_> =
                        (0..5).map(|line| format!("{writer}-{batch}-{line}-{}", "x".repeat(line))).collect();
                    append(&mut appender, &lines.iter().map(String::as_str).collect::<Vec<_>>());
                }
            });
        }
    });
    let mut seen = HashSet::new();
    let mut files = 0;
    for entry in fs::read_dir(log.folder.path()).expect("a folder") {
        let text = fs::read_to_string(entry.expect("readable").path()).expect("readable");
        assert!(text.len() as u64 <= LIMIT);
        files += 1;
        for line in text.lines() {
            assert!(seen.insert(line.to_owned()), "twice: {line}");
        }
    }
    assert!(files > 10, "{files} files");
    assert_eq!(seen.len(), WRITERS * BATCHES * 5);
    for line in seen {
        let parts: Vec<_> = line.split('-').collect();
        let number: usize = parts[2].parse().expect("a number");
        assert_eq!(parts[3], "x".repeat(number), "torn: {line}");
    }
}

#[test]
fn a_batch_fails_while_another_writer_has_the_lock() {
    let log = Log::new();
    let other = Handle::open(&log.path, SYSTEM).expect("opens");
    other.lock(&|| false).expect("free");
    let (written, reason) = refusal(&mut log.appender(), &["a"]);
    assert_eq!(written, 0);
    assert_eq!(reason, format!("{}: another writer holds the lock", log.path.display()));
    drop(other);
    append(&mut log.appender(), &["a"]);
    assert_eq!(log.text(), "a\n");
}

thread_local! {
    /// What was asked of the disk by this test, in order.
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Bytes that fit on the disk from now on; all when there is no limit.
    static ROOM: Cell<usize> = const { Cell::new(usize::MAX) };
    static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// The system's disk, watched, and full or broken when a test wants it.
const WATCHED: Disk = Disk {
    write: |file, bytes| {
        let fits = bytes.len().min(ROOM.get());
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        ROOM.set(ROOM.get() - if ROOM.get() == usize::MAX { 0 } else { fits });
        ASKED.with_borrow_mut(|asked| asked.push(format!("write {fits}")));
        (SYSTEM.write)(file, &bytes[..fits])
    },
    sync: |file| {
        ASKED.with_borrow_mut(|asked| asked.push("sync".to_owned()));
        if SYNC_FAILS.get() { Err(io::Error::other("broken disk")) } else { (SYSTEM.sync)(file) }
    },
    sync_folder: |folder| {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        ASKED.with_borrow_mut(|asked| asked.push(format!("sync folder {name}")));
        (SYSTEM.sync_folder)(folder)
    },
};

fn watched(log: &Log, fsync: bool, rotate_bytes: Option<u64>) -> Appender {
    let rotation = rotate_bytes.map(|bytes| Rotation { bytes, keep: NonZeroU32::MIN });
    Appender::new(Options { path: log.path.clone(), fsync, rotation, disk: WATCHED })
}

/// What was asked of the disk since the last time.
fn asked() -> Vec<String> {
    ASKED.take()
}

#[test]
fn with_fsync_name_and_batch_are_synced_before_they_count() {
    let log = Log::new();
    let folder = log.folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    let named = format!("sync folder {folder}");
    let mut appender = watched(&log, true, Some(4));
    append(&mut appender, &["a"]);
    assert_eq!(asked(), [&*named, "write 2", "sync"]);
    append(&mut appender, &["b", "c"]);
    assert_eq!(asked(), ["write 2", "sync", &*named, "write 2", "sync"], "a new file after the rotation");
    assert_eq!((log.text(), log.numbered(1)), ("c\n".into(), "a\nb\n".into()));
}

#[test]
fn without_fsync_the_disk_is_not_waited_for() {
    let log = Log::new();
    append(&mut watched(&log, false, None), &["a", "b"]);
    assert_eq!(asked(), ["write 4"]);
}

#[test]
fn lines_that_could_not_be_synced_are_removed() {
    let log = Log::new();
    let mut appender = watched(&log, true, None);
    append(&mut appender, &["a"]);
    SYNC_FAILS.set(true);
    let (written, reason) = refusal(&mut appender, &["b", "c"]);
    assert_eq!((written, reason), (0, format!("{}: broken disk", log.path.display())));
    assert_eq!(log.text(), "a\n");
    SYNC_FAILS.set(false);
    append(&mut appender, &["b", "c"]);
    assert_eq!(log.text(), "a\nb\nc\n");
}

#[test]
fn a_batch_that_does_not_fit_is_removed() {
    for fsync in [false, true] {
        let log = Log::new();
        let mut appender = watched(&log, fsync, None);
        append(&mut appender, &["a"]);
        // Room for one line and a half.
        ROOM.set(5);
        let (written, reason) = refusal(&mut appender, &["bb", "cc", "dd"]);
        assert_eq!(written, 0, "{reason}");
        assert_eq!(log.text(), "a\n", "neither a torn line nor one that comes again");
        ROOM.set(usize::MAX);
        append(&mut appender, &["bb", "cc", "dd"]);
        assert_eq!(log.text(), "a\nbb\ncc\ndd\n");
    }
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let log = Log::new();
    let refused = |path: PathBuf| {
        let mut appender = appender(&path, None);
        let failure = appender.open().expect_err("refused");
        assert!(matches!(failure, Failure::Path(_)), "{failure:?}");
        let line = appender.explain(&failure);
        let (path, why) = line.split_once(": ").expect("path and reason");
        assert!(path.starts_with(&*log.folder.path().to_string_lossy()), "{line}");
        why.to_owned()
    };
    assert_eq!(refused(log.folder.path().to_owned()), "is a folder; name a file in it");
    assert_eq!(refused(log.folder.path().join("no/such")), "its folder does not exist; make it");
    fs::write(&log.path, "").expect("writable");
    assert_eq!(refused(log.path.join("below")), "its folder is a file");
    #[cfg(unix)]
    {
        let link = log.folder.path().join("link");
        std::os::unix::fs::symlink(&log.path, &link).expect("ours");
        assert_eq!(refused(link), "is a symbolic link; name the file itself");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_may_not_be_made_is_refused() {
    // Where nobody may make a file, not even root.
    let mut appender = appender(Path::new("/sys/kernel/events.jsonl"), None);
    let failure = appender.open().expect_err("refused");
    assert!(!failure.may_pass());
    assert_eq!(appender.explain(&failure), "/sys/kernel/events.jsonl: Permission denied (os error 13)");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_fails_and_null_takes_everything() {
    let mut full = appender(Path::new("/dev/full"), Some(Rotation { bytes: 1, keep: NonZeroU32::MIN }));
    for _ in 0..2 {
        let (written, reason) = refusal(&mut full, &["a", "b"]);
        assert_eq!((written, reason.as_str()), (0, "/dev/full: No space left on device (os error 28)"));
    }
    append(&mut appender(Path::new("/dev/null"), None), &["a", "b"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_fifo_with_a_new_reader_gets_whole_lines() {
    use std::io::Read as _;
    let log = Log::new();
    let made = std::process::Command::new("mkfifo").arg(&log.path).status().expect("mkfifo");
    assert!(made.success());
    let open_reader = || fs::OpenOptions::new().read(true).write(true).open(&log.path).expect("a reader");
    let mut reader = open_reader();
    let mut appender = log.appender();
    append(&mut appender, &["a"]);
    // As if a write had stopped in the middle of a line.
    appender.torn = true;
    append(&mut appender, &["b"]);
    let mut taken = [0; 5];
    reader.read_exact(&mut taken).expect("readable");
    assert_eq!(&taken, b"a\n\nb\n");
    drop(reader);
    for _ in 0..2 {
        let (written, reason) = refusal(&mut appender, &["c"]);
        assert_eq!(written, 0);
        assert!(reason.contains("Broken pipe"), "{reason}");
    }
    let mut reader = open_reader();
    append(&mut appender, &["c"]);
    reader.read_exact(&mut taken[..2]).expect("readable");
    assert_eq!(&taken[..2], b"c\n");
}
