use std::{
    path::Path,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use super::*;
use crate::leftovers::Leftovers;

const EVENT: &[u8] = b"{\"type\":\"t\",\"name\":\"n\"}\n";

/// A batcher without backends, whose leftovers go to `folder`.
fn batcher(folder: &Path) -> Batcher {
    let leftovers = Leftovers::new(folder).expect("a folder");
    Batcher::new(2, BadLines::new(leftovers.file("bad-lines.txt")), Vec::new(), ProgressBar::hidden())
}

/// Runs a batcher with an input and a flag that `feed` controls.
fn run(
    regular_file: bool,
    feed: impl FnOnce(SyncSender<io::Result<Vec<u8>>>, CancellationToken) + Send,
) -> (Batcher, String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut batcher = batcher(folder.path());
    let (sender, receiver) = sync_channel(10);
    let stop = CancellationToken::new();
    let flag = stop.clone();
    let read = thread::scope(|scope| {
        scope.spawn(move || feed(sender, flag));
        batcher.run(&receiver, &stop, regular_file)
    });
    batcher.bad.finish();
    let kept = batcher.bad.file.path().map(|path| std::fs::read_to_string(path).expect("readable"));
    (batcher, kept.unwrap_or_default(), read.is_ok())
}

#[test]
fn events_are_counted_and_bad_lines_are_kept() {
    let mut input = EVENT.repeat(5);
    input.extend_from_slice(b"\nno event\r\n");
    input.extend_from_slice(&EVENT[..EVENT.len() - 1]);
    for size in [1, 7, 1000] {
        let (batcher, kept, read) = run(false, |sender, _| {
            for block in input.chunks(size) {
                sender.send(Ok(block.to_vec())).expect("read");
            }
        });
        assert_eq!((batcher.count, batcher.lines.count(), batcher.bad.count), (6, 8, 1), "blocks of {size}");
        assert_eq!((kept.as_str(), read), ("no event\n", true));
    }
}

#[test]
fn a_line_that_is_too_long_is_kept_whole() {
    let mut input = vec![b'x'; 3 * jackfield::forward::MAX_LINE];
    input.push(b'\n');
    let (batcher, kept, _) = run(false, |sender, _| {
        for block in input.chunks(60_000) {
            sender.send(Ok(block.to_vec())).expect("read");
        }
    });
    assert_eq!((batcher.count, batcher.bad.count), (0, 1));
    assert!(kept.as_bytes() == input);
}

#[test]
fn events_before_a_read_error_count() {
    let (batcher, _, read) = run(true, |sender, _| {
        sender.send(Ok(EVENT.to_vec())).expect("read");
        sender.send(Err(io::Error::other("gone"))).expect("read");
    });
    assert_eq!((batcher.count, read), (1, false));
}

#[test]
fn a_stop_uses_the_events_that_were_read() {
    let whole = &EVENT[..EVENT.len() - 1];
    for (regular_file, last, events, cut) in
        [(false, whole, 2, ""), (false, &whole[..6], 1, "{\"type\n"), (true, whole, 1, "")]
    {
        let (batcher, kept, _) = run(regular_file, |sender, stop| {
            stop.set();
            sender.send(Ok([EVENT, last].concat())).expect("read");
            // A reader that hangs in a read does not close its end of the queue.
            thread::sleep(2 * LAST_BLOCKS);
        });
        let bad = u64::from(!cut.is_empty());
        assert_eq!((batcher.count, batcher.bad.count), (events, bad), "regular file: {regular_file}");
        assert_eq!(kept, cut);
    }
}

#[test]
fn events_do_not_wait_for_a_full_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut batcher = batcher(folder.path());
    batcher.batch_events = 1000;
    batcher.block(EVENT);
    assert_eq!(batcher.count, 0, "there is room for more");
    assert!(batcher.patience(false) <= IDLE);
    batcher.since = Instant::now().checked_sub(LONGEST_WAIT);
    assert_eq!(batcher.patience(false), Duration::ZERO);
    batcher.block(EVENT);
    assert_eq!((batcher.count, batcher.since), (2, None));
}
