//! Every rule of the tables takes a secret from its first example, and leaves its second one.

use super::*;

/// The table's name, and its rows in columns.
fn tables() -> Vec<(&'static str, Vec<Vec<&'static str>>)> {
    let tables = [
        ("keys", include_str!("../rules/keys.tsv")),
        ("names", include_str!("../rules/names.tsv")),
        ("values", include_str!("../rules/values.tsv")),
        ("marks", include_str!("../rules/marks.tsv")),
        ("hooks", include_str!("../rules/hooks.tsv")),
        ("commands", include_str!("../rules/commands.tsv")),
    ];
    let rows = |table: &'static str| {
        let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        rows.map(|row| row.split('\t').collect()).collect()
    };
    tables.into_iter().map(|(name, table)| (name, rows(table))).collect()
}

/// The example without the sign that keeps scanners of secrets from reporting it.
fn example(table: &str, text: &str) -> String {
    if matches!(table, "keys" | "hooks") { text.replace('|', "") } else { text.to_owned() }
}

#[test]
fn every_rule_takes_its_first_example_and_leaves_its_second() {
    let mut wrong = Vec::new();
    for (table, rows) in tables() {
        for row in rows {
            let [.., takes, leaves] = &row[..] else { panic!("{table}: {row:?} has too few columns") };
            let (takes, leaves) = (example(table, takes), example(table, leaves));
            if !redact(&takes).contains(REDACTED) {
                wrong.push(format!("{table}, {}: {takes:?} stays", row[0]));
            }
            if table == "keys" && redact(&takes) != REDACTED {
                wrong.push(format!("{table}, {}: {takes:?} becomes {:?}", row[0], redact(&takes)));
            }
            if redact(&leaves) != leaves {
                wrong.push(format!("{table}, {}: {leaves:?} becomes {:?}", row[0], redact(&leaves)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_key_is_taken_by_the_rule_of_its_prefix() {
    let keys = tables().remove(0).1;
    for row in keys {
        let found = find_secrets(&example("keys", row[6]));
        let rules: Vec<_> = found.iter().map(|found| found.rule).collect();
        assert!(
            matches!(rules[..], [Rule::Key(prefix)] if row[0].starts_with(prefix)),
            "{}: {rules:?}",
            row[0]
        );
    }
}
