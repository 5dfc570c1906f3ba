//! Reads the body of a 200 from PostHog.

use std::time::Duration;

use jackfield_http_client::json_object;
use jackfield_plugin_api::Outcome;
use serde_json::Value;

/// How long to wait when the project is over its limit. It stays so until a user raises the limit or the month ends.
const QUOTA_WAIT: Duration = Duration::from_secs(60 * 60);

/// The outcome of the events by the body of a successful answer; `None` when the body is not PostHog's.
pub(crate) fn outcome(body: &[u8], complete: bool) -> Option<Outcome> {
    if !complete {
        let why = "the answer is cut off, so whether PostHog has taken the events is unknown";
        return Some(Outcome::retry(why));
    }
    if json_object(body)?.get("quota_limited").is_some_and(has_events) {
        return Some(Outcome::Retry {
            after: Some(QUOTA_WAIT),
            reason: "PostHog drops events: the project is over its billing limit (quota_limited)".into(),
        });
    }
    Some(Outcome::Delivered)
}

/// Whether events are limited. PostHog lists the limited resources; only events matter here.
fn has_events(limited: &Value) -> bool {
    match limited {
        Value::Array(list) => list.iter().any(|what| what == "events"),
        Value::Object(map) => map.contains_key("events"),
        Value::Bool(all) => *all,
        Value::String(what) => what == "events",
        Value::Null | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_200_delivers_unless_its_body_says_otherwise() {
        for delivered in [
            r#"{"status":1}"#,
            r#"{"status":"Ok"}"#,
            r#"{"status":"Ok","quota_limited":[]}"#,
            r#"{"status":"Ok","quota_limited":["recordings"]}"#,
            r#"{"quota_limited":false}"#,
            "{}",
            "",
            " \n",
        ] {
            assert_eq!(outcome(delivered.as_bytes(), true), Some(Outcome::Delivered), "{delivered}");
        }
    }

    #[test]
    fn a_project_over_its_limit_is_retried_in_an_hour() {
        for limited in [
            r#"{"status":"Ok","quota_limited":["events"]}"#,
            r#"{"status":1,"quota_limited":["recordings","events"]}"#,
            r#"{"quota_limited":true}"#,
        ] {
            let outcome = outcome(limited.as_bytes(), true);
            let Some(Outcome::Retry { after: Some(after), reason }) = outcome else { panic!("{outcome:?}") };
            assert_eq!(after, Duration::from_secs(3600));
            assert!(reason.contains("billing limit"), "{reason}");
        }
    }

    #[test]
    fn an_incomplete_answer_is_no_delivery() {
        for body in [r#"{"status":1}"#, ""] {
            let outcome = outcome(body.as_bytes(), false);
            assert!(matches!(outcome, Some(Outcome::Retry { after: None, .. })), "{body}: {outcome:?}");
        }
    }

    #[test]
    fn a_body_of_others_is_no_answer() {
        for body in ["<html>log in</html>", "[1]", "ok"] {
            assert_eq!(outcome(body.as_bytes(), true), None, "{body}");
        }
    }
}
