//! Ids of events: UUIDv7 (RFC 9562), from a generator of the process.
//!
//! The operating system seeds the generator. A random number from the system for each id would cost about as much as storing
//! the event. Ids distinguish events; they are not secret.

use std::time::Duration;

use uuid::Uuid;

#[derive(Debug)]
pub(crate) struct Ids {
    /// The process of the seed: a forked child must not go on with its parent's numbers.
    process: u32,
    random: fastrand::Rng,
}

impl Ids {
    /// A generator for the process with this number.
    pub(crate) fn new(process: u32) -> Self {
        Self { process, random: seeded() }
    }

    /// The next id. `process` is the number of the process that asks, `now` the time since 1970.
    pub(crate) fn next(&mut self, process: u32, now: Duration) -> Uuid {
        if self.process != process {
            *self = Self::new(process);
        }
        let mut random = [0; 10];
        self.random.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.as_millis()).unwrap_or(0), &random)
            .into_uuid()
    }
}

fn seeded() -> fastrand::Rng {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    fastrand::Rng::with_seed(high ^ low.rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_323_045);

    #[test]
    fn ids_are_of_version_7_and_differ() {
        let mut ids = Ids::new(1);
        let some: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next(1, NOW)).collect();
        assert_eq!(some.len(), 10_000);
        assert!(
            some.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
        );
    }

    #[test]
    fn a_fork_does_not_go_on_with_its_parents_numbers() {
        let mut parent = Ids::new(1);
        let mut child = Ids { process: 1, random: parent.random.clone() };
        let bits = |id: Uuid| id.as_u128() & ((1 << 62) - 1);
        assert_ne!(bits(parent.next(1, NOW)), bits(child.next(2, NOW)));
    }
}
