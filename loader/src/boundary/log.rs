//! Log records of plugins as `tracing` events with the plugin's level and target.
//!
//! The metadata of a `tracing` event must live as long as the process. So one is leaked for each pair of
//! level and target, up to [`MOST_TARGETS`]. Later targets share the name `jackfield::plugin`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use jackfield_plugin_api::abi;
use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Level;
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Kind, LevelFilter, Metadata, dispatcher};

use super::budget::Budget;
use super::process::lock;

const MOST_TARGETS: usize = 1024;

/// Target of records without one, and of those past [`MOST_TARGETS`].
const FALLBACK_TARGET: &str = "jackfield::plugin";

/// Takes level, target and message.
type Send = dyn Fn(u32, &str, &str) + std::marker::Send + Sync;

/// The destination of the records in a child process.
struct Relay {
    send: Box<Send>,
    /// The most detailed level that the host wants.
    level: AtomicU32,
}

static RELAY: OnceLock<Relay> = OnceLock::new();

/// The most detailed level that a subscriber of this process wants; 0 for none.
pub(crate) fn most_detailed() -> u32 {
    let wanted = LevelFilter::current().into_level();
    (abi::LEVEL_ERROR..=abi::LEVEL_TRACE).find(|number| Some(level(*number)) == wanted).unwrap_or(0)
}

/// Makes `send` the destination of all records.
pub(crate) fn relay_to(send: impl Fn(u32, &str, &str) + std::marker::Send + Sync + 'static) {
    let _ = RELAY.set(Relay { send: Box::new(send), level: AtomicU32::new(0) });
}

pub(crate) fn relay_up_to(level: u32) {
    if let Some(relay) = RELAY.get() {
        relay.level.store(level, Ordering::Relaxed);
    }
}

/// The budget of a plugin's log. Each record counts for [`RECORD`] bytes beside its texts.
pub(crate) const fn budget() -> Budget {
    Budget::new("the plugin's log", 256 << 10)
}

const RECORD: usize = 64;

const FIELDS: &[&str] = &["message", "backend"];

struct PluginCallsite(OnceLock<Metadata<'static>>);

impl Callsite for PluginCallsite {
    fn set_interest(&self, _interest: Interest) {
        // Every record asks again, because a filter may change at any time.
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("set before the callsite is seen by anyone")
    }
}

fn leak(level: Level, target: &str) -> &'static Metadata<'static> {
    let site: &'static PluginCallsite = Box::leak(Box::new(PluginCallsite(OnceLock::new())));
    let target: &'static str = Box::leak(target.to_owned().into_boxed_str());
    let metadata = site.0.get_or_init(|| {
        let fields = FieldSet::new(FIELDS, Identifier(site));
        Metadata::new("plugin log", target, level, None, None, None, fields, Kind::EVENT)
    });
    callsite::register(site);
    metadata
}

/// The level of a plugin's number, or the nearest one.
fn level(number: u32) -> Level {
    match number {
        0 | abi::LEVEL_ERROR => Level::ERROR,
        abi::LEVEL_WARN => Level::WARN,
        abi::LEVEL_INFO => Level::INFO,
        abi::LEVEL_DEBUG => Level::DEBUG,
        _ => Level::TRACE,
    }
}

type Known = HashMap<(Level, String), &'static Metadata<'static>>;
static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();

/// How many pairs of level and target of plugins' log records this process keeps, at most 1025.
#[must_use]
pub fn log_targets() -> usize {
    KNOWN.get().map_or(0, |known| lock(known).len())
}

fn metadata(level: Level, target: &str) -> &'static Metadata<'static> {
    let mut known = lock(KNOWN.get_or_init(Mutex::default));
    let target = if target.is_empty() { FALLBACK_TARGET } else { target };
    if let Some(metadata) = known.get(&(level, target.to_owned())) {
        return metadata;
    }
    let target = if known.len() < MOST_TARGETS { target } else { FALLBACK_TARGET };
    known.entry((level, target.to_owned())).or_insert_with(|| leak(level, target))
}

pub(crate) fn enabled(number: u32, target: &str) -> bool {
    if let Some(relay) = RELAY.get() {
        return number.max(abi::LEVEL_ERROR) <= relay.level.load(Ordering::Relaxed);
    }
    let level = level(number);
    level <= LevelFilter::current()
        && dispatcher::get_default(|dispatch| dispatch.enabled(metadata(level, target)))
}

/// Emits a record of a plugin, within the budget of its log. Calls `message` only if a subscriber wants the record.
pub(crate) fn emit_within(
    budget: &Mutex<Budget>,
    number: u32,
    target: &str,
    backend: &str,
    message: impl Fn() -> String,
) {
    if let Some(relay) = RELAY.get() {
        // The host has the budget, since it can't rely on this process.
        if enabled(number, target) {
            (relay.send)(number, target, &message());
        }
        return;
    }
    if lock(budget).turns(Instant::now()) {
        emit_left_out(budget, backend);
    }
    emit(number, target, backend, || {
        let message = message();
        lock(budget).admits(target.len() + message.len() + RECORD).then_some(message)
    });
}

/// Emits what the budget has left out.
pub(crate) fn emit_left_out(budget: &Mutex<Budget>, backend: &str) {
    let left_out = lock(budget).left_out();
    if let Some(line) = left_out {
        emit(abi::LEVEL_WARN, FALLBACK_TARGET, backend, || Some(line.clone()));
    }
}

/// Emits a record. Calls `message` only if a subscriber wants the record.
pub(crate) fn emit(number: u32, target: &str, backend: &str, message: impl Fn() -> Option<String>) {
    let level = level(number);
    if level > LevelFilter::current() {
        return;
    }
    let metadata = metadata(level, target);
    dispatcher::get_default(|dispatch| {
        if !dispatch.enabled(metadata) {
            return;
        }
        let Some(message) = message() else { return };
        let fields = metadata.fields();
        let mut names = fields.iter();
        let (Some(message_field), Some(backend_field)) = (names.next(), names.next()) else { return };
        let values: [(_, Option<&dyn Value>); 2] = [
            (&message_field, Some(&format_args!("{message}") as &dyn Value)),
            (&backend_field, Some(&backend as &dyn Value)),
        ];
        dispatch.event(&Event::new(metadata, &fields.value_set(&values)));
    });
}
