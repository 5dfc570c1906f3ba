//! Redaction of a text, beside what writing the same text as JSON costs.

use std::{hint::black_box, time::Duration};

use jackfield::redact;

use crate::rows::{Rows, median, time};

const CALLS: u32 = 2000;

fn one(call: impl Fn()) -> Duration {
    median((0..21).map(|_| time(|| (0..CALLS).for_each(|_| call())).0 / CALLS).collect())
}

pub(crate) fn measure(rows: &mut Rows) {
    let sentence =
        "error: could not compile `telemetry` (lib) due to 3 previous errors; warning: 2 warnings emitted. ";
    let path = "/home/me/projects/telemetry/src/redact/scanner.rs:120:17 at 6e5c905d2f1b7a8c9e0d1f2a3b4c5d6e7f8a9b0c ";
    let secret = "GET https://me:pw@host/v1?page=2&access_token=abcdef&limit=3 answered 401 ";
    for (what, text) in [
        ("redaction of 300 bytes of sentences without a secret", sentence.repeat(4)),
        ("redaction of 300 bytes of paths without a secret", path.repeat(4)),
        ("redaction of 300 bytes with 4 secrets", secret.repeat(2) + &sentence.repeat(2)),
    ] {
        let text = &text[..300];
        let ours = one(|| drop(black_box(redact(black_box(text)))));
        let json = one(|| drop(black_box(serde_json::to_string(black_box(text)))));
        rows.ratio(what, ours, ("serde_json writes it", json), None);
    }
}
