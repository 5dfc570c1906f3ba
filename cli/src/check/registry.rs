//! The checks, in the order in which they run.

use super::{
    checks::{
        configuration, deadlines, events, host_versions, lifecycle, metadata, optional_tables,
        process_hygiene,
    },
    finding::CheckResult,
    harness::Harness,
};

/// One check that runs the plugin, in a child of its own.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// Whether it needs the given configuration to be accepted.
    pub(super) needs_open: bool,
    /// The check may take this many times the limit before the child is ended.
    pub(super) patience: u32,
    pub(super) run: fn(&Harness) -> CheckResult,
}

const fn check(name: &'static str, run: fn(&Harness) -> CheckResult) -> Check {
    Check { name, needs_open: true, patience: 1, run }
}

/// Where this check fails, no other one that runs code can pass.
pub(super) const LOAD: &str = "load";

/// Whether the given configuration is accepted.
pub(super) const OPEN: &str = "open";

/// This check judges the output of all children.
pub(super) const STDOUT: &str = "stdout";

/// Nothing may be printed by this one, not even by a backend whose purpose is standard output.
pub(super) const PREVIEW: &str = "preview";

/// The child of this check ends like a program that returns from `main`: the destructors of all libraries run.
pub(super) const EXIT: &str = "process-exit";

pub(super) const CHECKS: [Check; 27] = [
    Check { needs_open: false, ..check(LOAD, metadata::load) },
    Check { needs_open: false, ..check(OPEN, configuration::open) },
    check("unknown-keys", configuration::unknown_keys),
    check("wrong-types", configuration::wrong_types),
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
    check("process-state", process_hygiene::process_state),
    Check { patience: 5, ..check("leaks", process_hygiene::leaks) },
    check("older-host", host_versions::older),
    check("newer-host", host_versions::newer),
    check("empty-pointers", host_versions::empty_pointers),
    check("late-calls", host_versions::late_calls),
    check("several-instances", lifecycle::several),
    check("deletion", optional_tables::deletion),
    check(PREVIEW, optional_tables::preview),
    check("probe", optional_tables::probe),
    check(EXIT, process_hygiene::exit),
];

/// The names of all checks.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
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
