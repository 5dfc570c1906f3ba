//! Values of one process, also after a fork.

use std::sync::OnceLock;

/// A value for each process. A forked child inherits its parent's value, whose locks may be held by a thread that does not
/// exist in the child. So the child makes a value of its own, and never waits for the inherited one.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    process: u32,
    value: T,
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    /// The value of the process with this number.
    pub(crate) fn new(process: u32, value: T) -> Self {
        Self { process, value, next: OnceLock::new() }
    }

    /// The value of `process`, the calling process. In a forked child `make` makes it from the inherited value.
    pub(crate) fn of(&self, process: u32, make: impl Fn(&T) -> T) -> &T {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get_or_init(|| Box::new(Self::new(process, make(&slot.value))));
        }
        &slot.value
    }

    /// The value of `process`, if it has one.
    pub(crate) fn get(&self, process: u32) -> Option<&T> {
        let mut slot = self;
        while slot.process != process {
            slot = slot.next.get()?;
        }
        Some(&slot.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_a_value_of_its_own_and_keeps_it() {
        let values = PerProcess::new(1, 10);
        assert_eq!(*values.of(1, |_| unreachable!()), 10);
        assert_eq!(values.get(2), None);
        assert_eq!(*values.of(2, |inherited| inherited + 1), 11);
        assert_eq!(*values.of(2, |_| unreachable!()), 11);
        assert_eq!((values.get(1), values.get(2)), (Some(&10), Some(&11)));
    }
}
