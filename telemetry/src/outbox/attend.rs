//! A service's round: each backend goes on by itself as long as any has something to do.
//!
//! A backend that has nothing left, or whose circuit is open, rests; the events that come meanwhile wake it, and so does
//! the end of its pause. So one that hangs keeps the round going and holds up no other. When all rest the round is over.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::Scope,
    time::{Duration, Instant},
};

use super::{
    bell::{Bell, Woken},
    handover::{Done, NOTE, Ran, Shared},
    round::RoundEnd,
    state::BackendState,
    target::Target,
};

/// How long a backend rests that failed without saying for how long.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(5);

/// What a service's round listens to.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub(crate) bell: &'a Bell,
    /// How long an event waits for others at most.
    pub(crate) interval: Duration,
}

/// One backend as it enters the round.
pub(super) struct Entrant {
    pub(super) target: Target,
    pub(super) state: BackendState,
    /// How long its circuit is open yet.
    pub(super) pause: Option<Duration>,
}

/// What the threads of the round wait for.
struct Floor<'a> {
    service: Service<'a>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// How many backends do not rest.
    working: usize,
    /// How often all were asked to look again.
    look: u64,
    over: bool,
}

/// For how long a backend has nothing to do.
#[derive(Clone, Copy)]
enum Rest {
    /// Until there may be more.
    Events,
    Until(Instant),
}

/// Lets each backend go on by itself, until all rest. Gives them back.
pub(super) fn attend(
    shared: &Shared<'_>,
    entrants: Vec<Entrant>,
    service: Service<'_>,
) -> Vec<(Target, Done)> {
    let working = entrants.iter().filter(|entrant| entrant.pause.is_none()).count();
    let floor = Floor {
        service,
        state: Mutex::new(State { working, look: 0, over: false }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut done = Vec::new();
        for entrant in entrants {
            match start(scope, shared, &floor, entrant) {
                Ok(thread) => threads.push(thread),
                // No thread to be had: before the others are looked after, then.
                Err(entrant) => done.push(alone(shared, &floor, *entrant)),
            }
        }
        floor.watch(shared);
        done.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        done
    })
}

type Joins<'scope> = std::thread::ScopedJoinHandle<'scope, Option<(Target, Done)>>;

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared<'_>,
    floor: &'scope Floor<'_>,
    entrant: Entrant,
) -> Result<Joins<'scope>, Box<Entrant>> {
    let thread = std::thread::Builder::new().name(format!("jackfield-{}-out", entrant.target.name));
    let cell = std::sync::Arc::new(Mutex::new(Some(entrant)));
    let taken = std::sync::Arc::clone(&cell);
    let run = move || {
        let entrant = taken.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(floor.carry(shared, entrant))
    };
    match thread.spawn_scoped(scope, run) {
        Ok(thread) => Ok(thread),
        Err(_) => {
            let entrant = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(Box::new(entrant.expect("nothing has taken it: no thread was started")))
        }
    }
}

/// All that waits for one backend now.
fn alone(shared: &Shared<'_>, floor: &Floor<'_>, entrant: Entrant) -> (Target, Done) {
    let Entrant { mut target, mut state, pause } = entrant;
    let mut end = RoundEnd::default();
    if pause.is_none() {
        shared.run(&mut target, &mut state, &mut end);
        floor.comes_to_rest();
    }
    let done = (target.name.clone(), state, end);
    (target, done)
}

impl Floor<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the round's own thread does: it passes on what the bell says.
    fn watch(&self, shared: &Shared<'_>) {
        let Service { bell, interval } = self.service;
        let mut woken = Woken::News;
        loop {
            {
                let mut state = self.state();
                if state.working == 0 || woken == Woken::Stopped {
                    state.over = true;
                    self.changed.notify_all();
                    return;
                }
                if woken == Woken::Events {
                    bell.looking();
                    state.look += 1;
                    self.changed.notify_all();
                }
            }
            shared.notes().save_what_is_new();
            woken = bell.wait(interval, Some(Instant::now() + NOTE));
        }
    }

    /// What waits for one backend, and what comes for it as long as the round lasts.
    fn carry(&self, shared: &Shared<'_>, entrant: Entrant) -> (Target, Done) {
        let Entrant { mut target, mut state, pause } = entrant;
        let mut end = RoundEnd::default();
        let mut seen = 0;
        let mut rest = pause.map(|pause| Rest::Until(Instant::now() + pause));
        loop {
            if let Some(rest) = rest
                && !self.rest(rest, &mut seen)
            {
                break;
            }
            end.emptied = false;
            rest = match shared.run(&mut target, &mut state, &mut end) {
                Ran::Emptied => Some(Rest::Events),
                Ran::Failed => {
                    let pause = state.circuit.open_for(shared.spool.now_ms()).unwrap_or(UNKNOWN);
                    Some(Rest::Until(Instant::now() + pause))
                }
                Ran::Over => {
                    self.comes_to_rest();
                    break;
                }
            };
            self.comes_to_rest();
        }
        let done = (target.name.clone(), state, end);
        (target, done)
    }

    fn comes_to_rest(&self) {
        let mut state = self.state();
        state.working -= 1;
        let last = state.working == 0;
        drop(state);
        if last {
            self.service.bell.news();
        }
    }

    /// Waits until there may be something to do, as it is noted then; `false` when the round is over. `seen` is the last
    /// request to look that was followed.
    fn rest(&self, rest: Rest, seen: &mut u64) -> bool {
        let mut state = self.state();
        loop {
            if state.over {
                return false;
            }
            let left = match rest {
                Rest::Events if state.look > *seen => Some(Duration::ZERO),
                Rest::Events => None,
                Rest::Until(time) => Some(super::left(time)),
            };
            state = match left {
                Some(Duration::ZERO) => {
                    *seen = state.look;
                    state.working += 1;
                    return true;
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
