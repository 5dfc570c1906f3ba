use std::time::{Duration, Instant};

use jackfield_loader::{BackendOptions, plugin_api::Outcome};

use super::{Scripted, target};
use crate::delivery::backends::Backends;
use crate::delivery::progress::PassResult;

#[test]
fn an_answer_counts_after_the_end_of_its_pass() {
    let backends = Backends::default();
    let takes_all = Scripted::new(|_| Outcome::Delivered.into());
    backends.begin(vec![target(BackendOptions::new("a"), move |options| takes_all.open(options))], false);
    let id = backends.table().all().next().expect("a backend").id;
    backends.table().flushes.under_way = true;
    let ticket = backends.take_ticket();
    let is_settled = |ticket| backends.table().is_settled(ticket);
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
