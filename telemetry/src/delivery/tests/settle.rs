use std::time::Duration;

use jackfield_loader::plugin_api::Outcome;

use crate::delivery::attempt::{Answer, Attempt};
use crate::delivery::settle::{Decision, DeliveryMode, Settlement, settle};

fn settled(answers: &[(Option<Outcome>, bool)], mode: DeliveryMode) -> Settlement {
    let answers = answers.iter().cloned();
    let answers = answers.map(|(outcome, handed_over)| Answer { outcome, handed_over }).collect();
    settle(&Attempt { answers, ..Attempt::default() }, mode, &|text| text.replace("secret", "***"))
}

#[test]
fn only_at_most_once_loses_events_without_an_outcome() {
    let down = || Some(Outcome::retry("down"));
    let answers = [(down(), true), (down(), false), (None, true), (None, false)];
    let once = settled(&answers, DeliveryMode::AtMostOnce);
    let retry = || Decision::Retry("down".into());
    assert_eq!(once.decisions, [Decision::Lost, retry(), Decision::Lost, Decision::NotAsked]);
    assert_eq!(once.lost, 2);
    let least_once = settled(&answers, DeliveryMode::AtLeastOnce);
    assert_eq!(least_once.decisions, [retry(), retry(), Decision::NotAsked, Decision::NotAsked]);
    assert_eq!(least_once.lost, 0);
    for settlement in [once, least_once] {
        assert!(settlement.not_asked && !settlement.is_progress());
        assert_eq!(settlement.failure.expect("a retry").reason, "down".into());
    }
}

#[test]
fn an_event_without_a_call_is_no_failure_and_no_progress() {
    let settlement = settled(&[(None, false), (None, true)], DeliveryMode::AtLeastOnce);
    assert!(settlement.not_asked && settlement.failure.is_none() && !settlement.is_progress());
}

#[test]
fn the_longest_wish_counts_and_reasons_lose_their_secrets() {
    let wants = |seconds: u64| Outcome::Retry {
        after: Some(Duration::from_secs(seconds)),
        reason: format!("secret {seconds}").into(),
    };
    let answers = [(Some(wants(3)), true), (Some(wants(1)), true), (Some(Outcome::rejected("secret")), true)];
    let settlement = settled(&answers, DeliveryMode::AtLeastOnce);
    let failure = settlement.failure.expect("retries");
    assert_eq!((failure.retry_after, &*failure.reason), (Some(Duration::from_secs(3)), "*** 1"));
    assert_eq!(settlement.decisions[2], Decision::Rejected("***".into()));
    assert_eq!((settlement.delivered, settlement.rejected), (0, 1));
}

#[test]
fn rejected_events_that_can_not_be_stored_come_again() {
    let answers = [(Some(Outcome::rejected("never")), true), (Some(Outcome::Delivered), true)];
    let mut settlement = settled(&answers, DeliveryMode::AtMostOnce);
    settlement.keep_rejected("full");
    assert_eq!(settlement.decisions, [Decision::Retry("full".into()), Decision::Delivered]);
    assert_eq!((settlement.delivered, settlement.rejected, settlement.lost), (1, 0, 0));
    assert_eq!(settlement.failure.expect("why").reason, "full".into());
}
