//! Reads the body of a successful answer, an `ExportLogsServiceResponse`.
//!
//! A filled `partial_success` says how many records were rejected for good and why, but not which ones. The protocol
//! forbids to send any of them again. Therefore:
//!
//! | rejected, of the N records of a request | outcome |
//! | --- | --- |
//! | 0, with or without a message | delivered; the message is a warning in the log |
//! | N or more | all rejected, with the message |
//! | some | all rejected, with a reason that says how many the server took |
//!
//! In the last case each outcome is wrong for some of the records. "Rejected" keeps the events with the reason on the
//! host's side; "delivered" would lose those that the server has refused. Those that it accepted can be recognized by
//! their `event.id`. With the option `limits.max_events` at 1, an answer is about one event and this case does not
//! occur.
//!
//! A body that is empty, a JSON object or an `ExportLogsServiceResponse` is OTLP's, in whichever of the two encodings. Any
//! other body is not, such as the page of a login or of a proxy.

use std::borrow::Cow;

use jackfield_http_client::Answer;
use jackfield_plugin_api::Outcome;
use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    #[serde(deserialize_with = "integer")]
    rejected_log_records: i64,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    error_message: String,
}

/// In Protobuf's JSON 64-bit integers are text, and readers accept numbers, too. Null is the default.
fn integer<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Form<'a> {
        Number(i64),
        Text(#[serde(borrow)] Cow<'a, str>),
    }
    match serde::Deserialize::deserialize(deserializer)? {
        None => Ok(0),
        Some(Form::Number(number)) => Ok(number),
        Some(Form::Text(text)) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn or_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(<Option<String> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// The first byte of a `partial_success` in protobuf, which is the only member of the answer.
const PARTIAL_SUCCESS: u8 = 0x0a;

/// The answer in either encoding, because a server that supports only one of them answers in it. `None` when the body is
/// not OTLP's.
fn read(body: &[u8]) -> Option<Response> {
    if body.is_empty() {
        return Some(Response::default());
    }
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(response) = serde_json::from_slice(body)
    {
        return Some(response);
    }
    Response::decode(body).ok().filter(|_| body[0] == PARTIAL_SUCCESS)
}

/// The outcomes of the records of a request by the body of its answer, and a warning. `None` when the body is not OTLP's.
pub(crate) fn judge(answer: &Answer<'_>) -> Option<(Outcome, Option<String>)> {
    let Answer { request, entries: records, body, complete, .. } = *answer;
    if !complete {
        // The status is one of success, and the beginning of an answer does not contradict it.
        let may_be_ours = body.first().is_none_or(|first| [b'{', PARTIAL_SUCCESS].contains(first));
        return may_be_ours.then_some((Outcome::Delivered, None));
    }
    let Some(PartialSuccess { rejected_log_records, error_message }) = read(body)?.partial_success else {
        return Some((Outcome::Delivered, None));
    };
    let message =
        if error_message.is_empty() { "no reason given".to_owned() } else { request.clean(&error_message) };
    let rejected = usize::try_from(rejected_log_records).unwrap_or(0);
    if rejected == 0 {
        let warning = (!error_message.is_empty()).then(|| format!("the server warns: {message}"));
        return Some((Outcome::Delivered, warning));
    }
    let said = if rejected >= records {
        format!("the server rejects it: {message}")
    } else {
        let taken = records - rejected;
        format!(
            "the server rejects {rejected} of {records} events and took {taken}, and does not say which: {message}"
        )
    };
    let warning = (rejected < records).then(|| said.clone());
    Some((Outcome::rejected(said), warning))
}

#[cfg(test)]
mod tests {
    use jackfield_http_client::{Endpoint, Request};
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceResponse,
    };

    use super::*;

    /// What `judge` makes of the answer to a request of three records.
    fn judge_body(body: &[u8], complete: bool) -> Option<(Outcome, Option<String>)> {
        let request = &Request::post(Endpoint::from_option("endpoint", "http://h/").expect("valid"));
        judge(&Answer { request, entries: 3, status: 200, body, complete })
    }

    fn protobuf(partial: Option<(i64, &str)>) -> Vec<u8> {
        let partial_success = partial.map(|(rejected_log_records, message)| ExportLogsPartialSuccess {
            rejected_log_records,
            error_message: message.to_owned(),
        });
        ExportLogsServiceResponse { partial_success }.encode_to_vec()
    }

    fn rejected(reason: &str) -> Outcome {
        Outcome::rejected(reason.to_owned())
    }

    const SOME: &str = "the server rejects 2 of 3 events and took 1, and does not say which: too old";

    #[test]
    fn protobuf_and_json_say_the_same() {
        for (partial, json, outcome, warning) in [
            (None, "{}", Outcome::Delivered, None),
            (None, r#"{"partialSuccess":null}"#, Outcome::Delivered, None),
            (Some((0, "")), r#"{"partialSuccess":{}}"#, Outcome::Delivered, None),
            (
                Some((0, "slow down")),
                r#"{"partialSuccess":{"errorMessage":"slow down"}}"#,
                Outcome::Delivered,
                Some("the server warns: slow down"),
            ),
            (
                Some((3, "too old")),
                r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#,
                rejected("the server rejects it: too old"),
                None,
            ),
            (
                Some((4, "")),
                r#"{"partialSuccess":{"rejectedLogRecords":4,"errorMessage":null}}"#,
                rejected("the server rejects it: no reason given"),
                None,
            ),
            (
                Some((2, "too old")),
                r#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"too old","new":[1]},"new":{}}"#,
                rejected(SOME),
                Some(SOME),
            ),
            (Some((-1, "")), r#"{"partialSuccess":{"rejectedLogRecords":"-1"}}"#, Outcome::Delivered, None),
        ] {
            let expected = Some((outcome, warning.map(str::to_owned)));
            assert_eq!(judge_body(&protobuf(partial), true), expected, "{json}");
            assert_eq!(judge_body(json.as_bytes(), true), expected, "{json}");
        }
    }

    #[test]
    fn a_body_of_others_is_no_answer() {
        for body in [
            &b"<html>"[..],
            b"\n<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Log in</body></html>",
            b"\xff\xff\xff",
            b"{\"partialSuccess\":",
            b"[]",
            b"ok",
            // As protobuf, a member of another number.
            b"Accepted\n",
        ] {
            assert_eq!(judge_body(body, true), None, "{body:?}");
        }
        assert_eq!(judge_body(b"<ht", false), None);
    }

    #[test]
    fn the_beginning_of_an_answer_is_enough() {
        for body in [&b""[..], b"{\"partialSu", b"\n"] {
            assert_eq!(judge_body(body, false), Some((Outcome::Delivered, None)), "{body:?}");
        }
    }
}
