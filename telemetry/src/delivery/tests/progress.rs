use std::time::{Duration, Instant};

use jackfield_loader::{BackendOptions, plugin_api::Outcome};

use super::{Scripted, target};
use crate::delivery::backends::Backends;
use crate::delivery::progress::{FlushTicket, PassResult};

#[test]
fn an_answer_counts_after_the_end_of_its_pass() {
    let backends = Backends::default();
    let takes_all = Scripted::new(|_| Outcome::Delivered.into());
    backends.begin(vec![target(BackendOptions::new("a"), move |options| takes_all.open(options))], false);
    let id = backends.table().all().next().expect("a backend").id;
    backends.table().flushes.under_way = true;
    let ticket = backends.take_ticket();
    let is_settled = |ticket: FlushTicket| backends.table().settled() >= ticket.number;
    assert!(!is_settled(ticket));
    backends.update(id, |handle, flushes| {
        handle.progress.starts();
        handle.progress.empties(flushes.asked, true);
    });
    assert!(is_settled(ticket));
    // It began before the ticket was taken.
    backends.pass_ended(0, PassResult::default());
    assert!(is_settled(ticket));
    assert!(backends.wait_for_flush(ticket, Instant::now()).emptied);
    // A pause is no answer where nobody is given events.
    backends.update(id, |handle, _| handle.progress.pauses(Duration::from_secs(60)));
    assert!(!is_settled(backends.take_ticket()));
}

#[test]
fn a_pass_that_began_before_a_flush_ends_it_although_a_backend_is_paused() {
    let backends = Backends::default();
    let open = |name| {
        let takes_all = Scripted::new(|_| Outcome::Delivered.into());
        target(BackendOptions::new(name), move |options| takes_all.open(options))
    };
    backends.begin(vec![open("healthy"), open("down")], false);
    let [healthy, down] = [0, 1].map(|at| backends.table().all().nth(at).expect("a backend").id);
    backends.table().flushes.under_way = true;
    backends.update(down, |handle, _| handle.progress.pauses(Duration::from_secs(60)));
    let ticket = backends.take_ticket();
    // The thread that flushes looks only when the pass is over: until then it was not given the processor.
    backends.update(healthy, |handle, flushes| handle.progress.empties(flushes.asked, true));
    backends.pass_ended(0, PassResult::default());
    let later = backends.take_ticket();
    let settled = backends.table().settled();
    assert_eq!((settled >= ticket.number, settled >= later.number), (true, false));
}
