//! `jackfield redact`.

use std::{io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::site::{Site, start};

const TEXT: &str = "deploy --password=swordfish\nhttps://me:pw@h/ from 10.1.2.3, swordfish again\n";
const REDACTED: &str =
    "deploy --password=[redacted]\nhttps://[redacted]@h/ from [redacted], [redacted] again\n";

#[test]
fn redact_shows_the_text_that_is_stored_and_the_rules() {
    let site = Site::new(&[]);
    let file = site.write("error.log", TEXT);
    let ended = start(site.command(&["redact", file.to_str().expect("UTF-8")]).stdin(Stdio::null()))
        .end()
        .with_code(0);
    assert_eq!(ended.stdout, REDACTED);
    for line in
        ["1:19: 9 bytes by the rule name", "2:9: 5 bytes by the rule url", "2:23: 8 bytes by the rule ip"]
    {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("swordfish"), "{}", ended.stderr);
}

#[test]
fn redact_answers_in_json_and_reads_standard_input() {
    let site = Site::new(&[]);
    let mut child = start(site.command(&["redact", "--json", "--keep-personal-data"]).stdin(Stdio::piped()));
    child.stdin().write_all(TEXT.as_bytes()).expect("reads");
    let ended = child.end().with_code(0);
    let answer: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(answer["text"], REDACTED.replace("from [redacted]", "from 10.1.2.3"));
    assert_eq!(answer["found"][0], json!({"line": 1, "column": 19, "bytes": 9, "rule": "name"}));
}

#[test]
fn a_text_that_can_not_be_read_ends_with_7() {
    let site = Site::new(&[]);
    let ended = start(site.command(&["redact", "missing.log"]).stdin(Stdio::null())).end().with_code(7);
    assert!(ended.stderr.contains("missing.log"), "{}", ended.stderr);
}
