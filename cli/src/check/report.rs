//! The report: for people, as JSON, and as JUnit XML.

use std::{fmt::Write as _, path::Path, time::Duration};

use jackfield_loader::{ForeignText, count, show_path};
use serde::Serialize;
use serde_json::{Value, json};

use super::harness::{Finding, Verdict};
use crate::console::{self, Colour};

/// The findings of all checks.
pub(super) struct Report {
    file: String,
    /// Name and version, if the file has metadata.
    plugin: Option<(ForeignText, ForeignText)>,
    /// Whether it was checked for a process of its own.
    own_process: bool,
    rows: Vec<Row>,
}

/// One check.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    #[serde(flatten)]
    finding: Finding,
    seconds: f64,
}

impl Report {
    pub(super) fn new(file: &Path, plugin: Option<(ForeignText, ForeignText)>, own_process: bool) -> Self {
        Self { file: show_path(file).to_string(), plugin, own_process, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, name: &'static str, finding: Finding, took: Duration) {
        self.rows.push(Row { name, finding, seconds: took.as_secs_f64() });
    }

    /// Conceals secrets in the findings.
    pub(super) fn conceal(&mut self, conceal: impl Fn(&str) -> String) {
        for row in &mut self.rows {
            row.finding.found = conceal(&row.finding.found);
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.finding.verdict == verdict).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.count(Verdict::Fail)
    }

    /// Why the plugin has refused the given options, if it has.
    pub(super) fn refusal(&self) -> Option<&str> {
        let refused = |row: &&Row| row.finding.verdict == Verdict::Refused;
        self.rows.iter().find(refused).map(|row| row.finding.found.as_str())
    }

    fn plugin(&self) -> String {
        self.plugin.as_ref().map_or_else(|| self.file.clone(), |(name, version)| format!("{name} {version}"))
    }

    /// A table, and after it one line of advice for each failure.
    pub(super) fn to_text(&self) -> String {
        const VERDICT: usize = 1;
        let mut table = vec![["CHECK", "VERDICT", "TIME", "FOUND"].map(str::to_owned).to_vec()];
        let groups = self.failures();
        for Row { name, finding, seconds } in &self.rows {
            let like = groups.iter().find(|group| group[1..].iter().any(|row| row.name == *name));
            table.push(vec![
                (*name).to_owned(),
                word(finding.verdict).to_owned(),
                if *seconds > 0.0 { format!("{seconds:.2} s") } else { "-".to_owned() },
                like.map_or_else(|| finding.found.clone(), |group| format!("as `{}`", group[0].name)),
            ]);
        }
        let mut out =
            console::table(&table, |row, column, cell| match row.checked_sub(1).map(|at| &self.rows[at]) {
                Some(row) if column == VERDICT => match row.finding.verdict {
                    Verdict::Pass => console::paint(&cell, Colour::Green),
                    Verdict::Fail | Verdict::Refused => console::paint(&cell, Colour::Red),
                    Verdict::Skipped => console::paint(&cell, Colour::Yellow),
                },
                _ => cell,
            });
        let _ = write!(
            out,
            "\n{}: {} passed, {} failed, {} skipped\n",
            console::one_line(self.plugin()),
            self.count(Verdict::Pass),
            self.failed(),
            self.count(Verdict::Skipped)
        );
        for group in groups {
            let more = match group.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more like it)"),
            };
            let line = format!("{}{more}: {}", group[0].name, group[0].finding.advice);
            let _ = writeln!(out, "{}", console::one_line(&line));
        }
        let _ = writeln!(out, "{}", console::one_line(self.conclusion()));
        out
    }

    /// The checks that have failed, those that have found the same in one group.
    fn failures(&self) -> Vec<Vec<&Row>> {
        let mut groups: Vec<Vec<&Row>> = Vec::new();
        for row in self.rows.iter().filter(|row| row.finding.verdict == Verdict::Fail) {
            let same = |group: &&mut Vec<&Row>| {
                (&group[0].finding.found, &group[0].finding.advice)
                    == (&row.finding.found, &row.finding.advice)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        groups
    }

    /// What the checks have shown and what they have not, for people who decide whether the plugin is loaded.
    fn conclusion(&self) -> String {
        let failed = self.failed();
        if failed > 0 {
            return format!("It breaks the contract in {}.", count(failed, "check"));
        }
        if self.refusal().is_some() {
            return "Nothing is shown: the plugin needs other options than those that were given.".to_owned();
        }
        let mut not_shown: Vec<(&str, Vec<&str>)> = Vec::new();
        for Row { name, finding, .. } in &self.rows {
            if finding.verdict == Verdict::Skipped {
                match not_shown.iter_mut().find(|(why, _)| *why == finding.found) {
                    Some((_, names)) => names.push(name),
                    None => not_shown.push((&finding.found, vec![name])),
                }
            }
        }
        let place = if self.own_process { ", for a process of its own" } else { "" };
        let shown = format!("It keeps the contract in {}{place}", count(self.count(Verdict::Pass), "check"));
        if not_shown.is_empty() {
            return shown + ".";
        }
        let not_shown = not_shown.iter().map(|(why, names)| format!("{} ({why})", names.join(", ")));
        format!("{shown}. Not shown: {}.", not_shown.collect::<Vec<_>>().join("; "))
    }

    pub(super) fn to_json(&self) -> Value {
        let (name, version) = self.plugin.clone().unzip();
        json!({
            "file": self.file, "name": name, "version": version,
            "isolation": if self.own_process { "process" } else { "thread" },
            "passed": self.count(Verdict::Pass), "failed": self.failed(), "skipped": self.count(Verdict::Skipped),
            "checks": self.rows,
        })
    }

    /// One suite, a case for each check.
    pub(super) fn to_junit(&self) -> String {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"jackfield check {}\" tests=\"{}\" \
             failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            escape(&self.plugin()),
            self.rows.len(),
            self.failed(),
            self.count(Verdict::Refused),
            self.count(Verdict::Skipped),
            self.rows.iter().map(|row| row.seconds).sum::<f64>()
        );
        for Row { name, finding, seconds } in &self.rows {
            let _ =
                write!(xml, "<testcase classname=\"jackfield.check\" name=\"{name}\" time=\"{seconds:.3}\"");
            let (found, advice) = (escape(&finding.found), escape(&finding.advice));
            let _ = match finding.verdict {
                Verdict::Pass => writeln!(xml, "/>"),
                Verdict::Fail => {
                    writeln!(xml, "><failure message=\"{found}\">{found}\n{advice}</failure></testcase>")
                }
                Verdict::Skipped => writeln!(xml, "><skipped message=\"{found}\"/></testcase>"),
                Verdict::Refused => writeln!(xml, "><error message=\"{found}\"/></testcase>"),
            };
        }
        xml.push_str("</testsuite>\n</testsuites>\n");
        xml
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Skipped => "skipped",
        Verdict::Refused => "refused",
    }
}

