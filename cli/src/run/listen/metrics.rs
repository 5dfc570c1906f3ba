//! The status in Prometheus' text format.

use std::fmt::Display;

use jackfield::spool::DropReason;
use jackfield_loader::ForeignText;

use super::{board::View, health::ready};
use crate::run_state::{BackendNow, Snapshot, SpoolNow};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name, type, help and value of metrics of one kind of thing.
type Table<T> = [(&'static str, &'static str, &'static str, fn(&T) -> Option<f64>)];

const RUN: &Table<Snapshot> = &[
    ("jackfield_start_time_seconds", "gauge", "Start of the run, in seconds since 1970.", |now| {
        seconds(now.started_ms)
    }),
    ("jackfield_lines_read_total", "counter", "Lines read from the input.", |now| number(now.lines)),
    (
        "jackfield_events_read_total",
        "counter",
        "Events read from the input and stored in the spool.",
        |now| number(now.events),
    ),
    ("jackfield_bad_lines_total", "counter", "Lines that are not events.", |now| number(now.bad_lines)),
    ("jackfield_lines_not_stored_total", "counter", "Lines that could not be stored and are lost.", |now| {
        number(now.not_stored)
    }),
    (
        "jackfield_input_held",
        "gauge",
        "1 while the input is not read because the spool takes no events.",
        |now| flag(now.holding.is_some()),
    ),
    ("jackfield_loaded_libraries", "gauge", "Libraries of plugins that are loaded.", |now| {
        number(now.mapped_images as u64)
    }),
    ("jackfield_loaded_libraries_limit", "gauge", "The most libraries that can be loaded.", |now| {
        number(now.image_limit as u64)
    }),
    (
        "jackfield_stuck_calls",
        "gauge",
        "Calls that are inside a plugin although nobody waits for them.",
        |now| number(now.kept.stuck_calls as u64),
    ),
];

const SPOOL: &Table<SpoolNow> = &[
    ("jackfield_events_waiting", "gauge", "Events that at least one backend has not settled.", |spool| {
        number(spool.waiting)
    }),
    ("jackfield_spool_bytes", "gauge", "Bytes of the events that wait.", |spool| number(spool.bytes)),
    (
        "jackfield_oldest_event_age_seconds",
        "gauge",
        "Age of the oldest event that waits, 0 without one.",
        |spool| number(spool.oldest_s.unwrap_or_default()),
    ),
    ("jackfield_dead_letters", "gauge", "Rejected events that are kept.", |spool| number(spool.dead_letters)),
];

const BACKEND: &Table<BackendNow> = &[
    ("jackfield_events_delivered_total", "counter", "Events that the backend has accepted.", |backend| {
        number(backend.delivered)
    }),
    ("jackfield_events_rejected_total", "counter", "Events that the backend has rejected.", |backend| {
        number(backend.rejected)
    }),
    ("jackfield_backend_events_waiting", "gauge", "Events that wait for the backend.", |backend| {
        number(backend.waiting)
    }),
    ("jackfield_backend_open", "gauge", "1 if the backend is open.", |backend| flag(backend.open)),
    (
        "jackfield_backend_circuit_open",
        "gauge",
        "1 while the backend gets no calls because it has failed.",
        |backend| flag(backend.paused_s.is_some()),
    ),
    (
        "jackfield_backend_pause_seconds",
        "gauge",
        "Time until a backend that has failed is tried again.",
        |backend| number(backend.paused_s.unwrap_or_default()),
    ),
    (
        "jackfield_backend_last_delivery_age_seconds",
        "gauge",
        "Time since the backend has accepted an event, absent before the first one.",
        |backend| backend.last_delivery_s.and_then(number),
    ),
    ("jackfield_backend_swaps_total", "counter", "Reloads that have replaced the backend.", |backend| {
        number(backend.swaps)
    }),
    (
        "jackfield_backend_restarts_total",
        "counter",
        "Processes of an isolated plugin that were started after its first one.",
        |backend| number(backend.restarts),
    ),
];

/// A number as the format has it; whole up to 2^53.
fn number(number: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "every number of the format is a float")]
    Some(number as f64)
}

fn flag(set: bool) -> Option<f64> {
    number(set.into())
}

fn seconds(ms: i64) -> Option<f64> {
    number(u64::try_from(ms).unwrap_or_default()).map(|ms| ms / 1e3)
}

