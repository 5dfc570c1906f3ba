//! When no child is started, and what consent that is withdrawn means to one that runs.

use std::time::{Duration, Instant};

use jackfield::Discarded;
use jackfield_test_support::{Test, tests, wait_until};
use jackfield_tests::peers::http::{HttpServer, Reply};

use crate::{
    processes::{left_behind, wait_for_the_end},
    tool::{Home, arrived, run},
};

pub(crate) const TESTS: &[Test] = tests![
    nothing_is_started_when_nothing_can_be_sent,
    with_consent_withdrawn_between_two_attempts_nothing_more_leaves,
    with_consent_withdrawn_during_a_call_nothing_more_leaves,
];

fn nothing_is_started_when_nothing_can_be_sent() {
    let busy = Reply::status(503).header("retry-after", "600");
    let (home, server) = (Home::new(), HttpServer::start(busy));
    home.sends_to(&server);
    run(&mut home.tool(0));
    assert!(left_behind().is_empty(), "no event");

    home.consent(false);
    run(&mut home.tool(1));
    assert!(left_behind().is_empty(), "no consent");
    assert!(!home.path("data").exists());

    home.consent(true);
    run(&mut home.tool_for(1, Duration::from_secs(120)));
    let started = Instant::now();
    assert_eq!(wait_for_the_end(), 1);
    assert!(started.elapsed() < Duration::from_secs(60), "it waits for what it won't live to see");
    let status = home.status();
    assert!(status.events == 1 && status.backends[0].paused_s.is_some(), "{status}");
    run(&mut home.tool(1));
    assert!(left_behind().is_empty(), "the circuit is open");
    assert_eq!((server.served(), home.status().events), (1, 2));
}

fn with_consent_withdrawn_between_two_attempts_nothing_more_leaves() {
    let busy = Reply::status(503).header("retry-after", "60");
    let (home, server) = (Home::new(), HttpServer::script([busy], Reply::status(200)));
    home.sends_to(&server);
    run(&mut home.tool(3));
    wait_until("an answer", || home.status().backends[0].last_error.is_some());
    assert_eq!(left_behind().len(), 1, "it waits for the time to try again");
    let disabled = home.telemetry().disable().expect("writable");
    // The server has had them once. That it did not keep them, its answer does not prove.
    assert_eq!(disabled.pending, Discarded::ExceptUnconfirmed);
    assert_eq!(disabled.unconfirmed.iter().map(|it| it.events).sum::<u64>(), 3, "{disabled:?}");
    let started = Instant::now();
    wait_for_the_end();
    assert!(started.elapsed() < Duration::from_secs(60), "its lifetime is ten minutes");
    assert_eq!((server.served(), home.status().events), (1, 0));
}

fn with_consent_withdrawn_during_a_call_nothing_more_leaves() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200).delay(Duration::from_secs(2))));
    home.sends_to(&server);
    // Three batches.
    run(&mut home.tool(2500));
    wait_until("a call", || server.connections() > 0);
    let disabled = home.telemetry().disable().expect("writable");
    // The call is waited for, and ends without an answer.
    assert_eq!(disabled.pending, Discarded::ExceptUnconfirmed);
    let sent = arrived(&[&server]);
    let unconfirmed: u64 = disabled.unconfirmed.iter().map(|it| it.events).sum();
    assert!(sent as u64 <= unconfirmed && unconfirmed < 2500, "{sent} of {disabled:?}");
    assert!(sent < 2500, "{sent}");
    wait_for_the_end();
    assert_eq!((arrived(&[&server]), server.served()), (sent, 1));
}
