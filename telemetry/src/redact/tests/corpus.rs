//! The rates of redaction: secrets that are missed, and ordinary texts that change, in the texts of `corpus/`.

use std::sync::LazyLock;

use super::*;

/// A text of the corpus, with its secrets.
pub(super) struct Sample {
    pub(super) label: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) secrets: Vec<String>,
    /// The text around the secrets.
    rest: String,
}

/// The sample between other texts.
pub(super) fn within(sample: &Sample, before: &str, behind: &str) -> Sample {
    let Sample { label, kind, text, secrets, rest } = sample;
    Sample {
        label,
        kind,
        text: format!("{before}\n{text}\n{behind}"),
        secrets: secrets.clone(),
        rest: format!("{before}\n{rest}\n{behind}"),
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.extend(chars.next().map(|char| if char == 'n' { '\n' } else { char })),
            char => out.push(char),
        }
    }
    out
}

pub(super) static SECRETS: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let sample = |row: Vec<&'static str>| {
        let [label, kind, text] = row[..] else { panic!("{row:?}") };
        let text = if kind == "prefix" { text.replace('|', "") } else { text.to_owned() };
        let mut parts = text.split(['⟦', '⟧']).map(unescaped);
        let (mut text, mut secrets, mut rest) = (String::new(), Vec::new(), String::new());
        while let Some(around) = parts.next() {
            text += &around;
            rest += &around;
            rest.push('\0');
            if let Some(secret) = parts.next() {
                text += &secret;
                secrets.push(secret);
            }
        }
        assert!(!secrets.is_empty(), "{text:?}");
        Sample { label, kind, text, secrets, rest }
    };
    rows(include_str!("../corpus/secrets.tsv")).map(sample).collect()
});

/// The texts that have no secret, with their labels.
pub(super) fn ordinary() -> Vec<(&'static str, String)> {
    let rows = rows(include_str!("../corpus/ordinary.tsv"));
    rows.map(|row| (row[0], unescaped(row[1]))).collect()
}

/// Whether five characters of a secret in a row are left, that are not in the text around it.
pub(super) fn leaks(sample: &Sample, redacted: &str) -> bool {
    const RUN: usize = 5;
    sample.secrets.iter().any(|secret| {
        let ends: Vec<usize> = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).collect();
        let length = RUN.min(ends.len() - 1);
        let mut runs = ends.windows(length + 1).map(|ends| &secret[ends[0]..ends[length]]);
        runs.any(|run| redacted.contains(run) && !sample.rest.contains(run))
    })
}

#[test]
fn the_rates_are_those_of_the_document() {
    let samples = &*SECRETS;
    let ordinary = ordinary();
    assert!(samples.len() >= 400 && ordinary.len() >= 300, "{} and {}", samples.len(), ordinary.len());
    let mut wrong = Vec::new();
    let mut lines = Vec::new();
    let mut known = (0, 0);
    for kind in ["name", "place", "prefix", "again", "form", "context"] {
        let of_kind = || samples.iter().filter(|sample| sample.kind == kind);
        let mut missed = 0;
        for sample in of_kind() {
            let redacted = redact(&sample.text);
            let label = if leaks(sample, &redacted) { "missed" } else { "taken" };
            missed += usize::from(label == "missed");
            if label != sample.label {
                wrong.push(format!(
                    "{label}, and not {}: {:?} becomes {redacted:?}",
                    sample.label, sample.text
                ));
            }
        }
        if !matches!(kind, "form" | "context") {
            known = (known.0 + missed, known.1 + of_kind().count());
        }
        lines.push(format!("| {kind} | {} | {missed} |", of_kind().count()));
    }
    let mut changed = 0;
    for (expected, text) in &ordinary {
        let redacted = redact(text);
        let label = if redacted == *text { "stays" } else { "changes" };
        changed += usize::from(label == "changes");
        if label != *expected {
            wrong.push(format!("{label}: {text:?} becomes {redacted:?}"));
        }
    }
    lines.push(format!("| ordinary texts | {} | {changed} |", ordinary.len()));
    println!("{}", lines.join("\n"));
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(known.0 * 50 < known.1, "{} of {} secrets are missed", known.0, known.1);
    assert!(changed * 100 < ordinary.len(), "{changed} of {} ordinary texts change", ordinary.len());
    let document = include_str!("../../../../docs/privacy.md");
    for line in lines {
        assert!(document.contains(&line), "docs/privacy.md lacks {line:?}");
    }
}
