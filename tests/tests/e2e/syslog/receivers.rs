//! Receivers that are not there, that close, or that do not read.

use super::*;

#[test]
fn events_wait_until_there_is_a_receiver() {
    let (_folder, path) = scratch("log");
    let backend = backend(&unix(&path), &json!({}));
    let report = send(&backend, &events(3));
    for index in 0..3 {
        let reason = retry(&report, index);
        assert!(reason.contains(&*path.to_string_lossy()) && reason.contains("No such file"), "{reason}");
    }
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    assert_is_first(&receiver);
    // The file is still there, and nobody listens.
    drop(receiver);
    assert!(retry(&send(&backend, &events(1)), 0).contains("refused"));
    // Started anew, under a connection that the backend has kept from before.
    std::fs::remove_file(&path).expect("there");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    drop(receiver);
    std::fs::remove_file(&path).expect("there");
    let receiver = patient(UnixDatagram::bind(&path).expect("bound"));
    assert_delivered(&send(&backend, &events(1)));
    assert_is_first(&receiver);
}

#[track_caller]
pub(super) fn assert_is_first(receiver: &UnixDatagram) {
    assert_eq!(datagram(|buffer| receiver.recv(buffer)).parameter("id"), vendor::id(0));
}

#[test]
fn a_refused_connection_or_datagram_is_a_retry() {
    for kind in ["tcp", "udp"] {
        // Bound and closed again: nobody listens there.
        let port = jackfield_tests::peers::free_port();
        let report = send(&backend(&format!("{kind}://127.0.0.1:{port}"), &json!({})), &events(2));
        for index in 0..2 {
            assert!(retry(&report, index).contains("refused"), "{kind}: {report:?}");
        }
    }
    let report = send(&backend("tcp://no-such-host.invalid:514", &json!({})), &events(1));
    assert!(retry(&report, 0).contains("the name of the host is not found"), "{report:?}");
}

#[test]
fn a_closed_connection_is_replaced_by_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let backend = backend(&format!("tcp://{}", listener.local_addr().expect("bound")), &json!({}));
    for n in 0..3 {
        assert_delivered(&send(&backend, &[event(n)]));
        let (mut peer, _) = listener.accept().expect("a connection");
        let message = parse(&next_frame(&mut peer).expect("readable").expect("a message"));
        assert_eq!(message.parameter("id"), vendor::id(n));
    }
}

#[test]
fn a_receiver_that_does_not_read_delays_no_answer() {
    // The plugin answers a quarter of a second before it has passed.
    let timeout = Duration::from_secs(5);
    let large = |count: usize| -> Vec<Value> {
        (0..count).map(|n| vendor::with(event(n), &json!({ "error": "x".repeat(60_000) }))).collect()
    };
    let (_folder, path) = scratch("log");
    let _silent = UnixDatagram::bind(&path).expect("bound");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let tcp = format!("tcp://{}", listener.local_addr().expect("bound"));
    for (address, count) in [(unix(&path), 600), (tcp, 400)] {
        let backend = backend(&address, &json!({"max_bytes": 65_000}));
        let batch = vendor::batch(&large(count));
        let report = backend.send_within(&batch, timeout);
        // By the plugin's own answer, not by the guard's, which comes at the deadline.
        assert_eq!(report.failure(), None, "{address}");
        assert_eq!(report.outcome(0), &Outcome::Delivered, "{address}");
        let reason = retry(&report, count - 1);
        assert!(reason.contains(&address) && reason.contains("takes nothing within"), "{reason}");
    }
}

fn background(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("receiver".to_owned()).spawn(run).expect("a thread");
}

#[test]
fn sixteen_threads_send_at_once_and_every_event_arrives_once() {
    const THREADS: usize = 16;
    const EACH: usize = 40;
    let (_folder, path) = scratch("log");
    let local = patient(UnixDatagram::bind(&path).expect("bound"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let tcp = format!("tcp://{}", listener.local_addr().expect("bound"));
    let (sender, received) = mpsc::channel();
    let from_tcp = sender.clone();
    background(move || {
        while let Ok((mut peer, _)) = listener.accept() {
            let from_tcp = from_tcp.clone();
            background(move || {
                while let Ok(Some(frame)) = next_frame(&mut peer) {
                    if from_tcp.send(parse(&frame)).is_err() {
                        break;
                    }
                }
            });
        }
    });
    background(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = local.recv(&mut buffer) {
            if sender.send(parse(&buffer[..len])).is_err() {
                break;
            }
        }
    });
    for address in [unix(&path), tcp] {
        let backend = backend(&address, &json!({}));
        thread::scope(|scope| {
            for at in 0..THREADS {
                let backend = &backend;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let first = (at * EACH + n) * 3;
                        let report = send(backend, &[event(first), event(first + 1), event(first + 2)]);
                        assert_delivered(&report);
                    }
                });
            }
        });
        let mut counts = BTreeMap::new();
        for _ in 0..THREADS * EACH * 3 {
            let message = received.recv_timeout(LONG).expect("all of them");
            *counts.entry(message.parameter("id").to_owned()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), THREADS * EACH * 3, "{address}");
    }
}
