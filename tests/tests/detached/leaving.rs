//! What becomes of the events of a tool that has left, and what the child is like.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use jackfield_test_support::{Test, tests, wait_until};
use jackfield_tests::peers::http::{HttpServer, Reply};
use rustix::process::getpriority_process;

use crate::{
    processes::{Process, children_of, left_behind, wait_for_the_end},
    tool::{Home, SECRET, arrived, run},
};

pub(crate) const TESTS: &[Test] = tests![
    what_a_tool_leaves_arrives_once_and_the_child_goes,
    a_hung_server_does_not_keep_the_tool_and_the_child_is_nice,
    a_slow_server_gets_what_short_lived_tools_have_for_it,
    what_is_handed_over_shows_in_no_list_of_processes,
    a_child_that_is_killed_in_the_middle_loses_nothing,
    a_stopped_child_is_replaced_after_its_lifetime,
    another_configuration_counts_from_the_next_run_on_whatever_the_child_waits_for,
    a_tool_that_lives_on_is_left_with_no_zombie,
];

fn what_a_tool_leaves_arrives_once_and_the_child_goes() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200)));
    home.sends_to(&server);
    run(&mut home.tool(3));
    assert_eq!(wait_for_the_end(), 1);
    assert_eq!(arrived(&[&server]), 3);
    let request = server.received().pop().expect("one");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    let status = home.status();
    assert_eq!((status.events, status.backends[0].delivered, status.delivering), (0, 3, false));
}

fn a_hung_server_does_not_keep_the_tool_and_the_child_is_nice() {
    let (home, server) = (Home::new(), HttpServer::script([], Reply::silence()));
    home.sends_to(&server);
    let started = Instant::now();
    run(&mut home.tool(3));
    // It would be 60 s, the time of a call.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    wait_until("a call", || server.connections() > 0);
    assert!(home.status().delivering);
    let all = left_behind();
    let [child] = &all[..] else { panic!("{all:?}") };
    // The tool has the niceness of this process, and 19 is the largest.
    let niceness = (getpriority_process(None).expect("it is ours") + 10).min(19);
    let (session, niceness) = (child.id.to_string(), niceness.to_string());
    let stat = child.stat();
    assert_eq!([&stat[3], &stat[16]], [&session, &niceness], "{stat:?}");
    child.kill();
    wait_for_the_end();
    assert!(!home.status().delivering);
}

fn a_slow_server_gets_what_short_lived_tools_have_for_it() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200).delay(Duration::from_secs(1))));
    home.sends_to(&server);
    for _ in 0..5 {
        run(&mut home.tool(2));
    }
    wait_for_the_end();
    assert_eq!(arrived(&[&server]), 10);
    assert_eq!(home.status().events, 0);
}

/// A tool has left this number of events to a child, whose call a server does not answer.
fn left_in_a_call(events: usize) -> (Home, HttpServer, Process) {
    let (home, hung) = (Home::new(), HttpServer::script([], Reply::silence()));
    home.sends_to(&hung);
    run(&mut home.tool(events));
    wait_until("a call", || hung.connections() > 0);
    let [child] = <[_; 1]>::try_from(left_behind()).expect("one child");
    (home, hung, child)
}

fn what_is_handed_over_shows_in_no_list_of_processes() {
    let (_home, _hung, child) = left_in_a_call(1);
    let shown = [child.file("cmdline"), child.file("environ")].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("jackfield:deliver") && shown.contains("JACKFIELD_TEST_HOME"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    child.kill();
    wait_for_the_end();
}

fn a_child_that_is_killed_in_the_middle_loses_nothing() {
    let (home, _hung, child) = left_in_a_call(3);
    child.kill();
    wait_for_the_end();
    assert_eq!(home.status().events, 3);
    let server = HttpServer::start(Reply::status(200));
    home.sends_to(&server);
    run(&mut home.tool(1));
    wait_for_the_end();
    assert_eq!(arrived(&[&server]), 4);
}

fn a_stopped_child_is_replaced_after_its_lifetime() {
    let (home, _hung, child) = left_in_a_call(3);
    child.stop();
    let lock = home.path("data/delivering.lock");
    let text = std::fs::read_to_string(&lock).expect("a lock");
    let (head, _) = text.trim_end().rsplit_once(' ').expect("a record");
    assert!(head.ends_with(&format!("{:010}", child.id)), "{text}");
    std::fs::write(&lock, format!("{head} {:020}\n", 0)).expect("writable");
    let server = HttpServer::start(Reply::status(200));
    home.sends_to(&server);
    run(&mut home.tool(1));
    assert_eq!(wait_for_the_end(), 2);
    assert_eq!(arrived(&[&server]), 4);
}

fn another_configuration_counts_from_the_next_run_on_whatever_the_child_waits_for() {
    let busy = Reply::status(503).header("retry-after", "300");
    let (home, old, new) = (Home::new(), HttpServer::start(busy), HttpServer::start(Reply::status(200)));
    home.sends_to(&old);
    run(&mut home.tool(2));
    wait_until("an answer", || home.status().backends[0].last_error.is_some());
    assert!(home.status().delivering);
    home.sends_to(&new);
    run(&mut home.tool(1));
    assert_eq!(wait_for_the_end(), 2);
    assert_eq!((old.served(), arrived(&[&new])), (1, 3));
}

fn a_tool_that_lives_on_is_left_with_no_zombie() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200)));
    home.sends_to(&server);
    let mut tool = home.lingering_tool(1).stdin(Stdio::piped()).spawn().expect("it starts");
    wait_until("the event", || arrived(&[&server]) == 1);
    wait_until("an end without a trace", || children_of(tool.id()).is_empty());
    drop(tool.stdin.take());
    assert!(tool.wait().expect("it ends").success());
    assert!(left_behind().is_empty());
}
