//! How a flush waits for the backends.

use std::{collections::BTreeMap, time::Instant};

use crate::delivery::backends::{Backends, Table};
use crate::delivery::progress::{FlushState, FlushTicket, Flushes, PassResult, Progress};
use crate::process::{left, wait};

impl Backends {
    /// A new ticket.
    pub(crate) fn take_ticket(&self) -> FlushTicket {
        self.table().flushes.take_ticket()
    }

    /// The ticket with a new number, so that it covers the events up to now.
    pub(crate) fn renew_ticket(&self, ticket: FlushTicket) -> FlushTicket {
        FlushTicket { number: self.take_ticket().number, ..ticket }
    }

    /// The number of the last ticket.
    pub(crate) fn asked(&self) -> u64 {
        self.table().flushes.asked
    }

    /// Notes the end of a pass that began after the ticket `asked`.
    pub(crate) fn pass_ended(&self, asked: u64, result: PassResult) {
        let mut table = self.table();
        // A flush that began during the pass may not have seen yet that the pass has settled its events.
        table.flushes.settled = table.settled();
        (table.flushes.ended, table.flushes.under_way) = ((asked, result), false);
        self.changed.notify_all();
    }

    /// Notes that no background thread delivers any more.
    pub(crate) fn leave(&self) {
        self.table().flushes.left = true;
        self.changed.notify_all();
    }

    /// Whether [`leave`](Self::leave) was called.
    pub(crate) fn is_left(&self) -> bool {
        self.table().flushes.left
    }

    /// Waits until every backend is settled, until the background thread has ended, or until `deadline`.
    pub(crate) fn wait_for_flush(&self, ticket: FlushTicket, deadline: Instant) -> FlushState {
        let mut table = self.table();
        loop {
            let ended = table.flushes.ended.0 >= ticket.number;
            let is_over = ended || table.settled() >= ticket.number || table.flushes.left;
            if is_over || left(deadline).is_zero() {
                return table.flush_state(ticket, ended);
            }
            table = wait(&self.changed, table, Some(deadline));
        }
    }

    /// The state of a flush after a pass with this result.
    pub(crate) fn flush_state(&self, ticket: FlushTicket, result: PassResult) -> FlushState {
        let state = self.table().flush_state(ticket, false);
        FlushState { emptied: result.emptied, busy: result.busy, ..state }
    }
}

impl Table {
    /// The last ticket whose flush need not wait for any backend. The pass that has answered may have ended before.
    pub(super) fn settled(&self) -> u64 {
        let Flushes { under_way, asked, settled, .. } = self.flushes;
        if !under_way && self.all().next().is_none() {
            return settled;
        }
        let all = self.all().filter(|handle| handle.configured().is_some()).map(|handle| &handle.progress);
        let of = |progress: &Progress| match under_way {
            true => progress.settled(asked),
            false => progress.answered(),
        };
        settled.max(all.map(of).min().unwrap_or(asked))
    }

    fn flush_state(&self, ticket: FlushTicket, ended: bool) -> FlushState {
        let Flushes { ended: (_, result), under_way, delivered, rejected, left, .. } = self.flushes;
        let backends: BTreeMap<_, _> = self
            .all()
            .filter(|handle| handle.configured().is_some())
            .map(|handle| (handle.target.name.clone(), handle.progress.clone()))
            .collect();
        let known = under_way || !backends.is_empty();
        let emptied = known && backends.values().all(|progress| progress.is_emptied(ticket));
        FlushState {
            delivered: delivered - ticket.delivered,
            rejected: rejected - ticket.rejected,
            emptied: if ended { result.emptied } else { emptied },
            busy: result.busy && (ended || !under_way),
            left: left && !ended,
            backends,
        }
    }
}
