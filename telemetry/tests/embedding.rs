//! What a tool may be besides a process with one thread and one telemetry: forked, asynchronous, several in one.

mod common;

use std::{fs, thread, time::Duration};

use common::{KIND, arrived_once, names, to_file, track};
use jackfield::{Deliver, MemoryBackend, Telemetry};
use jackfield_test_support::{LONG, within};

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (role, home, _) = common::role();
    match &*role {
        #[cfg(unix)]
        "fork while it delivers" => forks::while_it_delivers(&home),
        #[cfg(unix)]
        "fork while it reads consent" => forks::while_it_reads_consent(&home),
        other => panic!("no such role: {other}"),
    }
}

#[cfg(unix)]
mod forks {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        path::Path,
        process::Command,
        sync::atomic::{AtomicBool, Ordering},
    };

    use fork::Fork;
    use jackfield_loader::plugin_api::Outcome;

    use super::*;

    /// Runs `then` in a forked child, and gives its number.
    fn forked(then: impl FnOnce()) -> i32 {
        match fork::fork().expect("room for a process") {
            Fork::Parent(child) => child,
            Fork::Child => {
                let done = catch_unwind(AssertUnwindSafe(then));
                std::process::exit(i32::from(done.is_err()));
            }
        }
    }

    /// Waits for a forked child, which a lock that nobody gives back would keep for ever.
    fn wait(child: i32) {
        let ended = within(LONG / 2, || fork::waitpid_nohang(child).expect("a child"), Option::is_some);
        if ended.is_err() {
            _ = Command::new("kill").args(["-9", &child.to_string()]).status();
        }
        assert_eq!(ended, Ok(Some(0)), "the forked child failed or hangs");
    }

    pub(super) fn while_it_delivers(home: &Path) {
        let log = common::Log::at(&home.join("arrived"));
        let slow: common::Send0 = Box::new(move |batch, _| {
            thread::sleep(Duration::from_millis(20));
            log.line(&common::ids(batch));
            Outcome::Delivered.into()
        });
        let deliver = Deliver::InBackground { interval: Duration::from_millis(1), events: 1, within: LONG };
        let telemetry = common::tool(home).deliver(deliver).backend("slow", common::scripted(slow)).build();
        let mut children = Vec::new();
        for round in 0..10 {
            let own = round * 100;
            track(&telemetry, own..own + 10);
            // The thread is inside the backend or about to be, and has its locks.
            thread::sleep(Duration::from_millis(u64::from(round) * 3));
            children.push(forked(|| {
                track(&telemetry, own + 20..own + 30);
                telemetry.close();
            }));
            track(&telemetry, own + 10..own + 20);
        }
        children.into_iter().for_each(wait);
        assert!(telemetry.flush(LONG).emptied);
        telemetry.close();
        let mut arrived: Vec<u32> =
            arrived_once(&home.join("arrived")).iter().map(|name| name.parse().expect("a number")).collect();
        arrived.sort_unstable();
        let expected: Vec<u32> = (0..10).flat_map(|round| round * 100..round * 100 + 30).collect();
        assert_eq!(arrived, expected);
    }

    pub(super) fn while_it_reads_consent(home: &Path) {
        let memory = MemoryBackend::new();
        let telemetry = common::tool(home).deliver(Deliver::ByHand).backend("memory", memory.maker()).build();
        track(&telemetry, [0]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        // A file that was written a moment ago is read each time.
                        common::consent(home);
                        for _ in 0..20 {
                            std::hint::black_box(telemetry.is_enabled());
                        }
                    }
                });
            }
            let all = catch_unwind(AssertUnwindSafe(|| {
                for round in 0..100 {
                    wait(forked(|| {
                        std::hint::black_box(telemetry.is_enabled());
                        track(&telemetry, [round + 1]);
                    }));
                }
            }));
            stop.store(true, Ordering::Relaxed);
            assert!(all.is_ok());
        });
    }

    fn runs(role: &str) {
        let home = tempfile::tempdir().expect("a folder");
        let status = common::child(role, home.path(), 0).status().expect("it starts");
        assert!(status.success(), "{status}");
    }

    #[test]
    fn after_a_fork_both_sides_deliver_each_event_once() {
        runs("fork while it delivers");
    }

    #[test]
    fn a_fork_during_a_read_of_consent_stalls_no_child() {
        runs("fork while it reads consent");
    }
}