/// All metrics.
pub(super) fn metrics(view: &View) -> String {
    let now = &view.snapshot;
    let mut text = Text::default();
    text.family("jackfield_build_info", "gauge", "1, with the version of the command.");
    text.sample("jackfield_build_info", &[("version", label(now.version.as_raw()))], 1);
    text.family("jackfield_ready", "gauge", "1 while /readyz answers 200.");
    text.sample("jackfield_ready", &[], u8::from(ready(Some(view)).is_ok()));
    text.family("jackfield_status_age_seconds", "gauge", "Age of the status that these metrics are of.");
    text.sample("jackfield_status_age_seconds", &[], view.age.as_secs_f64());
    text.table(RUN, &[(Vec::new(), &**now)]);
    let spools: Vec<_> =
        now.spools.iter().map(|spool| (vec![("tool", label(spool.tool.as_raw()))], spool)).collect();
    text.table(SPOOL, &spools);
    text.family("jackfield_events_dropped_total", "counter", "Events that are lost, by reason.");
    for (labels, spool) in &spools {
        let mut dropped: Vec<_> = DropReason::all().map(|reason| (reason.to_string(), 0)).collect();
        for (reason, number) in &spool.dropped {
            match dropped.iter_mut().find(|(known, _)| reason == known) {
                Some((_, known)) => *known = *number,
                None => dropped.push((reason.as_raw().to_owned(), *number)),
            }
        }
        for (reason, number) in dropped {
            let labels = [&labels[..], &[("reason", label(&reason))]].concat();
            text.sample("jackfield_events_dropped_total", &labels, number);
        }
    }
    let backends: Vec<_> = spools
        .iter()
        .flat_map(|(labels, spool)| {
            spool.backends.iter().map(|backend| {
                ([&labels[..], &[("backend", label(backend.name.as_raw()))]].concat(), backend)
            })
        })
        .collect();
    text.family("jackfield_backend_info", "gauge", "1, with the plugin of the backend.");
    for (labels, backend) in &backends {
        let (plugin, version) = backend.plugin.as_ref().map(|plugin| (&plugin.name, &plugin.version)).unzip();
        let labels = [
            &labels[..],
            &[
                ("plugin", label(plugin.map_or("", ForeignText::as_raw))),
                ("plugin_version", label(version.map_or("", ForeignText::as_raw))),
                ("isolation", label(backend.isolation.as_raw())),
            ],
        ];
        text.sample("jackfield_backend_info", &labels.concat(), 1);
    }
    text.table(BACKEND, &backends);
    let name = "jackfield_backend_call_duration_seconds";
    text.family(name, "histogram", "Durations of the calls of a backend since it was opened.");
    for (labels, backend) in &backends {
        let bucket = |bound: String| [&labels[..], &[("le", bound)]].concat();
        for (bound, calls) in &backend.call_times.at_most {
            text.sample(&format!("{name}_bucket"), &bucket(bound.to_string()), calls);
        }
        text.sample(&format!("{name}_bucket"), &bucket("+Inf".to_owned()), backend.calls);
        text.sample(&format!("{name}_sum"), labels, backend.call_times.sum_s);
        text.sample(&format!("{name}_count"), labels, backend.calls);
    }
    text.0
}

/// The value of a label: printable, and not that of other text. A backslash of the text is doubled, so that it can't be
/// taken for one that escapes a control character.
fn label(text: &str) -> String {
    ForeignText::from(text.replace('\\', "\\\\")).to_string()
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, String)], value: impl Display) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0 += &format!("{name}{labels} {value}\n");
    }

    /// The metrics of a table, each of all things.
    fn table<T>(&mut self, table: &Table<T>, things: &[(Vec<(&str, String)>, &T)]) {
        for (name, kind, help, value) in table {
            self.family(name, kind, help);
            for (labels, thing) in things {
                if let Some(value) = value(thing) {
                    self.sample(name, labels, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_values_of_labels_and_nothing_else() {
        let sample = |tool: &str| {
            let mut text = Text::default();
            text.sample("m", &[("tool", label(tool))], 1);
            text.0
        };
        assert_eq!(sample("\"} 2"), "m{tool=\"\\\"} 2\"} 1\n");
        // Two names that look alike when they are printed.
        assert_eq!(sample("a\nb"), "m{tool=\"a\\\\nb\"} 1\n");
        assert_eq!(sample("a\\nb"), "m{tool=\"a\\\\\\\\nb\"} 1\n");
        assert!(!sample("\u{1b}]0;x\u{7}\u{202e}").contains(['\u{1b}', '\u{7}', '\u{202e}']));
    }
}
