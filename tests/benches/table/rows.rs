//! The table.

use std::time::{Duration, Instant};

/// The median of `samples`, which are of any order.
pub(crate) fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// How long `work` takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

#[derive(Default)]
pub(crate) struct Rows(Vec<[String; 5]>);

impl Rows {
    /// A figure against a baseline, with the highest ratio that is the goal.
    pub(crate) fn ratio(
        &mut self,
        what: &str,
        ours: Duration,
        baseline: (&str, Duration),
        most: Option<f64>,
    ) {
        let ratio = ours.as_secs_f64() / baseline.1.as_secs_f64();
        let goal = most.map_or_else(String::new, |most| goal(&format!("at most {most:.2}"), ratio <= most));
        self.compared(what, show(ours), (baseline.0, &show(baseline.1)), ratio, goal);
    }

    /// A figure against a baseline, both as they are shown.
    pub(crate) fn compared(
        &mut self,
        what: &str,
        ours: String,
        baseline: (&str, &str),
        ratio: f64,
        goal: String,
    ) {
        let baseline = format!("{} ({})", baseline.1, baseline.0);
        self.0.push([what.to_owned(), ours, baseline, format!("{ratio:.2}"), goal]);
    }

    /// A figure of its own.
    pub(crate) fn figure(&mut self, what: &str, figure: String, goal: String) {
        self.0.push([what.to_owned(), figure, String::new(), String::new(), goal]);
    }

    pub(crate) fn print(&self) {
        let head = ["what", "Jackfield", "baseline", "ratio", "goal"].map(str::to_owned);
        let all = || std::iter::once(&head).chain(&self.0);
        let widths: Vec<usize> =
            (0..5).map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
        for (at, row) in all().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            println!("| {} |", cells.join(" | "));
            if at == 0 {
                let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", lines.join(" | "));
            }
        }
    }
}

/// A goal, and whether it is met.
pub(crate) fn goal(goal: &str, is_met: bool) -> String {
    format!("{goal}: {}", if is_met { "met" } else { "missed" })
}

/// A duration with three digits.
pub(crate) fn show(duration: Duration) -> String {
    let nanos = duration.as_secs_f64() * 1e9;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}