#[test]
fn inside_a_current_thread_runtime_nothing_deadlocks() {
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("arrived");
    let (done, is_done) = std::sync::mpsc::channel();
    let folder = home.path().to_owned();
    let runtime = thread::Builder::new().name("runtime".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            for (round, deliver) in [Deliver::at_exit(), Deliver::in_background()].into_iter().enumerate() {
                let first = round as u32 * 100;
                let tool = common::tool(&folder).deliver(deliver);
                let telemetry = tool.backend("a", to_file(&folder.join("arrived"))).build();
                let tracks = telemetry.clone();
                // A task that is being polled is on the only thread there is.
                let task = tokio::spawn(async move {
                    track(&tracks, first..first + 10);
                    tokio::task::yield_now().await;
                    tracks.command("async").finish(0);
                    tracks.flush(LONG)
                });
                track(&telemetry, first + 10..first + 20);
                assert!(task.await.expect("no panic").emptied);
                track(&telemetry, first + 20..first + 30);
                telemetry.close();
                track(&telemetry, [first + 30]);
                drop(telemetry);
            }
        });
        drop(runtime);
        done.send(()).expect("waited for");
    });
    let ended = is_done.recv_timeout(LONG);
    if ended == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
        std::panic::resume_unwind(runtime.expect("a thread").join().expect_err("it ended early"));
    }
    assert_eq!(ended, Ok(()), "a deadlock");
    let arrived = arrived_once(&log);
    assert_eq!(arrived.iter().filter(|name| *name == "async").count(), 2);
    // What came after the close waits for the next run, which the second one is for the first.
    let last = common::tool(home.path()).backend("a", to_file(&log)).build();
    assert!(last.flush(LONG).emptied);
    let mut numbers: Vec<u32> = arrived_once(&log).iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..31).chain(100..131).collect::<Vec<_>>());
}

#[test]
fn two_instances_in_a_process_deliver_each_event_once() {
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("arrived");
    let within = Duration::from_secs(20);
    let background = Deliver::InBackground { interval: Duration::from_millis(2), events: 5, within };
    let instance = |deliver| common::tool(home.path()).deliver(deliver).backend("a", to_file(&log)).build();
    let (service, command) = (instance(background), instance(Deliver::AtExit { within }));
    thread::scope(|scope| {
        for (telemetry, first) in [(&service, 0), (&command, 1000), (&service, 2000), (&command, 3000)] {
            scope.spawn(move || {
                for number in first..first + 200 {
                    track(telemetry, [number]);
                    if number % 50 == 0 {
                        telemetry.flush(Duration::from_millis(20));
                    }
                }
            });
        }
    });
    drop((service, command));
    assert!(instance(Deliver::ByHand).flush(LONG).emptied);
    let mut arrived: Vec<u32> =
        arrived_once(&log).iter().map(|name| name.parse().expect("a number")).collect();
    arrived.sort_unstable();
    let expected: Vec<u32> = [0, 1000, 2000, 3000].into_iter().flat_map(|first| first..first + 200).collect();
    assert_eq!(arrived, expected);
}

#[test]
fn two_tools_in_a_process_have_nothing_in_common() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let memories = [MemoryBackend::new(), MemoryBackend::new()];
    let tool = |at: usize| {
        common::consent(homes[at].path());
        Telemetry::builder(["first", "second"][at], "1")
            .environment(|_: &str| None)
            .consent_file(homes[at].path().join("config.toml"))
            .ops_file(homes[at].path().join("ops.toml"))
            .data_folder(homes[at].path().join("data"))
            .backend("memory", memories[at].maker())
            .build()
    };
    let tools = [tool(0), tool(1)];
    for number in 0..20_u32 {
        tools[number as usize % 2].track(KIND, &number.to_string(), &[]);
    }
    tools[0].disable().expect("writable");
    tools[0].track(KIND, "after", &[]);
    assert!(tools[1].flush(LONG).emptied);
    tools[0].flush(LONG);
    assert!(memories[0].events().is_empty(), "only the first one is disabled");
    let events = memories[1].events();
    let arrived: Vec<_> = events.iter().map(|event| event["name"].clone()).collect();
    assert_eq!(arrived, names((0..20).filter(|number| number % 2 == 1)));
    assert!(events.iter().all(|event| event["tool_name"] == "second"));
    let ids = tools.each_ref().map(|tool| tool.status().machine_id);
    assert_ne!(ids[0], ids[1], "two tools can't be linked");
    assert!(fs::metadata(homes[0].path().join("data")).is_ok());
}