/// Escapes text for XML, after what no terminal may get. XML also forbids two characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in ForeignText::from(text).to_string().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{
        super::harness::{CheckResult, fail, skip},
        *,
    };

    fn report() -> Report {
        let mut report = Report::new(Path::new("/x/libp.so"), Some(("p<1>".into(), "1.0.0".into())), false);
        let mut push =
            |name, checked: CheckResult| report.push(name, checked.into(), Duration::from_millis(1500));
        push("load", Ok("loaded".to_owned()));
        push("open", Err(fail("said \"<no>\" & \u{1}\n", "give it options")));
        push("probe", Err(skip("no table")));
        report
    }

    #[test]
    fn the_text_has_verdicts_and_advice_for_failures() {
        let text = report().to_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "load   pass     1.50 s  loaded", "{text}");
        assert_eq!(lines[2], "open   FAIL     1.50 s  said \"<no>\" & \\u{1}\\n", "{text}");
        assert_eq!(
            lines[5..],
            [
                "p<1> 1.0.0: 1 passed, 1 failed, 1 skipped",
                "open: give it options",
                "It breaks the contract in 1 check."
            ],
            "{text}"
        );
    }

    #[test]
    fn failures_that_are_the_same_are_told_once() {
        let mut report = Report::new(Path::new("/x/libp.so"), None, false);
        for name in ["open", "strings", "outcomes"] {
            report.push(name, fail("it panicked", "do not panic").into(), Duration::ZERO);
        }
        report.push("leaks", fail("3 descriptors more", "close them").into(), Duration::ZERO);
        let text = report.to_text();
        assert_eq!(text.matches("it panicked").count(), 1, "{text}");
        assert!(text.contains("\nstrings   FAIL     -     as `open`\n"), "{text}");
        assert!(text.contains("\nopen (and 2 more like it): do not panic\nleaks: close them\n"), "{text}");
        assert!(text.ends_with("It breaks the contract in 4 checks.\n"), "{text}");
    }

    #[test]
    fn the_last_line_says_what_was_not_shown() {
        let mut report = Report::new(Path::new("/x/libp.so"), None, true);
        for (name, checked) in [
            ("load", Ok("loaded".to_owned())),
            ("deadline", Err(skip("no endpoint"))),
            ("probe", Err(skip("no table"))),
            ("cancel", Err(skip("no endpoint"))),
        ] {
            report.push(name, Finding::from(checked), Duration::ZERO);
        }
        assert_eq!(
            report.to_text().lines().next_back(),
            Some(
                "It keeps the contract in 1 check, for a process of its own. Not shown: deadline, cancel (no endpoint); probe (no table)."
            )
        );
    }

    #[test]
    fn the_json_has_each_check_with_what_was_found() {
        let json = report().to_json();
        assert_eq!((&json["failed"], &json["name"]), (&json!(1), &json!("p<1>")));
        let open = json!({"name": "open", "verdict": "fail", "found": "said \"<no>\" & \u{1}\n", "advice": "give it options", "seconds": 1.5});
        assert_eq!(json["checks"][1], open);
        assert_eq!(json["checks"][0].get("advice"), None);
    }

    #[test]
    fn the_xml_escapes_markup_and_invalid_characters() {
        let xml = report().to_junit();
        assert!(xml.contains("name=\"jackfield check p&lt;1&gt; 1.0.0\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"said &quot;&lt;no&gt;&quot; &amp; \\u{1}\\n\">"), "{xml}");
        assert!(xml.contains("<skipped message=\"no table\"/>"), "{xml}");
    }
}
