//! The checks, in the order in which they run.

use super::{
    closing, conduct, events, finding::Checked, ground::Ground, options, skew, statics, tables, timing,
};

/// One check that runs the plugin, in a child of its own.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// Whether it needs the given configuration to be accepted.
    pub(super) needs_open: bool,
    /// How many times the limit that is set it may take before the child is ended.
    pub(super) patience: u32,
    pub(super) run: fn(&Ground) -> Checked,
}

const fn check(name: &'static str, run: fn(&Ground) -> Checked) -> Check {
    Check { name, needs_open: true, patience: 1, run }
}

/// The checks of the file, of which no code runs.
pub(super) const FILE: [&str; 4] = ["metadata", "verdict", "panic-strategy", "schema"];

/// Without this one, no other makes sense.
pub(super) const LOAD: &str = "load";

/// Whether the given configuration is accepted.
pub(super) const OPEN: &str = "open";

/// Judged by what came out of all children.
pub(super) const STDOUT: &str = "stdout";

/// Where nothing may go out, not even where standard output is the backend's purpose.
pub(super) const PREVIEW: &str = "preview";

/// Whose child ends as a program does that returns from `main`, with the destructors of all libraries.
pub(super) const EXIT: &str = "process-exit";

pub(super) const CHECKS: [Check; 27] = [
    Check { needs_open: false, ..check(LOAD, statics::load) },
    Check { needs_open: false, ..check(OPEN, options::open) },
    check("unknown-keys", options::unknown_keys),
    check("wrong-types", options::wrong_types),
    check("batch-sizes", events::sizes),
    check("strings", events::strings),
    check("event-shapes", events::shapes),
    check("outcomes", events::outcomes),
    check("concurrency", events::concurrency),
    check("unreachable", timing::unreachable),
    check("deadline", timing::deadline),
    check("cancel", timing::cancel),
    check("close-twice", closing::twice),
    check("send-after-close", closing::send_after),
    check("close-in-flight", closing::in_flight),
    check("close-after-failure", closing::after_failure),
    check("process-state", conduct::process_state),
    Check { patience: 5, ..check("leaks", conduct::leaks) },
    check("older-host", skew::older),
    check("newer-host", skew::newer),
    check("empty-pointers", skew::empty_pointers),
    check("late-calls", skew::late_calls),
    check("several-instances", closing::several),
    check("deletion", tables::deletion),
    check(PREVIEW, tables::preview),
    check("probe", tables::probe),
    check(EXIT, conduct::exit),
];

/// The names of all checks.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILE.into_iter().chain(CHECKS.iter().map(|check| check.name)).chain([STDOUT])
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
