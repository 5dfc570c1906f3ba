//! Many tools at once.

use std::{
    io::pipe,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use jackfield_test_support::{Test, tests};
use jackfield_tests::peers::http::{HttpServer, Reply};

use crate::{
    processes::{delivering_for, wait_for_the_end},
    tool::{Home, arrived, run},
};

pub(crate) const TESTS: &[Test] = tests![five_hundred_tools_at_once_share_one_child_that_is_gone_in_time,];

const TOOLS: usize = 500;
const LIFETIME: Duration = Duration::from_secs(20);

/// What was seen of children that deliver.
#[derive(Debug, Default)]
struct Seen {
    /// With the turn, at the same moment.
    with_the_turn: usize,
    /// Alive at the same moment: one that has given its turn back takes a while to end.
    alive: usize,
    /// In bytes, of all that are alive at the same moment.
    resident: u64,
}

fn five_hundred_tools_at_once_share_one_child_that_is_gone_in_time() {
    let (home, hung) = (Home::new(), HttpServer::script([], Reply::silence()));
    home.sends_to(&hung);
    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&home, &ended));
        let (gate, key) = pipe().expect("a pipe");
        let start = |_| {
            let mut tool = home.waiting_tool_for(1, LIFETIME);
            tool.stdin(gate.try_clone().expect("a descriptor")).spawn().expect("it starts")
        };
        let tools: Vec<_> = (0..TOOLS).map(start).collect();
        // All of them are there; now they have something to say.
        drop(key);
        let bad = tools.into_iter().filter_map(|mut tool| {
            let status = tool.wait().expect("it ends");
            (!status.success()).then_some(status)
        });
        let bad: Vec<_> = bad.collect();
        assert!(bad.is_empty(), "{} tools failed: {bad:?}", bad.len());
        wait_for_the_end();
        ended.store(true, Ordering::Relaxed);
        watcher.join().expect("no panic")
    });
    println!("seen at the same moment at most: {seen:?}");
    assert_eq!(seen.with_the_turn, 1, "{seen:?}");
    assert!(seen.alive <= 2 && seen.resident < 128 << 20, "{seen:?}");
    assert_eq!(home.status().events, TOOLS as u64);

    let server = HttpServer::start(Reply::status(200));
    home.sends_to(&server);
    run(&mut home.tool(1));
    wait_for_the_end();
    assert_eq!(arrived(&[&server]), TOOLS + 1);
    assert_eq!(home.status().events, 0);
}

/// Looks again and again.
fn watch(home: &Home, ended: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !ended.load(Ordering::Relaxed) {
        let children = delivering_for(&home.path(""));
        let with_the_turn = children.iter().filter(|child| child.has_the_turn()).count();
        seen.with_the_turn = seen.with_the_turn.max(with_the_turn);
        seen.alive = seen.alive.max(children.len());
        seen.resident = seen.resident.max(children.iter().map(|child| child.resident).sum());
        thread::sleep(Duration::from_millis(10));
    }
    seen
}
