//! A tool that is killed at any moment.
//!
//! Each child is a tool that runs again and again: it tracks events, and delivers at its end. All of them and the last
//! run write into one log, so that its lines stand in the order of time: `track K NAME` once `track` has returned, `send K
//! ID=NAME ...` by the backend, before it answers, and `done K` once the delivery has returned. The claim of the spool
//! lets one process deliver at a time, and a process sends nothing further before the last send is noted. So a send is
//! *open* when its process, which was killed, has written nothing after it: the kill came before the note, and these
//! events alone may be sent again.

mod common;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use common::{KIND, Killed, Log, Send0};
use jackfield::{Builder, Deliver, DeliveryMode, spool::DropReason};
use jackfield_loader::plugin_api::Outcome;
use jackfield_test_support::{LONG, wait_until};

/// How many children are alive at once.
const AT_ONCE: u32 = 4;

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (role, home, number) = common::role();
    let mode = mode(&role);
    let log = Log::at(&home.join("log"));
    for run in 0.. {
        let telemetry = tool(&home, number, mode).build();
        for event in 0..10 {
            let name = format!("{number}-{run}-{event}");
            telemetry.track(KIND, &name, &[("pad", "some words that take a little room on the disk")]);
            log.line(&format!("track {number} {name}"));
        }
        drop(telemetry);
        log.line(&format!("done {number}"));
    }
}

fn mode(role: &str) -> DeliveryMode {
    match role {
        "at least once" => DeliveryMode::AtLeastOnce,
        "at most once" => DeliveryMode::AtMostOnce,
        other => panic!("no such role: {other}"),
    }
}

/// The tool as all its runs have it. Its last delivery has so much time that a busy machine can't end it: what a deadline
/// cuts off is sent again without a kill.
fn tool(home: &Path, number: u32, mode: DeliveryMode) -> Builder {
    let log = Log::at(&home.join("log"));
    let send: Send0 = Box::new(move |batch, _| {
        log.line(&format!("send {number} {}", common::ids(batch)));
        // So that kills come before the note, too.
        thread::sleep(Duration::from_micros(fastrand::u64(..2_000)));
        Outcome::Delivered.into()
    });
    common::tool_as_is(home)
        .delivery_mode(mode)
        .deliver(Deliver::AtExit { within: LONG })
        .backend("log", common::scripted(send))
}

/// Starts and kills so many children, then delivers what is left.
fn kill(home: &Path, role: &str, kills: u32) {
    common::consent(home);
    let next = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= kills {
                        break;
                    }
                    let child =
                        Killed(common::child(role, home, number).spawn().expect("this binary starts"));
                    let begun = home.join("data");
                    wait_until("a child makes its folder", || begun.exists());
                    // From before the first event to the end of several runs.
                    thread::sleep(Duration::from_micros(fastrand::u64(..80_000)));
                    drop(child);
                }
            });
        }
    });
    let last = tool(home, kills, mode(role)).build();
    let flushed = last.flush(LONG);
    assert!(flushed.emptied, "{flushed:?}");
    last.close();
    let stats = common::spool(home).stats();
    assert_eq!((stats.events, stats.segments), (0, 0), "{stats:?}");
    // The line that a kill tore was of a `track` that had not returned.
    let damaged = common::dropped(&stats, DropReason::Damaged);
    assert!(damaged <= u64::from(kills) && stats.drops.len() <= 1, "{stats:?}");
}

/// What the log says.
#[derive(Default)]
struct Seen {
    /// Names of events whose `track` had returned.
    tracked: HashSet<String>,
    /// Of each event that was sent, its name and its sends, by their places in the log.
    sent: HashMap<String, (String, Vec<usize>)>,
    /// Sends that were open when their process was killed.
    open: HashSet<usize>,
}

fn seen(home: &Path) -> Seen {
    let mut seen = Seen::default();
    let mut last_send: HashMap<String, usize> = HashMap::new();
    for (place, (line, whole)) in Log::lines(&home.join("log")).into_iter().enumerate() {
        let mut words: Vec<&str> = line.split(' ').collect();
        if !whole {
            // What a kill tore: the last word may lack its end.
            words.pop();
        }
        let [what, number, rest @ ..] = &words[..] else { continue };
        last_send.remove(*number).inspect(|send| assert!(seen.open.remove(send)));
        match *what {
            "track" => seen.tracked.extend(rest.first().map(|name| (*name).to_owned())),
            "send" => {
                for event in rest {
                    let (id, name) = event.split_once('=').expect("id=name");
                    let sent =
                        seen.sent.entry(id.to_owned()).or_insert_with(|| (name.to_owned(), Vec::new()));
                    assert_eq!(sent.0, name, "one id of two events");
                    sent.1.push(place);
                }
                seen.open.insert(place);
                last_send.insert((*number).to_owned(), place);
            }
            _ => {}
        }
    }
    seen
}

impl Seen {
    /// Names that were sent, each under one id.
    fn names(&self) -> HashSet<&str> {
        let names: HashSet<&str> = self.sent.values().map(|(name, _)| &**name).collect();
        assert_eq!(names.len(), self.sent.len(), "an event under two ids");
        names
    }
}

#[test]
fn no_kill_of_500_loses_or_doubles_an_event() {
    let home = tempfile::tempdir().expect("a folder");
    kill(home.path(), "at least once", 500);
    let seen = seen(home.path());
    let names = seen.names();
    let lost: Vec<_> = seen.tracked.iter().filter(|name| !names.contains(&***name)).collect();
    assert!(lost.is_empty(), "{} of {} events are lost: {lost:?}", lost.len(), seen.tracked.len());
    let mut again = 0;
    for (id, (name, sends)) in &seen.sent {
        let (_, earlier) = sends.split_last().expect("sent");
        again += earlier.len();
        for send in earlier {
            assert!(seen.open.contains(send), "{id} ({name}) was sent again though its process lived on");
        }
    }
    println!(
        "{} events tracked, {} sent, {} sends open at a kill, {again} events sent again",
        seen.tracked.len(),
        seen.sent.len(),
        seen.open.len()
    );
    assert!(seen.tracked.len() > 2_000, "the kills came before the events");
}

#[test]
fn at_most_once_never_sends_an_event_twice_whatever_is_killed() {
    let home = tempfile::tempdir().expect("a folder");
    kill(home.path(), "at most once", 150);
    let seen = seen(home.path());
    let names = seen.names();
    assert!(seen.sent.values().all(|(_, sends)| sends.len() == 1), "an event was sent twice");
    let lost = seen.tracked.iter().filter(|name| !names.contains(&***name)).count();
    println!("{} events tracked, {lost} lost", seen.tracked.len());
    // A kill between the note and the send costs what one batch held, and no kill costs more.
    assert!(seen.sent.len() > 500, "{lost} of {} events are lost", seen.tracked.len());
}
