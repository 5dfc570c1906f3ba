//! The plugin `rabbitmq` and what fails beside it: brokers that are killed, shut down, blocked or not there, and queues
//! that are full or deleted.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{Backend, Batch};
use jackfield_plugin_api::Outcome;
use jackfield_test_support::{wait_for, wait_until};
use jackfield_tests::peers::{
    free_port,
    rabbitmq::{broker, own_broker},
};
use serde_json::{Value, json};

use crate::{
    common::MS,
    rabbitmq::{
        LONG, Sample, assert_all_delivered, assert_each_arrived_once, by_id, delivered, events, open,
        retry_reason, unique,
    },
};

/// Sends what is to be sent again until all is delivered.
fn deliver_within(backend: &Backend, batch: &Batch, timeout: Duration) -> usize {
    let end = Instant::now() + timeout;
    let mut left = batch.clone();
    let mut calls = 0;
    loop {
        let report = backend.send_within(&left, Duration::from_secs(5));
        calls += 1;
        assert!(
            !matches!(report.failure(), Some(jackfield_loader::Failure::TimedOut { .. })),
            "the plugin keeps the deadline: {report:?}"
        );
        let again: Vec<usize> =
            (0..left.len()).filter(|&n| *report.outcome(n) != Outcome::Delivered).collect();
        if again.is_empty() {
            return calls;
        }
        assert!(Instant::now() < end, "{} events are left: {:?}", again.len(), report.outcome(again[0]));
        left = left.select(&again);
        thread::sleep(100 * MS);
    }
}

#[test]
fn a_broker_killed_under_load_loses_no_event() {
    const SENDERS: usize = 4;
    const EACH: usize = 5000;
    let broker = own_broker();
    let queue = unique("killed");
    let backend = open(&json!({"url": broker.url(), "queue": queue, "declare": {"queue": "quorum"}}));
    assert_all_delivered(&backend.send(&events("first", 1)));
    // Killed before, the broker comes back with a queue that confirms nothing ever after, whoever publishes to it.
    wait_until("the broker has written down that the queue is there", || broker.has_written_down(&queue));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let backend = &backend;
            scope.spawn(move || {
                deliver_within(backend, &events(&format!("s{sender}"), EACH), Duration::from_secs(240))
            });
        }
        // Some have arrived, and most are still to come.
        let client = broker.client();
        wait_for("a part of the events", || client.depth(&queue), |&depth| depth >= 2000);
        drop(client);
        broker.kill();
        broker.start();
    });
    let messages = broker.client().take(&queue);
    let ids = by_id(&messages);
    for sender in 0..SENDERS {
        for n in 0..EACH {
            let id = Sample::new(&format!("s{sender}"), n).id;
            assert!(ids.contains_key(id.as_str()), "{id} is lost");
        }
    }
    let doubled = messages.len() - ids.len();
    println!("{doubled} of {} arrived twice", SENDERS * EACH);
    assert!(doubled <= 512, "{doubled} events arrived twice");
    assert!(ids.values().all(|&times| times <= 2));
}

#[test]
fn when_a_broker_shuts_down_the_next_one_takes_over() {
    let own = own_broker();
    let queue = unique("failover");
    let config = |urls: Value| json!({"urls": urls, "queue": queue, "declare": {"queue": "classic"}});
    let alone = open(&config(json!([own.url()])));
    let both = open(&config(json!([own.url(), broker().url()])));
    for backend in [&alone, &both] {
        assert_all_delivered(&backend.send(&events("a", 10)));
    }
    assert_eq!(own.client().take(&queue).len(), 20);
    own.stop();
    let reason = retry_reason(&alone.send(&events("b", 10)));
    assert!(reason.contains(&format!("127.0.0.1:{}", own.port())), "{reason}");
    deliver_within(&both, &events("b", 10), LONG);
    assert_each_arrived_once(&broker().client().take(&queue), "b", 10);
    own.start();
    deliver_within(&alone, &events("c", 10), LONG);
}

