//! The calls that are inside a plugin now.
//!
//! A plugin passes a call's context to each callback, and a faulty plugin may do so when the call is over. So the context is
//! not a pointer but a number, which is looked up here and never used for another call: a number that is late or invented
//! finds no call.

use std::{
    ffi::c_void,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::call::CallState;
use crate::boundary::process::lock;

/// Parts of the table, so that calls of different threads seldom meet at a lock. A power of two.
const SHARDS: usize = 16;

/// Few calls run at once and they are spread over the shards, so that a list is searched faster than a map.
type Shard = Mutex<Vec<(usize, Arc<CallState>)>>;

static TABLE: [Shard; SHARDS] = [const { Mutex::new(Vec::new()) }; SHARDS];

/// The last number that was given. 0 stays free for a null context.
static LAST: AtomicUsize = AtomicUsize::new(0);

fn shard(id: usize) -> MutexGuard<'static, Vec<(usize, Arc<CallState>)>> {
    lock(&TABLE[id % SHARDS])
}

/// An entry of the table, which lasts as long as this.
pub(super) struct Running {
    id: usize,
}

impl Running {
    /// Enters a call that is about to go into a plugin.
    pub(super) fn enter(call: &Arc<CallState>) -> Self {
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        shard(id).push((id, Arc::clone(call)));
        Self { id }
    }

    /// The context that stands for the call.
    pub(super) fn context(&self) -> *const c_void {
        std::ptr::without_provenance(self.id)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut calls = shard(self.id);
        let entry = calls.iter().position(|(id, _)| *id == self.id).map(|index| calls.swap_remove(index));
        drop(calls);
        // What the call holds may be freed by this, outside the lock.
        drop(entry);
    }
}

/// The running call that `context` stands for.
pub(super) fn find(context: *const c_void) -> Option<Arc<CallState>> {
    let wanted = context.addr();
    shard(wanted).iter().find(|(id, _)| *id == wanted).map(|(_, call)| Arc::clone(call))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_context_leads_to_its_call_until_the_call_is_over_and_an_invented_one_leads_nowhere() {
        let calls: Vec<_> = (0..40).map(|_| Arc::new(CallState::new(0, Instant::now()))).collect();
        let mut running: Vec<_> = calls.iter().map(Running::enter).collect();
        let contexts: Vec<_> = running.iter().map(Running::context).collect();
        drop(running.drain(..20));
        for (number, (context, call)) in contexts.iter().zip(&calls).enumerate() {
            let found = find(*context);
            assert_eq!(found.is_some(), number >= 20, "call {number}");
            assert!(found.is_none_or(|found| Arc::ptr_eq(&found, call)), "call {number}");
        }
        assert!(find(std::ptr::null()).is_none());
        assert!(find(std::ptr::without_provenance(usize::MAX)).is_none());
        assert!(find((&raw const *calls[30]).cast()).is_none());
        drop(running);
        assert!(
            calls.iter().all(|call| Arc::strong_count(call) == 1),
            "the table keeps no call that is over"
        );
    }
}
