//! The checks, in the order in which they run.

mod configuration;
mod deadlines;
mod events;
mod host_versions;
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
    /// The factor by which the check may exceed the limit.
    pub(crate) patience: u32,
    pub(crate) run: fn(&Harness) -> CheckResult,
}

const fn check(name: &'static str, run: fn(&Harness) -> CheckResult) -> Check {
    Check { name, needs_open: true, of_tool: false, patience: 1, run }
}

/// If this check fails, no other check that runs code can pass.
pub(crate) const LOAD: &str = "load";

/// The check whether the plugin accepts the given configuration.
pub(crate) const OPEN: &str = "open";

/// The check of the output of all children.
pub(crate) const STDOUT: &str = "stdout";

/// In this check even a backend whose purpose is standard output must not print.
pub(crate) const PREVIEW: &str = "preview";

/// In this check a write into what belongs to the host is a crash.
pub(crate) const READ_ONLY: &str = "read-only";

/// The child of this check has a folder of its own as working folder and for temporary files.
pub(crate) const LEFTOVERS: &str = "leftovers";

/// The child of this check ends by a return from `main`, so that the destructors of all libraries run.
pub(crate) const EXIT: &str = "process-exit";

pub(crate) const CHECKS: [Check; 30] = [
    Check { needs_open: false, ..check(LOAD, metadata::load) },
    Check { needs_open: false, ..check(OPEN, configuration::open) },
    check("unknown-keys", configuration::unknown_keys),
    check("wrong-types", configuration::wrong_types),
    check("schema-keys", configuration::schema_keys),
    check("batch-sizes", events::sizes),
    check("strings", events::strings),
    check("event-shapes", events::shapes),
    check("outcomes", events::outcomes),
    check("concurrency", events::concurrency),
    check("unreachable", deadlines::unreachable),
    check("deadline", deadlines::deadline),
    check("cancel", deadlines::cancel),
    check("close-twice", lifecycle::twice),
    check("send-after-close", lifecycle::send_after),
    check("close-in-flight", lifecycle::in_flight),
    check("close-after-failure", lifecycle::after_failure),
    Check { of_tool: true, ..check("process-state", process_hygiene::process_state) },
    check(LEFTOVERS, process_hygiene::leftovers),
    Check { patience: 5, ..check("leaks", process_hygiene::leaks) },
    check("older-host", host_versions::older),
    check("newer-host", host_versions::newer),
    check("empty-pointers", host_versions::empty_pointers),
    check(READ_ONLY, host_versions::read_only),
    check("late-calls", host_versions::late_calls),
    check("several-instances", lifecycle::several),
    check("deletion", optional_tables::deletion),
    check(PREVIEW, optional_tables::preview),
    check("probe", optional_tables::probe),
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
