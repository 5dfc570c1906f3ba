//! What the answers of a scripted collector mean.

use super::*;

/// An answer with `partial_success` in this encoding.
pub(super) fn partial(protocol: &str, rejected_log_records: i64, message: &str) -> Reply {
    let error_message = message.to_owned();
    if protocol == "http/json" {
        // 64 bits are text in protobuf's JSON.
        let partial =
            json!({"rejectedLogRecords": rejected_log_records.to_string(), "errorMessage": error_message});
        return Reply::status(200)
            .header("Content-Type", "application/json")
            .body(json!({"partialSuccess": partial}).to_string());
    }
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
    Reply::status(200)
        .header("Content-Type", "application/x-protobuf")
        .body(ExportLogsServiceResponse { partial_success }.encode_to_vec())
}

#[test]
fn a_partial_success_is_never_sent_again() {
    logs::collect();
    for protocol in ["http/protobuf", "http/json"] {
        let send = |rejected, message: &str| {
            let server = HttpServer::start(partial(protocol, rejected, message));
            let backend = open_at(&server.url(""), protocol);
            let report = backend.send(&batch(3));
            assert_eq!(server.served(), 1, "one request, whatever it says");
            (report.uniform().expect("the same for all").clone(), server.address().to_string())
        };
        assert_eq!(send(0, "").0, Outcome::Delivered);

        let (outcome, host) = send(0, "slow down, please");
        assert_eq!(outcome, Outcome::Delivered);
        assert_eq!(warnings(&format!("{host}: the server warns: slow down, please")), 1);

        let (outcome, host) = send(3, "too old");
        assert_eq!(outcome, Outcome::rejected("the server rejects it: too old"));
        assert_eq!(warnings(&host), 0, "the outcome says it");

        let said = "the server rejects 2 of 3 events and took 1, and does not say which: too old";
        let (outcome, host) = send(2, "too old");
        assert_eq!(outcome, Outcome::rejected(said));
        assert_eq!(warnings(&format!("{host}: {said}")), 1);
    }
}

#[test]
fn with_one_event_a_request_a_partial_success_says_which() {
    for protocol in ["http/protobuf", "http/json"] {
        let server =
            HttpServer::script([Reply::status(200), partial(protocol, 1, "too old")], Reply::status(200));
        let backend = open(&json!({
            "endpoint": server.url(""), "protocol": protocol, "limits": {"max_events": 1},
        }));
        let report = backend.send(&batch(3));
        let outcomes: Vec<_> = report.outcomes().cloned().collect();
        let rejected = Outcome::rejected("the server rejects it: too old");
        assert_eq!(outcomes, [Outcome::Delivered, rejected, Outcome::Delivered]);
    }
}

#[test]
fn a_success_counts_in_either_encoding() {
    let json = Reply::status(200).body("{}");
    let some = partial("http/json", 0, "").body(r#"{"partialSuccess":{}}"#);
    for reply in [json, some, partial("http/protobuf", 0, ""), Reply::status(204)] {
        for protocol in ["http/protobuf", "http/json"] {
            let server = HttpServer::start(reply.clone());
            let report = open_at(&server.url(""), protocol).send(&batch(3));
            assert_eq!(report.uniform(), Some(&Outcome::Delivered), "{protocol}: {reply:?}");
        }
    }
    // What the server says in the other encoding is heard, too.
    let server = HttpServer::start(partial("http/protobuf", 3, "too old"));
    let report = open_at(&server.url(""), "http/json").send(&batch(3));
    assert_eq!(report.uniform(), Some(&Outcome::rejected("the server rejects it: too old")));
}

#[test]
fn a_large_body_is_halved_down_to_one_event() {
    for protocol in ["http/protobuf", "http/json"] {
        let server = HttpServer::start(Reply::with(|received| {
            let ids = ids(received);
            let large = ids.len() > 2 || ids.contains(&"5".to_owned());
            Reply::status(if large { 413 } else { 200 })
        }));
        let report = open_at(&server.url(""), protocol).send(&batch(8));
        for (at, outcome) in report.outcomes().enumerate() {
            let rejected = matches!(outcome, Outcome::Rejected { reason } if reason.contains("413"));
            assert_eq!(rejected, at == 5, "{at}: {outcome:?}");
        }
    }
}