#[test]
fn a_shutdown_under_way_leaves_every_event_with_an_outcome() {
    let own = own_broker();
    let queue = unique("shutdown");
    let backend = open(&json!({"url": own.url(), "queue": queue, "declare": {"queue": "quorum"}}));
    assert_all_delivered(&backend.send(&events("first", 1)));
    let report = thread::scope(|scope| {
        let sending = scope.spawn(|| backend.send_within(&events("a", 100_000), 4 * LONG));
        let client = own.client();
        wait_for("a part of the events", || client.depth(&queue), |&depth| depth >= 500);
        drop(client);
        own.stop();
        sending.join().expect("answers")
    });
    assert!(report.failure().is_none(), "{:?}", report.failure());
    let arrived = delivered(&report);
    assert!(arrived > 0 && arrived < 100_000, "{arrived}");
    for outcome in report.outcomes() {
        if let Outcome::Retry { reason, .. } = outcome {
            assert!(reason.contains("closed the connection: ") || reason.contains("was lost"), "{reason}");
        }
    }
    own.start();
    let client = own.client();
    // A quorum queue is empty until the broker has elected its leader.
    let confirmed = u32::try_from(arrived).expect("small") + 1;
    wait_for("the queue is back", || client.depth(&queue), |&depth| depth >= confirmed);
    let messages = client.take(&queue);
    let ids = by_id(&messages);
    for (n, outcome) in report.outcomes().enumerate() {
        if *outcome == Outcome::Delivered {
            assert!(ids.contains_key(Sample::new("a", n).id.as_str()), "{n} was delivered and is not there");
        }
    }
}

#[test]
fn a_blocked_connection_is_a_retry_that_says_so() {
    let own = own_broker();
    let queue = unique("blocked");
    let backend = open(&json!({"url": own.url(), "queue": queue, "declare": {"queue": "classic"}}));
    assert_all_delivered(&backend.send(&events("a", 10)));
    own.ctl(&["set_vm_memory_high_watermark", "0.0001"]);
    let started = Instant::now();
    let mut reasons = Vec::new();
    // The broker says that it blocks when the first message arrives.
    for _ in 0..3 {
        reasons.push(retry_reason(&backend.send_within(&events("b", 600), Duration::from_secs(2))));
    }
    assert!(started.elapsed() < Duration::from_secs(6));
    own.ctl(&["set_vm_memory_high_watermark", "absolute", "4GB"]);
    for reason in &reasons {
        assert!(reason.starts_with("blocked by the broker: low on memory"), "{reasons:?}");
    }
    deliver_within(&backend, &events("b", 600), LONG);
    backend.close(LONG).expect("closes");
    let messages = own.client().take(&queue);
    let ids = by_id(&messages);
    assert_eq!(ids.len(), 610);
    // Of each of the three attempts, what it has sent without an answer, at most a window, may come again.
    assert!(messages.len() <= 610 + 3 * 512, "{} arrived twice", messages.len() - 610);
}

