//! The plots of the last hour, as SVG without text, so that they can be stretched.

use std::time::{Duration, Instant};

use super::{
    history::Sample,
    html::{element, escaped},
};

const HOUR: Duration = Duration::from_secs(3600);
/// The size of a plot in its own units. The browser stretches it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 100.0;

/// A line of a plot: its class, its name, and its value of a sample.
type Line = (&'static str, &'static str, fn(&Sample) -> f64);

const READ: Line = ("read", "read", |sample| sample.read_per_s);
const DELIVERED: Line = ("delivered", "delivered (all backends)", |sample| sample.delivered_per_s);
#[expect(clippy::cast_precision_loss, reason = "a plot")]
const WAITING: Line = ("waiting", "waiting", |sample| sample.waiting as f64);

/// The plots. Without `reads` there is no input whose events could be shown.
pub(super) fn plots(samples: &[Sample], reads: bool) -> String {
    let rates: &[Line] = if reads { &[READ, DELIVERED] } else { &[DELIVERED] };
    figure("Events per second", rates, samples) + &figure("Waiting events", &[WAITING], samples)
}

fn figure(title: &str, lines: &[Line], samples: &[Sample]) -> String {
    let now = samples.last().map_or_else(Instant::now, |last| last.until);
    let most = |(.., value): &Line| samples.iter().map(value).fold(0.0, f64::max);
    let top = round_up(lines.iter().map(most).fold(0.0, f64::max));
    let was_open = samples.iter().any(|sample| sample.was_open);
    let mut said: Vec<_> = lines
        .iter()
        .map(|line @ (_, name, value)| {
            let last = samples.last().map_or(0.0, value);
            format!("{name}: now {}, at most {}", shown(last), shown(most(line)))
        })
        .collect();
    let mut legend: String = lines
        .iter()
        .zip(&said)
        .map(|((class, ..), said)| format!("<li>{}{}</li>\n", key(class), escaped(said)))
        .collect();
    if was_open {
        legend += &format!("<li>{}a circuit was open</li>\n", key("open"));
        said.push("a circuit was open for a part of the time".to_owned());
    }
    let mut drawn = String::new();
    // One rectangle for samples that follow each other: seams would show.
    for open in
        samples.chunk_by(|before, after| before.was_open == after.was_open).filter(|some| some[0].was_open)
    {
        let (from, until) = (x(open[0].from, now), x(open[open.len() - 1].until, now));
        let width = until - from;
        drawn += &format!(
            "<rect class=\"open\" x=\"{from:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{HEIGHT}\"/>\n"
        );
    }
    for (class, _, value) in lines {
        drawn += &format!("<path class=\"{class}\" d=\"{}\"/>\n", steps(samples, now, top, *value));
    }
    let label = escaped(format!("{title} in the last hour; {}", said.join("; ")));
    format!(
        "<figure>\n{}<div class=\"plot\">\n<span class=\"top\">{}</span>\n\
         <svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">\n\
         <path class=\"grid\" d=\"M0 .5H{WIDTH}M0 50H{WIDTH}M0 99.5H{WIDTH}\"/>\n{drawn}</svg>\n\
         <div class=\"axis\"><span>60 min ago</span><span>30 min</span><span>now</span></div>\n</div>\n\
         <ul class=\"legend\">\n{legend}</ul>\n</figure>\n",
        element("figcaption", title),
        shown(top),
    )
}

/// A sample of a line, for the legend.
fn key(class: &str) -> String {
    let drawn = if class == "open" {
        "<rect class=\"open\" width=\"24\" height=\"12\"/>".to_owned()
    } else {
        format!("<path class=\"{class}\" d=\"M0 6H24\"/>")
    };
    format!("<svg class=\"key\" aria-hidden=\"true\" viewBox=\"0 0 24 12\">{drawn}</svg>")
}

fn x(at: Instant, now: Instant) -> f64 {
    let ago = now.saturating_duration_since(at).min(HOUR);
    WIDTH * (1.0 - ago.as_secs_f64() / HOUR.as_secs_f64())
}

/// A horizontal line for each sample, joined where a sample follows the one before.
fn steps(samples: &[Sample], now: Instant, top: f64, value: fn(&Sample) -> f64) -> String {
    let mut path = String::new();
    for sample in samples {
        let y = (HEIGHT - 1.0) * (1.0 - value(sample) / top) + 0.5;
        let start =
            if path.is_empty() { format!("M{:.1} {y:.1}", x(sample.from, now)) } else { format!("V{y:.1}") };
        path += &format!("{start}H{:.1}", x(sample.until, now));
    }
    path
}

/// The next of 1, 2, 5, 10, 20 ...; at least 1.
fn round_up(most: f64) -> f64 {
    let mut top = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if top >= most {
            break;
        }
        top *= factor;
    }
    top
}

/// A number with at most one digit after the point, and that only where it matters.
fn shown(number: f64) -> String {
    if number < 10.0 && number.fract() != 0.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_plot_is_a_round_number() {
        for (most, top) in
            [(0.0, 1.0), (1.0, 1.0), (1.1, 2.0), (3.0, 5.0), (51.0, 100.0), (170_000.0, 200_000.0)]
        {
            assert!((round_up(most) - top).abs() < 1e-6, "{most}");
        }
    }

    #[test]
    fn a_plot_draws_a_step_for_each_sample_and_marks_an_open_circuit() {
        let now = Instant::now();
        let sample = |from: u64, until: u64, read_per_s: f64, was_open| Sample {
            from: now + Duration::from_secs(from),
            until: now + Duration::from_secs(until),
            read_per_s,
            delivered_per_s: 0.0,
            waiting: 3,
            was_open,
        };
        let samples =
            [sample(0, 900, 5.0, true), sample(900, 1800, 5.0, true), sample(1800, 3600, 10.0, false)];
        let drawn = plots(&samples, true);
        assert!(
            drawn.contains(r#"<path class="read" d="M0.0 50.0H180.0V50.0H360.0V0.5H720.0"/>"#),
            "{drawn}"
        );
        assert!(
            drawn.contains(r#"<rect class="open" x="0.0" y="0" width="360.0" height="100"/>"#),
            "{drawn}"
        );
        assert!(
            drawn.contains(
                "read: now 10, at most 10; delivered (all backends): now 0, at most 0; a circuit was open"
            ),
            "{drawn}"
        );
        assert!(!plots(&samples[2..], false).contains("read"), "without an input");
        assert!(!plots(&[], true).contains("NaN"));
    }
}
