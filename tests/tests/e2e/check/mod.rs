//! `jackfield check`.

mod command;
mod defects;
mod plugins;

use std::path::Path;

use serde_json::Value;

use crate::site::{Ended, Site};

/// Runs the kit with few cycles, and `more` arguments.
fn check(site: &Site, file: &Path, more: &[&str]) -> Ended {
    let file = file.to_str().expect("UTF-8");
    site.run(&[&["check", file, "--json", "--cycles", "100"], more].concat())
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// The checks with this verdict.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    let checks = report["checks"].as_array().expect("a list").iter();
    let names = checks.filter(|check| check["verdict"] == verdict).map(|check| check["name"].as_str());
    names.map(|name| name.expect("a string").to_owned()).collect()
}

/// Requires that exactly these checks fail.
#[track_caller]
fn fails(site: &Site, file: &Path, more: &[&str], expected: &[&str]) -> Value {
    let ended = check(site, file, more);
    let report = report(&ended);
    let name = file.file_name().expect("a name");
    assert_eq!(with(&report, "fail"), expected, "{name:?} {more:?}: {report:#}");
    let code = if expected.is_empty() { 0 } else { 4 };
    ended.with_code(code);
    for check in report["checks"].as_array().expect("a list") {
        assert_eq!(check["advice"].is_string(), check["verdict"] == "fail", "{check}");
    }
    report
}

/// Passes with no more than these checks skipped.
#[track_caller]
fn passes(file: &Path, more: &[&str], skipped: &[&str]) {
    let site = Site::new(&[]);
    let report = fails(&site, file, more, &[]);
    assert_eq!(with(&report, "skipped"), skipped, "{report:#}");
}
