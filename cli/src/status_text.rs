//! The sentences and cells of a status, for the screen of `jackfield status` and the page of `jackfield run --listen`.

use jackfield_loader::{ForeignText, count, span};

use crate::run_state::{BackendNow, Kept, Snapshot, SpoolNow};

/// The headings of a table of backends, the most important first: a narrow terminal leaves out the last ones.
pub(crate) const HEAD: [&str; 11] = [
    "BACKEND",
    "CIRCUIT",
    "WAITING",
    "DELIVERED",
    "REJECTED",
    "EVENTS/S",
    "PLUGIN",
    "P50",
    "P99",
    "ISOLATION",
    "SWAPS",
];
/// The column with the state of the circuit.
pub(crate) const CIRCUIT: usize = 1;

/// The cells of a backend, in the order of [`HEAD`].
pub(crate) fn cells(backend: &BackendNow) -> [ForeignText; HEAD.len()] {
    let plugin = match &backend.plugin {
        Some(plugin) => format!("{} {}", plugin.name, plugin.version),
        None => "not open".to_owned(),
    };
    let circuit = match backend.paused_s {
        Some(seconds) => format!("open, {seconds} s"),
        None => backend.circuit.to_string(),
    };
    [
        backend.name.clone(),
        circuit.into(),
        backend.waiting.to_string().into(),
        backend.delivered.to_string().into(),
        backend.rejected.to_string().into(),
        format!("{:.0}", backend.events_per_s).into(),
        plugin.into(),
        format!("{:.2} ms", backend.p50_ms).into(),
        format!("{:.2} ms", backend.p99_ms).into(),
        backend.isolation.clone(),
        backend.swaps.to_string().into(),
    ]
}

/// What runs, and since when.
pub(crate) fn running(now: &Snapshot) -> String {
    let running = span(seconds(now.at_ms - now.started_ms));
    format!("jackfield {} {}, process {}, for {running}", now.version, now.state, now.pid)
}

/// What was read.
pub(crate) fn input(now: &Snapshot) -> String {
    let (events, bad_lines) = (count(now.events, "event"), count(now.bad_lines, "bad line"));
    format!("input {}: {}, {events}, {bad_lines}", now.input, count(now.lines, "line"))
}

/// Why the input is not read, and since when.
pub(crate) fn holding(now: &Snapshot) -> Option<String> {
    let holding = now.holding.as_ref()?;
    let since = span(seconds(now.at_ms - holding.since_ms));
    Some(format!("the input has not been read for {since}: {}; its writers wait", holding.reason))
}

/// The lines that are lost.
pub(crate) fn not_stored(now: &Snapshot) -> Option<String> {
    let lost = || count(now.not_stored, "line");
    (now.not_stored > 0).then(|| format!("{} could not be stored and will never be delivered", lost()))
}

/// What the run uses: its configuration, its libraries, and what it keeps.
pub(crate) fn uses(now: &Snapshot) -> [String; 2] {
    let Kept { library_bytes, host_handles, host_handle_bytes, log_targets, stuck_calls } = &now.kept;
    let (config, images) = (&now.config, now.mapped_images);
    [
        format!("configuration {config}; {images} of at most {} libraries loaded", now.image_limit),
        format!(
            "kept until the run ends: {} of libraries, {} ({}), {}, {}",
            count(*library_bytes, "byte"),
            count(*host_handles, "host handle"),
            count(*host_handle_bytes, "byte"),
            count(*log_targets, "log target"),
            count(*stuck_calls, "stuck call"),
        ),
    ]
}

/// The last reload.
pub(crate) fn last_reload(now: &Snapshot) -> Option<String> {
    now.last_reload.as_ref().map(|reload| format!("last reload: {reload}"))
}

/// What waits in a spool.
pub(crate) fn waiting(spool: &SpoolNow) -> String {
    format!("{}: {}, {}", spool.tool, count(spool.waiting, "waiting event"), count(spool.bytes, "byte"))
}

/// What a spool has lost, what it keeps, and what is wrong with it.
pub(crate) fn of_spool(spool: &SpoolNow) -> Vec<String> {
    let lost = |(reason, lost): (&ForeignText, &u64)| format!("{} lost: {reason}", count(*lost, "event"));
    let mut lines: Vec<_> = spool.dropped.iter().map(lost).collect();
    if spool.dead_letters > 0 {
        lines.push(count(spool.dead_letters, "dead letter"));
    }
    lines.extend(spool.problems.iter().map(ForeignText::to_string));
    lines
}

/// The last error of a backend, and why it is not what the configuration says.
pub(crate) fn of_backend(backend: &BackendNow) -> Vec<String> {
    let BackendNow { name, last_error, last_error_s, .. } = backend;
    let error = last_error.as_ref().map(|error| {
        let since = span(last_error_s.unwrap_or_default());
        format!("{name}: {since} ago: {error}")
    });
    error.into_iter().chain(not_as_configured(backend)).collect()
}

/// Why a backend is not what the configuration says.
pub(crate) fn not_as_configured(backend: &BackendNow) -> Option<String> {
    let (name, reason) = (&backend.name, backend.not_swapped.as_ref()?);
    Some(match backend.open {
        true => format!("{name}: stays as it was: {reason}"),
        false => format!("{name}: can't be opened yet: {reason}; its events wait"),
    })
}

/// Whole seconds; 0 for a negative time, which a clock that was set back causes.
pub(crate) fn seconds(ms: i64) -> u64 {
    u64::try_from(ms / 1000).unwrap_or_default()
}
