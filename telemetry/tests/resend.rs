//! Dead letters, sent again.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use common::{Send0, arrived_once, names, scripted, to_file, track};
use jackfield::{DeliveryMode, ResendReport, Telemetry};
use jackfield_loader::plugin_api::{Outcome, Outcomes};
use jackfield_test_support::LONG;

/// What the backend `a` does with all it gets.
#[derive(Clone, Default)]
struct Mood(Arc<AtomicU32>);

const REFUSES: u32 = 0;
const TAKES_EVEN: u32 = 1;
const IS_DOWN: u32 = 2;

impl Mood {
    fn set(&self, mood: u32) {
        self.0.store(mood, Ordering::Relaxed);
    }

    /// A tool with `a`, which logs what it takes, and `b`, which takes all.
    fn tool(&self, home: &Path, mode: DeliveryMode) -> Telemetry {
        let (mood, log) = (Arc::clone(&self.0), common::Log::at(&home.join("a")));
        let send: Send0 = Box::new(move |batch, _| {
            let outcome = |name: &str| match mood.load(Ordering::Relaxed) {
                REFUSES => Outcome::rejected("never"),
                TAKES_EVEN if name.parse::<u32>().expect("a number") % 2 == 1 => Outcome::rejected("odd"),
                TAKES_EVEN => Outcome::Delivered,
                _ => Outcome::retry("down"),
            };
            let outcomes: Vec<_> = batch.iter().map(|event| outcome(event.name())).collect();
            for (event, outcome) in batch.iter().zip(&outcomes) {
                if matches!(outcome, Outcome::Delivered) {
                    log.line(&format!("{}={}", event.id(), event.name()));
                }
            }
            Outcomes::Each(outcomes)
        });
        let tool = common::tool(home).delivery_mode(mode).backend("a", scripted(send));
        tool.backend("b", to_file(&home.join("b"))).build()
    }
}

/// Name and reason of each dead letter.
fn dead_letters(home: &Path) -> Vec<(String, String)> {
    let rejected = common::spool(home).rejected().expect("readable");
    let each = rejected.iter().map(|rejected| {
        let event: serde_json::Value = serde_json::from_str(rejected.event.get()).expect("JSON");
        (event["name"].as_str().expect("text").to_owned(), rejected.reason.to_string())
    });
    each.collect()
}

fn with_reason(numbers: impl IntoIterator<Item = u32>, reason: &str) -> Vec<(String, String)> {
    names(numbers).into_iter().map(|name| (name, reason.to_owned())).collect()
}

/// Delivered, rejected, waiting and lost of the only backend that has something.
fn of_a(resent: &ResendReport) -> [u64; 4] {
    let [to] = &*resent.backends else { panic!("{resent:?}") };
    assert_eq!((&*to.backend, resent.of_others), ("a", 0));
    [to.delivered, to.rejected, to.waiting, to.lost]
}

#[test]
fn a_backend_gets_what_it_refused_and_no_other_one_does() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let mood = Mood::default();
    let telemetry = mood.tool(home, DeliveryMode::AtLeastOnce);
    // More than one batch.
    track(&telemetry, 0..1500);
    assert_eq!(telemetry.flush(LONG).rejected, 1500);
    assert_eq!(dead_letters(home), with_reason(0..1500, "never"));

    mood.set(IS_DOWN);
    let resent = telemetry.resend_rejected(LONG).expect("readable");
    assert_eq!(of_a(&resent), [0, 0, 1500, 0]);
    assert_eq!(resent.backends[0].reason, Some("down".into()));
    assert_eq!(dead_letters(home), with_reason(0..1500, "never"), "as it was");

    mood.set(TAKES_EVEN);
    let resent = telemetry.resend_rejected(LONG).expect("readable");
    assert_eq!(of_a(&resent), [750, 750, 0, 0], "an open circuit does not keep the user from it");
    assert!(!resent.is_complete());
    let odd = || (0..1500).filter(|number| number % 2 == 1);
    assert_eq!(dead_letters(home), with_reason(odd(), "odd"));
    assert_eq!(arrived_once(&home.join("a")), names((0..1500).filter(|number| number % 2 == 0)));
    assert_eq!(arrived_once(&home.join("b")), names(0..1500), "nothing twice");
    let status = telemetry.status();
    assert_eq!((status.backends[0].delivered, status.dead_letters, status.events), (750, 750, 0), "{status}");
}

#[test]
fn without_consent_or_backend_dead_letters_stay() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let mood = Mood::default();
    let telemetry = mood.tool(home, DeliveryMode::AtLeastOnce);
    track(&telemetry, 0..3);
    telemetry.flush(LONG);
    let others = common::tool(home).backend("b", to_file(&home.join("b"))).build();
    let resent = others.resend_rejected(LONG).expect("readable");
    assert_eq!((resent.backends.len(), resent.of_others), (0, 3));

    mood.set(TAKES_EVEN);
    fs::write(home.join("config.toml"), "[telemetry]\nenabled = false\n").expect("writable");
    let resent = telemetry.resend_rejected(LONG).expect("readable");
    assert!(!resent.is_complete() && resent.to_string().contains("no consent"), "{resent}");
    assert_eq!(dead_letters(home), with_reason(0..3, "never"));

    common::consent(home);
    let claim = common::spool(home).try_claim(&["a", "b"]).expect("healthy").expect("nobody else");
    let resent = telemetry.resend_rejected(Duration::from_millis(50)).expect("readable");
    assert_eq!(of_a(&resent), [0, 0, 3, 0], "somebody else delivers");
    drop(claim);
    assert_eq!(of_a(&telemetry.resend_rejected(LONG).expect("readable")), [2, 1, 0, 0]);
}

#[test]
fn at_most_once_does_not_keep_what_may_have_arrived() {
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path();
    let mood = Mood::default();
    let telemetry = mood.tool(home, DeliveryMode::AtMostOnce);
    track(&telemetry, 0..4);
    telemetry.flush(LONG);
    mood.set(TAKES_EVEN);
    assert_eq!(of_a(&telemetry.resend_rejected(LONG).expect("readable")), [2, 2, 0, 0]);
    assert_eq!(dead_letters(home), with_reason([1, 3], "odd"));
    mood.set(IS_DOWN);
    assert_eq!(of_a(&telemetry.resend_rejected(LONG).expect("readable")), [0, 0, 0, 2]);
    assert_eq!(dead_letters(home), []);
}
