//! What the answers of a server mean.

use super::*;

#[test]
fn retry_statuses_are_retries_with_the_servers_words() {
    for subject in SUBJECTS {
        for status in BUSY {
            let server = HttpServer::start(Reply::status(*status).body("{\"why\":\n\t\"busy\u{7}\"}"));
            let (reason, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert!(reason.contains(&format!("answers {status}")), "{reason}");
            assert!(reason.ends_with(r#": {"why": "busy "}"#), "{reason}");
            assert_eq!(after, None);
            assert_eq!(server.served(), 1, "{} {status}: the plugin tries again by itself", subject.plugin);
        }
    }
}

#[test]
fn a_platform_that_refuses_everything_rejects_no_event() {
    for subject in SUBJECTS {
        for status in REFUSING {
            let server = HttpServer::start(Reply::status(*status).body("not for you"));
            let (reason, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert!(reason.contains(&format!("answers {status}")), "{reason}");
            assert!(reason.ends_with(": not for you"), "{reason}");
            assert_eq!(after, Some(Outcome::REFUSED_PAUSE), "{} {status}", subject.plugin);
            assert_eq!(server.served(), 1, "{} {status}: the plugin tries again by itself", subject.plugin);
        }
        for (asked, after) in [("7", Outcome::REFUSED_PAUSE), ("90", Duration::from_secs(90))] {
            let server = HttpServer::start(Reply::status(403).header("Retry-After", asked));
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert_eq!(retry(&report).1, Some(after), "{} {asked}", subject.plugin);
        }
    }
}

#[test]
fn wrong_content_is_halved_until_the_wrong_event_is_alone() {
    for subject in SUBJECTS {
        for status in WRONG_CONTENT {
            let (ids, accepts) = (subject.ids, subject.accepts);
            let server = HttpServer::start(Reply::with(move |received| {
                if ids(received).contains(&id(13)) {
                    Reply::status(*status).body("no such thing")
                } else {
                    accepts()
                }
            }));
            let report = send(subject, &server.url("/"), 50, TIMEOUT);
            for n in 0..50 {
                match report.outcome(n) {
                    Outcome::Delivered => assert_ne!(n, 13),
                    Outcome::Rejected { reason } => {
                        assert_eq!(n, 13);
                        assert!(reason.contains(&format!("answers {status}")), "{reason}");
                        assert!(reason.ends_with(": no such thing"), "{reason}");
                    }
                    other => panic!("{} {status}: event {n}: {other:?}", subject.plugin),
                }
            }
            // Both halves of 50, 25, 13, 7, 4 and 2 events, and the whole.
            assert!(server.served() <= 13, "{} {status}: {}", subject.plugin, server.served());
        }
    }
}

#[test]
fn retry_after_is_read_in_seconds_and_dates() {
    for subject in SUBJECTS {
        for status in BUSY {
            let server = HttpServer::start(Reply::status(*status).header("Retry-After", "7"));
            let (_, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert_eq!(after, Some(7000 * MS), "{} {status}", subject.plugin);
        }
        for status in [429, 503] {
            let date = SystemTime::now() + Duration::from_secs(90);
            let server = HttpServer::start(Reply::status(status).header("Retry-After", &http_date(date)));
            let (_, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            let after = after.expect("a wait");
            assert!(after > 60_000 * MS && after <= 90_000 * MS, "{} {status}: {after:?}", subject.plugin);
        }
    }
}

/// A date as HTTP writes it.
fn http_date(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).expect("a date of these years");
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn a_413_is_halved_until_it_passes() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        let server = HttpServer::start(Reply::with(move |received| {
            if ids(received).len() > 3 { Reply::status(413) } else { accepts() }
        }));
        let report = send(subject, &server.url("/"), 50, TIMEOUT);
        assert_delivered(&report);
        let arrived: Vec<String> =
            server.received().iter().map(subject.ids).filter(|ids| ids.len() <= 3).flatten().collect();
        assert_eq!(arrived, (0..50).map(id).collect::<Vec<_>>(), "{}: each once, in order", subject.plugin);
    }
}

#[test]
fn an_event_that_is_too_large_is_rejected_alone() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        let server = HttpServer::start(Reply::with(move |received| {
            if ids(received).contains(&id(13)) { Reply::status(413) } else { accepts() }
        }));
        let report = send(subject, &server.url("/"), 50, TIMEOUT);
        for n in 0..50 {
            match report.outcome(n) {
                Outcome::Delivered => assert_ne!(n, 13),
                Outcome::Rejected { reason } => {
                    assert_eq!(n, 13);
                    assert!(reason.contains("413"), "{reason}");
                }
                other => panic!("{}: event {n}: {other:?}", subject.plugin),
            }
        }
    }
}

#[test]
fn what_is_known_when_time_runs_out_is_kept() {
    for subject in SUBJECTS {
        let (ids, accepts) = (subject.ids, subject.accepts);
        // The first half of the batch passes, the second one is never answered.
        let server = HttpServer::start(Reply::with(move |received| match ids(received) {
            ids if ids.len() > 5 => Reply::status(413),
            ids if ids.contains(&id(0)) => accepts(),
            _ => Reply::silence(),
        }));
        let report = send(subject, &server.url("/"), 10, SHORT);
        for n in 0..10 {
            let delivered = report.outcome(n) == &Outcome::Delivered;
            assert_eq!(delivered, n < 5, "{}: event {n}: {:?}", subject.plugin, report.outcome(n));
        }
    }
}

#[test]
fn without_time_for_halves_the_host_halves() {
    for subject in SUBJECTS {
        let server = HttpServer::start(Reply::status(400).body("no").delay(SHORT / 3));
        let report = send(subject, &server.url("/"), 10, SHORT);
        let Some(Outcome::TooLarge { reason }) = report.uniform() else { panic!("{report:?}") };
        assert!(reason.contains("answers 400"), "{reason}");
        assert_eq!(server.served(), 1, "{}", subject.plugin);
        // An event that is alone is no question of time.
        let report = send(subject, &server.url("/"), 1, SHORT);
        assert!(matches!(report.uniform(), Some(Outcome::Rejected { .. })), "{report:?}");
    }
}

#[test]
fn a_success_that_is_not_the_platforms_own_is_a_retry() {
    for subject in SUBJECTS {
        // Any server is one of the plugin `http`.
        if subject.plugin == "http" {
            continue;
        }
        for (body, said) in [
            ("<!DOCTYPE html><html>Please log in</html>", "a web page"),
            ("\n <html>Please log in</html>", "a web page"),
            ("[]", "`[]`"),
            ("ok", "`ok`"),
        ] {
            let server = HttpServer::start(Reply::status(200).body(body));
            let (reason, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert!(reason.contains(&format!("answers 200 with {said}, which is no answer of ")), "{reason}");
            assert_eq!(after, Some(Outcome::REFUSED_PAUSE), "{}", subject.plugin);
        }
        let server = HttpServer::start(Reply::status(200).body("<html>").cut());
        assert!(!retry(&send(subject, &server.url("/"), 3, TIMEOUT)).0.is_empty());
    }
}

#[test]
fn a_server_without_gzip_gets_plain_bodies() {
    for subject in SUBJECTS {
        let accepts = subject.accepts;
        let knows_no_gzip = Reply::with(move |received| match received.header("content-encoding") {
            Some(_) => Reply::status(415).body("no gzip"),
            None => accepts(),
        });
        let open = |server: &HttpServer| {
            let mut config = (subject.config)(&server.url("/"), None);
            config["gzip"] = true.into();
            Backend::open(&load(&plugin(subject.plugin)), &options(&config)).expect("opens")
        };
        let server = HttpServer::start(knows_no_gzip);
        let backend = open(&server);
        for _ in 0..2 {
            assert_delivered(&backend.send_within(&events(3), TIMEOUT));
        }
        let encodings: Vec<bool> = server
            .received()
            .iter()
            .map(|received| received.header("content-encoding") == Some("gzip"))
            .collect();
        assert_eq!(encodings, [true, false, false], "{}", subject.plugin);
        // A server that refuses the plain body, too, does not mean the compression.
        let server = HttpServer::start(Reply::status(415).body("no JSON"));
        let backend = open(&server);
        for calls in 1..=2 {
            let (reason, after) = retry(&backend.send_within(&events(3), TIMEOUT));
            assert!(reason.ends_with("answers 415 Unsupported Media Type: no JSON"), "{reason}");
            assert_eq!((after, server.served()), (Some(Outcome::REFUSED_PAUSE), 2 * calls));
        }
    }
}

#[test]
fn a_response_of_a_gibibyte_is_not_read() {
    for subject in SUBJECTS {
        for (reply, delivered) in
            [((subject.accepts)(), subject.by_head), (Reply::status(503).body("busy"), false)]
        {
            let server = HttpServer::start(reply.length(1 << 30));
            let started = Instant::now();
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert!(started.elapsed() < 5000 * MS, "{}: {:?}", subject.plugin, started.elapsed());
            if delivered {
                assert_delivered(&report);
            }
        }
    }
}

#[test]
fn a_redirect_to_another_host_is_refused() {
    for subject in SUBJECTS {
        let other = HttpServer::start((subject.accepts)());
        for status in [301, 302, 307, 308] {
            let server = HttpServer::start(Reply::redirect(status, &other.url("/elsewhere?token=hunter2")));
            let (reason, after) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
            assert_eq!(after, Some(Outcome::REFUSED_PAUSE), "{} {status}", subject.plugin);
            assert!(reason.contains(&other.address().to_string()), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
            assert_eq!((server.served(), other.served()), (1, 0), "{} {status}", subject.plugin);
        }
    }
}

#[test]
fn a_redirect_within_the_host_keeps_method_and_body() {
    for subject in SUBJECTS {
        for status in [301, 302, 307, 308] {
            let server = HttpServer::script([Reply::redirect(status, "/moved")], (subject.accepts)());
            let report = send(subject, &server.url("/"), 3, TIMEOUT);
            assert_delivered(&report);
            let received = server.received();
            assert_eq!((received.len(), received[1].path.as_str()), (2, "/moved"));
            assert_eq!(received[0].method, received[1].method);
            assert_eq!(received[0].body, received[1].body);
        }
        let server = HttpServer::start(Reply::redirect(307, "/again"));
        let (reason, _) = retry(&send(subject, &server.url("/"), 3, TIMEOUT));
        assert!(reason.contains("redirects more than 3 times"), "{reason}");
        assert_eq!(server.served(), 4);
    }
}
