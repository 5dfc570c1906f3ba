//! How a flush waits for the backends.

use std::{collections::BTreeMap, time::Instant};

use crate::delivery::backends::{Backends, Table};
use crate::delivery::progress::{FlushState, FlushTicket, Flushes, PassResult};
use crate::process::left;

impl Backends {
    /// A new ticket.
    pub(crate) fn take_ticket(&self) -> FlushTicket {
        self.table().flushes.take_ticket()
    }

    /// The same ticket for what is recorded by now.
    pub(crate) fn renew_ticket(&self, ticket: FlushTicket) -> FlushTicket {
        FlushTicket { number: self.take_ticket().number, ..ticket }
    }

    /// The number of the last ticket.
    pub(crate) fn asked(&self) -> u64 {
        self.table().flushes.asked
    }

    /// A pass that began after this ticket has ended.
    pub(crate) fn pass_ended(&self, asked: u64, result: PassResult) {
        let mut table = self.table();
        (table.flushes.ended, table.flushes.under_way) = ((asked, result), false);
        self.changed.notify_all();
    }

    /// The thread that delivers in the background has ended, or nobody waits for it any more.
    pub(crate) fn leave(&self) {
        self.table().flushes.left = true;
        self.changed.notify_all();
    }

    /// Whether it has.
    pub(crate) fn is_left(&self) -> bool {
        self.table().flushes.left
    }

    /// Waits until every backend that can get anywhere has, the thread that answers has ended, or it is `deadline`.
    pub(crate) fn wait_for_flush(&self, ticket: FlushTicket, deadline: Instant) -> FlushState {
        let mut table = self.table();
        loop {
            let ended = table.flushes.ended.0 >= ticket.number;
            let is_over = ended || table.is_settled(ticket) || table.flushes.left;
            if is_over || left(deadline).is_zero() {
                return table.flush_state(ticket, ended);
            }
            table = self.wait(table, Some(deadline));
        }
    }

    /// What is so now, when a pass has ended so.
    pub(crate) fn flush_state(&self, ticket: FlushTicket, result: PassResult) -> FlushState {
        let state = self.table().flush_state(ticket, false);
        FlushState { emptied: result.emptied, busy: result.busy, ..state }
    }
}

impl Table {
    /// Whether no backend is to be waited for. A pass that has answered may be over before the flush looks.
    pub(super) fn is_settled(&self, ticket: FlushTicket) -> bool {
        let mut all =
            self.all().filter(|handle| handle.configured().is_some()).map(|handle| &handle.progress);
        if self.flushes.under_way {
            all.all(|progress| progress.is_settled(ticket))
        } else {
            self.all().next().is_some() && all.all(|progress| progress.is_answered(ticket))
        }
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
