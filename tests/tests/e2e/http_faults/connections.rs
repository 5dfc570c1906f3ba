//! Connections that are refused, silent, cut off, or closed.

use super::*;

#[test]
fn events_arrive_in_order_and_close_works_twice() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)());
        let report = send(subject, &server.url("/"), 100, TIMEOUT);
        assert_delivered(&report);
        assert_arrived(subject, &server, 100);
        let agent = server.received()[0].header("user-agent").expect("a user agent").to_owned();
        assert!(agent.starts_with(&format!("jackfield-{}/", subject.plugin)), "{agent}");
    }
}

#[test]
fn close_works_when_nothing_was_sent() {
    for subject in SUBJECTS {
        let backend = open(subject, REFUSED);
        backend.close(TIMEOUT).expect("closes");
        backend.close(TIMEOUT).expect("closes again");
    }
}

#[test]
fn a_refused_connection_is_a_retry() {
    for subject in SUBJECTS {
        let (reason, _) = retry(&send(subject, REFUSED, 3, TIMEOUT));
        assert!(reason.ends_with("connection refused") && reason.contains("127.0.0.1:1"), "{reason}");
    }
}

#[test]
fn a_host_name_that_nobody_knows_is_a_retry() {
    for subject in SUBJECTS {
        // The name can't be one by the rules for names, so that no resolver takes long over it.
        let (reason, _) = retry(&send(subject, "http://garbage.invalid/", 3, TIMEOUT));
        let known = ["can't be resolved", "no answer within"];
        assert!(known.iter().any(|known| reason.contains(known)), "{reason}");
        assert!(reason.contains("garbage.invalid"), "{reason}");
    }
}

#[test]
fn a_silent_server_is_a_retry_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::silence());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, SHORT));
        assert!(reason.contains("no answer within 3.8 s"), "{reason}");
    }
}

#[test]
fn a_slow_answer_is_a_retry_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().drip());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, SHORT));
        assert!(reason.contains("no answer within"), "{reason}");
    }
}

#[test]
fn a_success_with_a_slow_body_ends_in_time() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().length(100_000).drip_body());
        let started = Instant::now();
        let report = send(subject, &server.url("/"), 3, 3 * SHORT);
        if subject.by_head {
            assert_delivered(&report);
            assert!(started.elapsed() < 2 * SHORT, "waited {:?} for what says nothing", started.elapsed());
        }
    }
}

#[test]
fn a_connection_that_closes_without_an_answer_is_a_retry() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::close());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("closed before the answer"), "{reason}");
        assert_eq!(server.served(), 1, "the plugin tries again by itself");
    }
}

#[test]
fn a_connection_that_closes_within_a_body_keeps_the_status() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::status(503).body("x".repeat(1000)).cut());
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("503 Service Unavailable"), "{reason}");
        if subject.by_head {
            let server = HttpServer::start((subject.accepts)().body("x".repeat(1000)).cut());
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert_delivered(&report);
        }
    }
}

#[test]
fn only_certificates_of_the_configured_authority_are_accepted() {
    let pki = Pki::new();
    for subject in SUBJECTS {
        for (kind, with_root, why) in [
            (ServerCertificate::Good, true, None),
            (ServerCertificate::Good, false, Some("unknown issuer; tls.ca_file")),
            (ServerCertificate::OtherAuthority, true, Some("unknown issuer")),
            (ServerCertificate::OtherName, true, Some("only valid for")),
            (ServerCertificate::Expired, true, Some("has expired")),
            (ServerCertificate::Authority, true, Some("the server needs one with CA:FALSE")),
        ] {
            let server = HttpServer::tls(&pki, kind, false, (subject.accepts)());
            let ca_file = with_root.then(|| pki.ca_file());
            let config = (subject.config)(&server.url("/"), ca_file.as_deref());
            let backend = Backend::open(&load(&plugin(subject.plugin)), &options(&config))
                .unwrap_or_else(|error| panic!("{}: {error}", subject.plugin));
            let report = backend.send_within(&events(3), TIMEOUT);
            match why {
                None => {
                    assert_delivered(&report);
                    assert_arrived(subject, &server, 3);
                }
                Some(why) => {
                    let (reason, _) = retry(&report);
                    assert!(reason.contains(why), "{kind:?}: {reason}");
                    assert_eq!(server.served(), 0, "{kind:?}");
                }
            }
        }
    }
}

#[test]
fn a_port_without_tls_or_http_is_a_retry() {
    for subject in SUBJECTS {
        let plain = HttpServer::start((subject.accepts)());
        let (reason, _) = retry(&send(subject, &plain.url("/").replace("http:", "https:"), 3, TIMEOUT));
        assert!(reason.contains("does not speak TLS") || reason.contains("closed before"), "{reason}");
        let pki = Pki::new();
        let tls = HttpServer::tls(&pki, ServerCertificate::Good, false, (subject.accepts)());
        let (reason, _) = retry(&send(subject, &tls.url("/").replace("https:", "http:"), 3, TIMEOUT));
        assert!(reason.contains("not valid HTTP") || reason.contains("closed before"), "{reason}");
        assert!(reason.contains("; a port for TLS needs https://"), "{reason}");
        // Some servers answer in plain HTTP there.
        let words = "Client sent an HTTP request to an HTTPS server.\n";
        let tls = HttpServer::start(Reply::status(400).body(words));
        let (reason, after) = retry(&send(subject, &tls.url("/"), 3, TIMEOUT));
        assert!(reason.ends_with("to an HTTPS server.; a port for TLS needs https://"), "{reason}");
        assert_eq!((after, tls.served()), (Some(Outcome::REFUSED_PAUSE), 1), "no event is at fault");
    }
}

#[test]
fn connections_are_kept_and_a_closed_one_is_replaced() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)());
        let backend = open(subject, &server.url("/"));
        let batch = events(2);
        for _ in 0..20 {
            assert_delivered(&backend.send(&batch));
        }
        assert_eq!(server.connections(), 1, "{}", subject.plugin);
        for round in 2..7 {
            server.close_connections();
            std::thread::sleep(20 * MS);
            let report = backend.send(&batch);
            assert_delivered(&report);
            assert_eq!(server.connections(), round, "{}", subject.plugin);
        }
    }
}

#[test]
fn four_threads_send_at_once_and_every_event_arrives_once() {
    for subject in SUBJECTS {
        let server = HttpServer::start((subject.accepts)().delay(5 * MS));
        let backend = open(subject, &server.url("/"));
        let batch = events(400);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (backend, batch) = (&backend, &batch);
                scope.spawn(move || {
                    for at in (thread * 100..thread * 100 + 100).step_by(10) {
                        let report = backend.send(&batch.select(&(at..at + 10).collect::<Vec<_>>()));
                        assert_delivered(&report);
                    }
                });
            }
        });
        let received: Vec<String> = server.received().iter().flat_map(subject.ids).collect();
        let distinct: BTreeSet<&String> = received.iter().collect();
        assert_eq!((received.len(), distinct.len()), (400, 400), "{}", subject.plugin);
        assert!(server.connections() <= 4, "{}: {}", subject.plugin, server.connections());
    }
}
