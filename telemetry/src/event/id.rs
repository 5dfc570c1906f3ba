//! The ids of events: UUIDs of version 7 (RFC 9562, 5.7).

use std::{
    cell::Cell,
    fmt,
    time::{Duration, SystemTime},
};

use crate::random;

/// The id of a recorded event: a UUIDv7, the member `id` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

/// The number of random bytes of an id.
const RANDOM: usize = 10;

impl EventId {
    /// An id of a time since 1970. Six bits of `random` are not used.
    fn new(since: Duration, random: [u8; RANDOM]) -> Self {
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let mut id = [0; 16];
        id[..6].copy_from_slice(&millis[2..]);
        id[6..].copy_from_slice(&random);
        // The version, and the variant.
        id[6] = id[6] & 0x0f | 0x70;
        id[8] = id[8] & 0x3f | 0x80;
        Self(id)
    }

    /// An id of now, which is greater than all that this thread has had: ids sort in the order in which they are made. Within a
    /// millisecond each is the last one and a random number (RFC 9562, 6.2, method 2).
    pub(crate) fn now() -> Self {
        thread_local! {
            static LAST: Cell<u128> = const { Cell::new(0) };
        }
        /// Room for many more ids of the millisecond: the first of the 62 bits that are added to.
        const GUARD: u128 = 1 << 61;
        /// The bits of the time.
        const TIME: u32 = 80;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u128::from_be_bytes(Self::new(since, random::bytes()).0) & !GUARD;
        let last = LAST.get();
        let id = if now >> TIME > last >> TIME {
            now
        } else {
            last + 1 + u128::from(u32::from_ne_bytes(random::bytes()))
        };
        LAST.set(id);
        Self(id.to_be_bytes())
    }

    /// A number from 0 to less than 1 that the random bits behind the variant make.
    pub(crate) fn fraction(self) -> f64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        random::fraction_of(u64::from_be_bytes([a, b, c, d, e, f, g, h]) << 2)
    }

    /// Small hexadecimal digits in five groups (RFC 9562, 4).
    pub(crate) fn text(self) -> [u8; 36] {
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            for digit in [byte >> 4, byte & 0x0f] {
                text[at] = b"0123456789abcdef"[usize::from(digit)];
                at += 1;
            }
        }
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

/// Makes the ids of a process. The system is asked for random bytes for many ids at once.
pub(crate) struct Ids {
    /// A forked child must not go on with its parent's bytes.
    process: u32,
    random: [u8; 64 * RANDOM],
    used: usize,
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Ids {
    /// A generator for the process with this number.
    pub(crate) fn new(process: u32) -> Self {
        let random = [0; 64 * RANDOM];
        Self { process, used: random.len(), random }
    }

    /// The next id. `process` is the number of the process that asks, `now` the time since 1970.
    pub(crate) fn next(&mut self, process: u32, now: Duration) -> EventId {
        if self.process != process || self.used == self.random.len() {
            random::fill(&mut self.random);
            (self.process, self.used) = (process, 0);
        }
        let mut random = [0; RANDOM];
        random.copy_from_slice(&self.random[self.used..][..RANDOM]);
        self.used += RANDOM;
        EventId::new(now, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_323_045);

    #[test]
    fn ids_are_of_version_7_have_the_time_and_differ() {
        let mut ids = Ids::new(1);
        let some: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next(1, NOW).to_string()).collect();
        assert_eq!(some.len(), 10_000);
        for id in some.iter().map(|id| uuid::Uuid::parse_str(id).expect("a UUID")) {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.get_timestamp().map(|time| time.to_unix().0), Some(NOW.as_secs()));
        }
    }

    #[test]
    fn ids_of_now_sort_in_their_order_and_have_the_version() {
        let ids: Vec<_> = (0..10_000).map(|_| EventId::now()).collect();
        assert!(ids.is_sorted_by(|one, other| one < other));
        for id in ids {
            let id = uuid::Uuid::from_bytes(id.0);
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn the_text_is_what_another_crate_makes_of_the_bytes() {
        for id in [EventId([0; 16]), EventId([0xff; 16]), EventId::now()] {
            assert_eq!(id.to_string(), uuid::Uuid::from_bytes(id.0).to_string());
        }
    }

    #[test]
    fn a_fork_does_not_go_on_with_its_parents_numbers() {
        let mut parent = Ids::new(1);
        parent.next(1, NOW);
        let mut child = Ids { process: 1, random: parent.random, used: parent.used };
        assert_ne!(parent.next(1, NOW).0[8..], child.next(2, NOW).0[8..]);
    }
}
