//! What it costs to have a plugin in a process of its own.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use jackfield_loader::{
    Backend, BackendOptions, Candidate, Isolation, Job, ProcessOptions, Program, Trust, find,
    reexec::{Inherited, Spawn},
};
use jackfield_tests::Build;

use crate::{
    calls,
    loading::ready,
    rows::{Rows, goal, median, show, time},
};

/// Rounds, each of which measures everything once, so that a slow spell of the machine hits all alike.
const ROUNDS: usize = 100;
/// Calls of one kind in a round.
const CALLS: usize = 100;
/// How often a backend is opened.
const OPENED: usize = 21;

/// The least that another process can be asked with: a socket, and a process that reads what it is sent and answers.
pub(crate) const PIPE: Job = Job { name: "pipe", run: pipe };

fn pipe(inherited: Inherited) -> i32 {
    let Some(socket) = inherited.files.into_iter().next() else { return 1 };
    let mut socket = File::from(socket);
    let mut length = [0; 8];
    while socket.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; usize::from_le_bytes(length)];
        if socket.read_exact(&mut bytes).and_then(|()| socket.write_all(&[1])).is_err() {
            break;
        }
    }
    0
}

fn isolated(name: &str, config: &str, folder: &std::path::Path) -> Backend {
    let isolation = Isolation::Process(ProcessOptions::new());
    let path = find(name, &[folder.to_owned()], folder).expect("found");
    let verified = Candidate::open(&path)
        .and_then(|candidate| candidate.verify_for(&isolation, Trust::Owner))
        .unwrap_or_else(|error| panic!("{error}"));
    Backend::open_verified(&verified, &BackendOptions::new(name).config(config).isolation(isolation))
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn measure(rows: &mut Rows) {
    let library = Build::package("fixture-minimal").release().library();
    let folder = library.parent().expect("a folder");
    let name = "minimal";
    let in_thread = ready(folder, name, "{}");
    let in_process = isolated(name, "{}", folder);
    let batch = calls::batch();

    let (ours, theirs) = UnixStream::pair().expect("a socket");
    let child =
        Spawn::new(Program::Own, PIPE.name).files(vec![OwnedFd::from(theirs)]).start().expect("starts");
    let bytes: usize = batch.view().iter().map(|event| event.json().len() + 350).sum();
    let message = [&bytes.to_le_bytes()[..], &vec![b'x'; bytes]].concat();
    let ask = || {
        (&ours).write_all(&message).expect("it reads");
        (&ours).read_exact(&mut [0]).expect("it answers");
    };

    let (mut threads, mut processes, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (backend, took) in [(&in_thread, &mut threads), (&in_process, &mut processes)] {
            took.extend((0..CALLS).map(|_| {
                let (took, report) = time(|| backend.send(&batch));
                assert!(report.failure().is_none());
                took
            }));
        }
        sockets.extend((0..CALLS).map(|_| time(ask).0));
    }
    drop(ours);
    let _ = child.wait(Duration::from_secs(5));
    let (thread, process, socket) = (median(threads), median(processes), median(sockets));
    let over = process.saturating_sub(thread);
    let what = "isolated send of 100 events to a plugin that does nothing";
    rows.ratio(what, process, ("the same bytes through a socket to a process and back", socket), Some(2.0));
    rows.ratio(what, process, ("the same in a thread", thread), None);
    rows.figure(
        "of it, over the thread",
        show(over),
        goal("at most 60 µs", over <= Duration::from_micros(60)),
    );

    let (mut threads, mut processes) = (Vec::new(), Vec::new());
    for _ in 0..OPENED {
        let (took, backend) = time(|| isolated(name, "{}", folder));
        processes.push(took);
        drop(backend);
        threads.push(time(|| drop(ready(folder, name, "{}"))).0);
    }
    let baseline = ("the same in a thread, loaded before", median(threads));
    rows.ratio("find to ready, isolated", median(processes), baseline, None);

    let library = Build::plugin("file").release().library();
    let scratch = tempfile::tempdir().expect("a folder");
    let config = format!("{{\"path\": {:?}}}", scratch.path().join("events.jsonl"));
    let backend = isolated("file", &config, library.parent().expect("a folder"));
    assert!(backend.send(&batch).failure().is_none());
    let resident = backend.stats().process.and_then(|process| process.resident).expect("it runs");
    rows.figure(
        "resident memory of an idle isolated plugin `file`",
        format!("{:.2} MiB", resident as f64 / f64::from(1 << 20)),
        goal("under 8 MiB", resident < 8 << 20),
    );
}
