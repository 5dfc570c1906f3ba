//! A secret that was found once is taken wherever it recurs in the same text.

use std::ops::Range;

use memchr::memmem;

use crate::redact::bytes::{REDACTED, is_word, spend};
use crate::redact::key_names::{Name, classify};
use crate::redact::rule::{Found, Rule};
use crate::redact::values;

/// The greatest number of secrets that are searched for, so that the time stays linear.
const MOST: usize = 8;

/// The shortest secret that is searched for: with and without digits or marks.
const SHORTEST: usize = 6;
const SHORTEST_WORD: usize = 8;

/// The longest.
const LONGEST: usize = 512;

/// Adds the places where secrets of `found` recur, in order.
pub(super) fn add(text: &str, found: &mut Vec<Found>) {
    let mut secrets: Vec<&[u8]> = Vec::new();
    for it in found.iter() {
        let secret = &text.as_bytes()[it.range.clone()];
        // The password of a user.
        let password = secret.iter().position(|byte| *byte == b':').map(|at| &secret[at + 1..]);
        let parts = [Some(secret), password.filter(|_| matches!(it.rule, Rule::Url | Rule::Flag))];
        for part in parts.into_iter().flatten() {
            if secrets.len() < MOST && may_recur(part) && !secrets.contains(&part) {
                secrets.push(part);
            }
        }
    }
    let known = found.len();
    for secret in secrets {
        spend(text.len());
        let mut at = 0;
        for start in memmem::find_iter(text.as_bytes(), secret) {
            let range = start..start + secret.len();
            // The known ones are in order.
            while at < known && found[at].range.end <= range.start {
                at += 1;
            }
            let overlaps = at < known && found[at].range.start < range.end;
            if !overlaps && stands_alone(text.as_bytes(), start, secret) && !touches_marker(text, &range) {
                found.push(Found { range, rule: Rule::Again });
            }
        }
    }
    if found.len() > known {
        found.sort_by_key(|it| (it.range.start, it.range.end));
        let mut end = 0;
        found.retain(|it| {
            let kept = it.range.start >= end;
            end = if kept { it.range.end } else { end };
            kept
        });
    }
}

/// Whether a part of the range is a part of a marker.
fn touches_marker(text: &str, range: &Range<usize>) -> bool {
    let from = range.start.saturating_sub(REDACTED.len() - 1);
    let to = text.len().min(range.end + REDACTED.len() - 1);
    memmem::find(&text.as_bytes()[from..to], REDACTED.as_bytes()).is_some()
}

fn may_recur(secret: &[u8]) -> bool {
    let words = secret.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b' ');
    if words && (values::is_plain_word(secret) || classify(secret) != Name::Other) {
        return false;
    }
    (if words { SHORTEST_WORD } else { SHORTEST }..=LONGEST).contains(&secret.len())
}

/// Whether a secret that could be a part of a word is one of its own.
fn stands_alone(text: &[u8], start: usize, secret: &[u8]) -> bool {
    let end = start + secret.len();
    let word = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|byte| is_word(*byte));
    let made_up = secret.len() >= SHORTEST_WORD && secret.iter().any(u8::is_ascii_digit);
    made_up || secret.len() > 16 || !(word(start.checked_sub(1)) || word(Some(end)))
}
