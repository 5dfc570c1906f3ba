use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use super::*;

const EVENT: &[u8] = b"{\"type\":\"t\",\"name\":\"n\"}\n";

/// A pump without backends, whose leftovers go to `folder`.
fn pump(folder: &Path) -> Pump {
    let leftovers = Leftovers::new(folder).expect("a folder");
    Pump {
        lines: Lines::new(),
        events: EventBuffer::new(EventDefaults::new(TOOL, VERSION)),
        since: None,
        bad: BadLines::new(leftovers.file("bad-lines.txt")),
        batch_events: 2,
        count: 0,
        workers: Vec::new(),
        bar: ProgressBar::hidden(),
    }
}

/// Runs a pump on what `feed` sends and sets.
fn run(
    regular_file: bool,
    feed: impl FnOnce(SyncSender<io::Result<Vec<u8>>>, CancellationToken) + Send,
) -> (Pump, String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pump = pump(folder.path());
    let (sender, receiver) = sync_channel(10);
    let stop = CancellationToken::new();
    let flag = stop.clone();
    let read = thread::scope(|scope| {
        scope.spawn(move || feed(sender, flag));
        pump.run(&receiver, &stop, regular_file)
    });
    pump.bad.finish();
    let kept = pump.bad.file().path().map(|path| std::fs::read_to_string(path).expect("readable"));
    (pump, kept.unwrap_or_default(), read.is_ok())
}

#[test]
fn events_are_counted_over_blocks_and_batches_and_bad_lines_are_kept() {
    let mut input = EVENT.repeat(5);
    input.extend_from_slice(b"\nno event\r\n");
    input.extend_from_slice(&EVENT[..EVENT.len() - 1]);
    for size in [1, 7, 1000] {
        let (pump, kept, read) = run(false, |sender, _| {
            for block in input.chunks(size) {
                sender.send(Ok(block.to_vec())).expect("read");
            }
        });
        assert_eq!((pump.count, pump.lines.count(), pump.bad.count), (6, 8, 1), "blocks of {size}");
        assert_eq!((kept.as_str(), read), ("no event\n", true));
    }
}

#[test]
fn a_line_that_is_too_long_is_kept_whole() {
    let mut input = vec![b'x'; 3 * jackfield::forward::MAX_LINE];
    input.push(b'\n');
    let (pump, kept, _) = run(false, |sender, _| {
        for block in input.chunks(60_000) {
            sender.send(Ok(block.to_vec())).expect("read");
        }
    });
    assert_eq!((pump.count, pump.bad.count), (0, 1));
    assert!(kept.as_bytes() == input);
}

#[test]
fn what_came_before_a_read_error_counts() {
    let (pump, _, read) = run(true, |sender, _| {
        sender.send(Ok(EVENT.to_vec())).expect("read");
        sender.send(Err(io::Error::other("gone"))).expect("read");
    });
    assert_eq!((pump.count, read), (1, false));
}

#[test]
fn after_a_stop_what_was_read_is_taken_though_the_reader_hangs() {
    for (regular_file, bad) in [(false, 1), (true, 0)] {
        let (pump, kept, _) = run(regular_file, |sender, stop| {
            stop.set();
            sender.send(Ok([EVENT, b"{\"type"].concat())).expect("read");
            // A reader that hangs in a read holds its end of the queue.
            thread::sleep(Duration::from_millis(500));
        });
        assert_eq!((pump.count, pump.bad.count), (1, bad), "regular file: {regular_file}");
        assert_eq!(kept, if regular_file { "" } else { "{\"type\n" });
    }
}

#[test]
fn events_do_not_wait_for_a_full_batch_or_an_idle_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pump = pump(folder.path());
    pump.batch_events = 1000;
    pump.block(EVENT);
    assert_eq!(pump.count, 0, "there is room for more");
    assert!(pump.patience(false) <= IDLE);
    pump.since = Instant::now().checked_sub(LONGEST_WAIT);
    assert_eq!(pump.patience(false), Duration::ZERO);
    pump.block(EVENT);
    assert_eq!((pump.count, pump.since), (2, None));
}

#[test]
fn only_backends_that_are_configured_can_be_chosen() {
    let text = "[[backend]]\nplugin = 'a'\n[[backend]]\nplugin = 'b'\n";
    let config = Config::parse(text, Path::new("c.toml")).expect("a configuration");
    let names = |only: &[&str]| {
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        choose(&config, &only)
            .map(|chosen| chosen.iter().map(|backend| backend.name.clone()).collect::<Vec<_>>())
            .map_err(|refusal| (Exit::from(&refusal), refusal.to_string()))
    };
    assert_eq!(names(&[]), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(names(&["b"]), Ok(vec!["b".to_owned()]));
    let (exit, refusal) = names(&["b", "c"]).expect_err("there is no c");
    assert_eq!(exit, Exit::Usage);
    assert_eq!(refusal, "--only: no backend \"c\" in the configuration, which has `a`, `b`");
    let empty = Config::parse("", Path::new("c.toml")).expect("a configuration");
    let refusal = choose(&empty, &[]).expect_err("nothing to send to");
    assert_eq!(Exit::from(&refusal), Exit::Config);
}
