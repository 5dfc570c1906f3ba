//! Which backends may be tried now, for whoever only wants to know.

use crate::delivery::backend_state::States;
use crate::delivery::target::Target;

/// The names of the targets whose circuit lets them be tried at `now_ms`.
pub(crate) fn due<'a>(targets: &'a [Target], states: &States, now_ms: u64) -> Vec<&'a str> {
    let known = states.load();
    let is_due = |target: &&Target| match known.get(&target.name) {
        // Another configuration deserves another try.
        Some(state) => state.circuit.open_for(now_ms).is_none() || state.fingerprint != target.fingerprint(),
        None => true,
    };
    targets.iter().filter(is_due).map(|target| target.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use jackfield_loader::{Backend, BackendOptions};

    use super::*;
    use crate::delivery::backend_state::BackendState;
    use crate::delivery::memory_backend::MemoryBackend;
    use crate::delivery::settle::{BackendFailure, Settlement};
    use crate::delivery::target::Source;

    #[test]
    fn a_backend_whose_circuit_is_open_is_not_due_unless_its_configuration_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let states = States::new(folder.path());
        let target = |name: &str| {
            let open = |options: &BackendOptions| Backend::open_with(options, MemoryBackend::new().maker());
            Target::new(Source::Static(Arc::new(open)), BackendOptions::new(name))
        };
        let targets = [target("down"), target("up"), target("new"), target("changed")];
        let mut known = BTreeMap::new();
        for name in ["down", "up", "changed"] {
            let mut state = BackendState::default();
            if name != "up" {
                let failure = BackendFailure { wish: None, reason: "down".into() };
                let down = Settlement { failure: Some(failure), ..Settlement::default() };
                state.circuit.settled(&down, 1_000_000);
            }
            if name == "changed" {
                state.fingerprint = "of another".to_owned();
            }
            known.insert(name.to_owned(), state);
        }
        states.save(&known).expect("writable");
        assert_eq!(due(&targets, &states, 1_000_001), ["up", "new", "changed"]);
        assert_eq!(due(&targets, &states, 2_000_000), ["down", "up", "new", "changed"]);
    }
}
