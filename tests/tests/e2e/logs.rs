//! `tracing` inside a plugin comes out in the host's `tracing`.

use std::{
    fmt::Write as _,
    sync::{Mutex, Once, PoisonError},
};

use jackfield_loader::plugin_api::Outcome;
use jackfield_tests::{c_fixture, fixture};
use serde_json::json;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::common::{batch, open};

/// An event of the host's `tracing`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) fields: String,
}

static RECORDS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The filter of a host: nothing of `trace` level from plugins.
        *metadata.level() <= Level::DEBUG
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut record = Record {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            message: String::new(),
            fields: String::new(),
        };
        event.record(&mut record);
        RECORDS.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = if field.name() == "message" { &mut self.message } else { &mut self.fields };
        let _ = write!(text, "{value:?}");
    }
}

pub(crate) fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Collector).expect("the first one"));
}

/// The records so far whose message contains `text`.
pub(crate) fn seen(text: &str) -> Vec<Record> {
    let records = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    records.iter().filter(|record| record.message.contains(text)).cloned().collect()
}

#[test]
fn logs_of_a_rust_plugin_keep_level_target_and_fields() {
    collect();
    let backend = open(&fixture("hostile"), &json!({"log": "a word from the plugin"}));
    assert_eq!(backend.send(&batch(3)).uniform(), Some(&Outcome::Delivered));
    let records = seen("a word from the plugin");
    let levels: Vec<_> = records.iter().map(|record| record.level).collect();
    assert_eq!(
        levels,
        [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG],
        "and no trace, as the filter says"
    );
    for record in records {
        assert_eq!(record.target, "hostile");
        assert_eq!(record.message, "a word from the plugin events=3");
        assert_eq!(record.fields, r#""under-test""#, "which backend it was");
    }
}

#[test]
fn a_log_record_of_a_c_plugin_comes_out() {
    collect();
    let backend = open(&c_fixture("GOOD"), &json!({}));
    assert_eq!(backend.send(&batch(77)).uniform(), Some(&Outcome::Delivered));
    let records = seen("events from C: 77");
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].level, records[0].target.as_str()), (Level::INFO, "fixture"));
}
