//! The checks, in the order in which they run.

mod configuration;
mod deadlines;
mod events;
mod host_versions;
mod leaks;
mod lifecycle;
pub(super) mod metadata;
mod optional_tables;
mod process_hygiene;

use super::harness::{CheckResult, Harness};

/// One check that runs the plugin, in a separate child.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Whether the plugin has to accept the given configuration first.
    pub(crate) needs_open: bool,
    /// Whether it looks at what belongs to the tool's process, which a plugin in a process of its own does not share.
    pub(crate) of_tool: bool,
    pub(crate) run: fn(&Harness) -> CheckResult,
}

const fn check(name: &'static str, run: fn(&Harness) -> CheckResult) -> Check {
    Check { name, needs_open: true, of_tool: false, run }
}

/// If this check fails, no other check that runs code can pass.
pub(crate) const LOAD: &str = "load";

/// The check whether the plugin accepts the given configuration.
pub(crate) const OPEN: &str = "open";

/// The check of the output of all children.
pub(crate) const STDOUT: &str = "stdout";

/// In this check even a backend whose purpose is standard output must not print.
pub(crate) const PREVIEW: &str = "preview";

/// The check of the answers of a probe.
pub(crate) const PROBE: &str = "probe";

/// In this check a write into what belongs to the host is a crash.
pub(crate) const READ_ONLY: &str = "read-only";

/// In this check a read behind the end of a view is a crash.
pub(crate) const VIEW_ENDS: &str = "view-ends";

/// In this check a use of what a call was given is a crash after the call.
pub(crate) const LENT_MEMORY: &str = "lent-memory";

/// The check of what goes on when an instance is gone.
pub(crate) const AFTER_FREE: &str = "after-free";

/// The check of what belongs to the tool's process.
pub(crate) const PROCESS_STATE: &str = "process-state";

/// The check with many lives of a plugin.
pub(crate) const LEAKS: &str = "leaks";

/// The check of what is left of lives that have ended.
pub(crate) const LEFTOVERS: &str = "leftovers";

/// The child of this check ends by a return from `main`, so that the destructors of all libraries run.
pub(crate) const EXIT: &str = "process-exit";

/// The children of these checks have a folder of their own as working folder and for temporary files.
pub(crate) const IN_FOLDER: [&str; 2] = [LEFTOVERS, EXIT];

/// The checks that need platforms that answer, at once or slowly, outside of their process.
pub(crate) const WITH_PLATFORM: [&str; 5] = [AFTER_FREE, PROCESS_STATE, LEFTOVERS, LEAKS, PROBE];

pub(crate) const CHECKS: [Check; 35] = [
    Check { needs_open: false, ..check(LOAD, metadata::load) },
    Check { needs_open: false, ..check(OPEN, configuration::open) },
    check("unknown-keys", configuration::unknown_keys),
    check("wrong-types", configuration::wrong_types),
    check("schema-keys", configuration::schema_keys),
    check("required-keys", configuration::required_keys),
    check("batch-sizes", events::sizes),
    check("strings", events::strings),
    check("event-shapes", events::shapes),
    check("outcomes", events::outcomes),
    check("delivery", events::delivery),
    check("concurrency", events::concurrency),
    check("unreachable", deadlines::unreachable),
    check("deadline", deadlines::deadline),
    check("cancel", deadlines::cancel),
    check("close-twice", lifecycle::twice),
    check("send-after-close", lifecycle::send_after),
    check("close-in-flight", lifecycle::in_flight),
    check("close-after-failure", lifecycle::after_failure),
    Check { of_tool: true, ..check(AFTER_FREE, lifecycle::after_free) },
    Check { of_tool: true, ..check(PROCESS_STATE, process_hygiene::process_state) },
    check(LEFTOVERS, process_hygiene::leftovers),
    check(LEAKS, leaks::leaks),
    check("older-host", host_versions::older),
    check("newer-host", host_versions::newer),
    check("empty-pointers", host_versions::empty_pointers),
    check(READ_ONLY, host_versions::read_only),
    check(VIEW_ENDS, host_versions::view_ends),
    check(LENT_MEMORY, host_versions::lent_memory),
    check("late-calls", host_versions::late_calls),
    check("several-instances", lifecycle::several),
    check("deletion", optional_tables::deletion),
    check(PREVIEW, optional_tables::preview),
    check(PROBE, optional_tables::probe),
    Check { of_tool: true, ..check(EXIT, process_hygiene::exit) },
];

/// The names of all checks.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    metadata::NAMES.into_iter().chain(CHECKS.iter().map(|check| check.name)).chain([STDOUT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_checks_have_one_name() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
