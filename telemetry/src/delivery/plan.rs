//! What a reload has decided, until those who deliver have done it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::delivery::backend_state::{BackendState, Problem, States};
use crate::delivery::reload_report::LastReload;
use crate::delivery::target::Target;
use crate::process::deadline::left;
use crate::process::reentrancy::ReentrancyGuard;

/// Between two looks at backends that are being closed.
const TICK: Duration = Duration::from_millis(2);

/// The backends from now on, in order. Those that are not named are closed.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<(String, Step)>,
    /// Whether they get the events that stay on this machine; `None`: whatever they get now.
    pub(crate) local: Option<bool>,
}

/// What becomes of one backend.
#[derive(Debug)]
pub(crate) enum Step {
    Keep,
    /// This one takes the place of one with its name, or is new. A reload has opened it, unless it can't be had.
    Put(Box<Target>),
}

/// What a reload and those who deliver tell each other.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// What nobody has done yet.
    waiting: Mutex<Option<Plan>>,
    news: AtomicBool,
    board: Mutex<Board>,
    /// Backends that are being closed behind everybody's back.
    closing: AtomicUsize,
    last_reload: Mutex<Option<LastReload>>,
}

/// The backends as the last plan has them.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// `None` before there were any.
    pub(crate) targets: Option<Vec<Target>>,
    /// Why a backend is not what the configuration says.
    pub(crate) problems: BTreeMap<String, Problem>,
    /// Those of which the problem is that they can't be opened.
    pub(crate) shut: BTreeSet<String>,
    /// How often each was swapped.
    pub(crate) swaps: BTreeMap<String, u64>,
}

impl Board {
    /// Why a backend is not what the configuration says. One that could not be opened may be open by now.
    pub(crate) fn problem(&self, name: &str) -> Option<&Problem> {
        let opened =
            || self.targets.iter().flatten().any(|target| target.name == name && target.opened().is_some());
        let problem = self.problems.get(name)?;
        (!self.shut.contains(name) || !opened()).then_some(problem)
    }
}

impl Plans {
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the last reload has ended.
    pub(crate) fn last_reload(&self) -> MutexGuard<'_, Option<LastReload>> {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the backends.
    pub(super) fn begin(&self, targets: Vec<Target>) {
        *self.waiting() = None;
        *self.board() = Board { targets: Some(targets), ..Board::default() };
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Plan>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a plan for who delivers next, between two batches. It takes in what an earlier one has left undone.
    pub(crate) fn post(self: &Arc<Self>, mut plan: Plan) {
        let mut waiting = self.waiting();
        let (undone, undone_local) =
            waiting.take().map(|earlier| (earlier.steps, earlier.local)).unwrap_or_default();
        for (name, step) in undone {
            let Step::Put(target) = step else { continue };
            match plan.steps.iter_mut().find(|(known, _)| *known == name) {
                Some((_, step @ Step::Keep)) => *step = Step::Put(target),
                _ => self.close_behind(&target),
            }
        }
        plan.local = plan.local.or(undone_local);
        *waiting = Some(plan);
        self.news.store(true, Ordering::Relaxed);
    }

    /// The plan that is to be followed now.
    pub(crate) fn take(&self) -> Option<Plan> {
        self.waiting().take()
    }

    /// Whether there was a plan since this was asked last.
    pub(crate) fn has_news(&self) -> bool {
        self.news.swap(false, Ordering::Relaxed)
    }

    /// Lets a backend finish what it has, and closes it, while nobody waits.
    pub(crate) fn close_behind(self: &Arc<Self>, target: &Target) {
        if target.opened().is_none() {
            return;
        }
        self.closing.fetch_add(1, Ordering::Relaxed);
        let (plans, closed) = (Arc::clone(self), target.share());
        let close = move || {
            let _quiet = ReentrancyGuard::enter();
            closed.close(closed.options.timeout);
            plans.closing.fetch_sub(1, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().name(format!("jackfield-{}-close", target.name));
        if thread.spawn(close).is_err() {
            target.close(TICK);
            self.closing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that were to be closed are.
    pub(crate) fn wait_for_closing(&self, deadline: Instant) {
        while self.closing.load(Ordering::Relaxed) > 0 && !left(deadline).is_zero() {
            thread::sleep(TICK);
        }
    }

    /// Notes with the states what keeps backends from being what the configuration says.
    pub(super) fn stamp(&self, states: &mut BTreeMap<String, BackendState>) {
        let board = self.board();
        // Another process's affair.
        if board.targets.is_none() {
            return;
        }
        for (name, state) in states.iter_mut() {
            state.not_swapped = board.problem(name).cloned();
        }
        for name in board.problems.keys() {
            if let Some(problem) = board.problem(name) {
                states.entry(name.clone()).or_default().not_swapped = Some(problem.clone());
            }
        }
    }

    /// Writes down what keeps backends from being what the configuration says, also while nothing is delivered.
    pub(crate) fn keep_problems(&self, kept_in: &States) {
        let before = kept_in.load();
        let mut states = before.clone();
        self.stamp(&mut states);
        if states != before
            && let Err(error) = kept_in.save(&states)
        {
            tracing::debug!("the state of the backends is not kept: {error}");
        }
    }

    /// Puts `new` in the place of `old`, which is closed behind everybody's back. No call is inside `old` but one that
    /// nobody waits for.
    pub(super) fn swap(self: &Arc<Self>, old: &mut Target, new: Target, state: &mut BackendState) {
        let old = mem::replace(old, new);
        // What is new deserves a try.
        state.circuit.reconfigured();
        self.close_behind(&old);
    }
}
