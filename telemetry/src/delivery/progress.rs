//! Where each backend stands, for whoever waits for it: a flush.
//!
//! A flush *asks*, which gives it a number. Whoever looks at what waits for a backend notes the last number before it
//! looks; when all that it saw is settled, that number is answered. So the answer covers what was recorded before the
//! question, whatever comes meanwhile. A backend that is left alone for a while needs no answer.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::delivery::pass::RoundEnd;
use crate::process::deadline::left;

/// Where the backends of one process stand.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    asked: u64,
    /// The last number that was asked before the beginning of a round that has ended, and how that one did.
    ended: (u64, RoundEnd),
    /// Whether a round is under way.
    under_way: bool,
    backends: BTreeMap<String, Standing>,
    delivered: u64,
    rejected: u64,
    /// The thread that delivers in the background has ended.
    left: bool,
}

/// Where one backend stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// The last question that was answered, in whatever way.
    answered: u64,
    /// The last question that found nothing left.
    emptied: u64,
    /// Since when it is being handed events.
    pub(crate) since: Option<Instant>,
    /// Why it did not take the last ones.
    pub(crate) problem: Option<String>,
    /// Until when it is left alone.
    until: Option<Instant>,
}

impl Standing {
    fn is_settled(&self, question: u64) -> bool {
        self.answered >= question || (self.since.is_none() && self.pause().is_some())
    }

    /// Whether all was settled that was there at the question.
    pub(crate) fn is_emptied(&self, question: u64) -> bool {
        self.emptied >= question
    }

    /// How long it is left alone yet.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.until.map(left).filter(|left| !left.is_zero())
    }
}

/// A question, and what was done until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) number: u64,
    delivered: u64,
    rejected: u64,
}

/// What is so when a question needs no further waiting.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) emptied: bool,
    /// Whether somebody else delivered all the time.
    pub(crate) busy: bool,
    /// Whether the thread that was to answer has ended.
    pub(crate) left: bool,
    pub(crate) backends: BTreeMap<String, Standing>,
}

impl Standings {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new question.
    pub(crate) fn ask(&self) -> Question {
        let mut inner = self.lock();
        inner.asked += 1;
        Question { number: inner.asked, delivered: inner.delivered, rejected: inner.rejected }
    }

    /// The same question about what is so now.
    pub(crate) fn ask_again(&self, question: Question) -> Question {
        Question { number: self.ask().number, ..question }
    }

    /// Whether the thread that delivers in the background has ended.
    pub(crate) fn is_left(&self) -> bool {
        self.lock().left
    }

    /// The number of the last question.
    pub(crate) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// A round is about to give events to these backends, but for those that have a pause, each with its problem.
    pub(super) fn begin<'a>(
        &self,
        backends: impl Iterator<Item = (&'a str, Option<Duration>, Option<String>)>,
    ) {
        let mut inner = self.lock();
        let mut before = std::mem::take(&mut inner.backends);
        for (name, pause, problem) in backends {
            let known = before.remove(name).unwrap_or_default();
            let until = pause.map(|pause| Instant::now() + pause);
            inner.backends.insert(name.to_owned(), Standing { problem, until, since: None, ..known });
        }
    }

    /// The round has the right to deliver: every backend that has no pause is being looked after.
    pub(super) fn is_under_way(&self) {
        self.lock().under_way = true;
        self.changed.notify_all();
    }

    /// A round that began after this question has ended.
    pub(crate) fn ended(&self, asked: u64, end: RoundEnd) {
        let mut inner = self.lock();
        inner.ended = (asked, end);
        inner.under_way = false;
        self.changed.notify_all();
    }

    /// The thread that delivers in the background has ended.
    pub(crate) fn leave(&self) {
        self.lock().left = true;
        self.changed.notify_all();
    }

    /// A backend is looked after from now on.
    pub(super) fn begins(&self, name: &str) {
        let mut inner = self.lock();
        let standing = inner.backends.entry(name.to_owned()).or_default();
        standing.since.get_or_insert_with(Instant::now);
        standing.until = None;
    }