#[test]
fn events_that_a_full_queue_refuses_are_retried() {
    let client = broker().client();
    let queue = unique("full");
    client.queue(&queue, &json!({"x-max-length": 40, "x-overflow": "reject-publish"}));
    let backend = open(&json!({"url": broker().url(), "queue": queue}));
    let report = backend.send(&events("a", 400));
    assert!(report.failure().is_none());
    let mut refused = 0;
    for outcome in report.outcomes() {
        if let Outcome::Retry { reason, .. } = outcome {
            assert!(reason.starts_with("refused by the broker (nack)"), "{reason}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    let arrived = client.take(&queue);
    assert_eq!((delivered(&report), refused), (arrived.len(), 400 - arrived.len()));
    for (n, outcome) in report.outcomes().enumerate() {
        let there = by_id(&arrived).contains_key(Sample::new("a", n).id.as_str());
        assert_eq!(there, *outcome == Outcome::Delivered, "{n}");
    }
}

#[test]
fn a_queue_that_is_deleted_under_way_is_declared_again() {
    let client = broker().client();
    let queue = unique("deleted");
    let backend = open(&json!({"url": broker().url(), "queue": queue, "declare": {"queue": "classic"}}));
    assert_all_delivered(&backend.send(&events("a", 10)));
    client.delete(&queue);
    let report = backend.send(&events("b", 1000));
    assert_eq!(retry_reason(&report), format!("unroutable: no queue is named `{queue}`"));
    assert_all_delivered(&backend.send(&events("b", 1000)));
    assert_each_arrived_once(&client.take(&queue), "b", 1000);
}

#[test]
fn a_server_that_is_down_is_an_outcome_in_time() {
    let port = free_port();
    let backend = open(&json!({"url": format!("amqp://u:s3cret@127.0.0.1:{port}"), "queue": "q"}));
    let started = Instant::now();
    let reason = retry_reason(&backend.send_within(&events("a", 10), Duration::from_secs(5)));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(reason, format!("127.0.0.1:{port}: Connection refused"));
    let report = backend.send_within(&events("a", 10), Duration::from_secs(5));
    assert_eq!(retry_reason(&report), reason);
    backend.close(LONG).expect("closes");
}

#[test]
fn the_call_after_a_refused_login_logs_in() {
    let (user, queue) = (unique("mended"), unique("mended"));
    broker().client().queue(&queue, &json!({}));
    broker().ctl(&["add_user", &user, "pw-of-before"]);
    broker().ctl(&["set_permissions", &user, ".*", ".*", ".*"]);
    let url = format!("amqp://{user}:pw-of-mended@127.0.0.1:{}/%2f", broker().port());
    let backend = open(&json!({"url": url, "queue": queue}));
    let report = backend.send(&events("a", 10));
    let Some(Outcome::Retry { after, reason }) = report.uniform() else { panic!("{report:?}") };
    assert_eq!(*after, Some(Outcome::REFUSED_PAUSE), "{reason}");
    broker().ctl(&["change_password", &user, "pw-of-mended"]);
    assert_all_delivered(&backend.send(&events("a", 10)));
}

#[test]
fn calls_that_come_together_share_one_attempt() {
    const CALLS: usize = 4;
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("bound");
    let backend = open(&json!({"url": format!("amqp://guest:guest@{address}"), "queue": "q"}));
    let begin = Barrier::new(CALLS);
    let call = |number: usize| {
        let events = events(&format!("c{number}"), 3);
        begin.wait();
        retry_reason(&backend.send_within(&events, Duration::from_secs(20)))
    };
    let attempts = thread::scope(|scope| {
        // It closes each connection after a while, in which the other calls come.
        let serving = scope.spawn(|| {
            let mut attempts = 0;
            loop {
                let (mut stream, _) = server.accept().expect("a client");
                if stream.read(&mut [0]).expect("readable") == 0 {
                    return attempts;
                }
                attempts += 1;
                thread::sleep(2000 * MS);
            }
        });
        let call = &call;
        let calls: Vec<_> = (0..CALLS).map(|number| scope.spawn(move || call(number))).collect();
        for call in calls {
            call.join().expect("answers");
        }
        drop(TcpStream::connect(address).expect("listens"));
        serving.join().expect("serves")
    });
    assert_eq!(attempts, 1);
}

#[test]
fn a_silent_server_is_an_outcome_within_the_deadline() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("bound");
    let backend = open(&json!({"url": format!("amqp://guest:guest@{address}"), "queue": "q"}));
    let started = Instant::now();
    let reason = retry_reason(&backend.send_within(&events("a", 3), Duration::from_secs(1)));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(reason.starts_with(&format!("{address}: no answer within 0.")), "{reason}");
    backend.close(LONG).expect("closes");
    drop(server);
}

#[test]
fn a_name_that_nobody_knows_is_said_plainly() {
    let backend = open(&json!({"url": "amqp://u:p@no-such-host.invalid", "queue": "q"}));
    let reason = retry_reason(&backend.send_within(&events("a", 3), Duration::from_secs(20)));
    assert!(reason.starts_with("no-such-host.invalid:5672: "), "{reason}");
}

#[test]
fn a_missing_exchange_is_used_once_it_exists() {
    let client = broker().client();
    let (exchange, queue) = (unique("absent"), unique("absent"));
    let backend = open(&json!({"url": broker().url(), "exchange": exchange, "routing_key": "k"}));
    for _ in 0..2 {
        let reason = retry_reason(&backend.send(&events("a", 700)));
        assert!(reason.contains(&format!("no exchange '{exchange}'")), "{reason}");
    }
    client.queue(&queue, &json!({}));
    client.topic(&exchange, &queue, "k");
    deliver_within(&backend, &events("a", 700), LONG);
    assert_each_arrived_once(&client.take(&queue), "a", 700);
}