    /// A backend took or refused so many events.
    pub(super) fn count(&self, name: &str, delivered: u64, rejected: u64) {
        let mut inner = self.lock();
        inner.delivered += delivered;
        inner.rejected += rejected;
        if let Some(standing) = inner.backends.get_mut(name).filter(|_| delivered + rejected > 0) {
            standing.since = Some(Instant::now());
        }
    }

    /// All that was there at the question is settled; whether the backend has nothing else to do.
    pub(super) fn emptied(&self, name: &str, question: u64, rests: bool) {
        let mut inner = self.lock();
        let Some(standing) = inner.backends.get_mut(name) else { return };
        (standing.answered, standing.emptied, standing.problem) = (question, question, None);
        if rests {
            standing.since = None;
        }
        self.changed.notify_all();
    }

    /// The backend gets nothing more for now, for `pause` if that is known.
    pub(super) fn failed(&self, name: &str, problem: Option<String>, pause: Option<Duration>) {
        let mut inner = self.lock();
        let asked = inner.asked;
        let Some(standing) = inner.backends.get_mut(name) else { return };
        let until = pause.map(|pause| Instant::now() + pause);
        *standing = Standing { answered: asked, problem, until, since: None, ..*standing };
        self.changed.notify_all();
    }

    /// It is left alone for so long.
    pub(super) fn pauses(&self, name: &str, pause: Duration) {
        if let Some(standing) = self.lock().backends.get_mut(name) {
            standing.until = Some(Instant::now() + pause);
        }
        self.changed.notify_all();
    }

    /// It is configured no more.
    pub(super) fn forget(&self, name: &str) {
        self.lock().backends.remove(name);
        self.changed.notify_all();
    }

    /// Waits until every backend that can get anywhere has, the thread that answers has ended, or it is `deadline`.
    pub(crate) fn wait(&self, question: Question, deadline: Instant) -> Reply {
        let mut inner = self.lock();
        loop {
            let ended = inner.ended.0 >= question.number;
            let standing = inner.is_settled(question.number);
            let time = left(deadline);
            if ended || standing || inner.left || time.is_zero() {
                return inner.reply(question, ended);
            }
            inner = self.changed.wait_timeout(inner, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is so now, when a round has ended so.
    pub(crate) fn reply_of(&self, question: Question, end: RoundEnd) -> Reply {
        let reply = self.lock().reply(question, false);
        Reply { emptied: end.emptied, busy: end.busy, ..reply }
    }
}

impl Inner {
    /// Whether no backend is to be waited for. A round that has answered may be over before whoever asked looks.
    fn is_settled(&self, question: u64) -> bool {
        let mut all = self.backends.values();
        if self.under_way {
            all.all(|standing| standing.is_settled(question))
        } else {
            !self.backends.is_empty() && all.all(|standing| standing.answered >= question)
        }
    }

    fn reply(&self, question: Question, ended: bool) -> Reply {
        let known = self.under_way || !self.backends.is_empty();
        let emptied = known && self.backends.values().all(|standing| standing.is_emptied(question.number));
        let end = self.ended.1;
        Reply {
            delivered: self.delivered - question.delivered,
            rejected: self.rejected - question.rejected,
            emptied: if ended { end.emptied } else { emptied },
            busy: end.busy && (ended || !self.under_way),
            left: self.left && !ended,
            backends: self.backends.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_though_its_round_is_over_when_the_flush_looks() {
        let standings = Standings::default();
        standings.begin([("a", None, None)].into_iter());
        standings.is_under_way();
        let question = standings.ask();
        let is_settled = |question: Question| standings.lock().is_settled(question.number);
        assert!(!is_settled(question));
        standings.begins("a");
        standings.emptied("a", question.number, true);
        assert!(is_settled(question));
        // It began before the question.
        standings.ended(question.number - 1, RoundEnd::default());
        assert!(is_settled(question));
        assert!(standings.wait(question, Instant::now()).emptied);
        // A pause is no answer where nobody is looking after anybody.
        standings.pauses("a", Duration::from_secs(60));
        assert!(!is_settled(standings.ask()));
    }
}
