//! A service's round: each backend goes on by itself as long as any has something to do.
//!
//! A backend that has nothing left, or whose circuit is open, rests; the events that come meanwhile wake it, and so does
//! the end of its pause. So one that hangs keeps the round going and holds up no other. When all rest the round is over.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crate::delivery::backend_state::BackendState;
use crate::delivery::pass::RoundEnd;
use crate::delivery::plan::{Plan, Step};
use crate::delivery::send::{Done, NOTE, Order, Ran, Shared};
use crate::delivery::target::Target;
use crate::delivery::wake_signal::{Bell, Woken};
use crate::process::reentrancy::ReentrancyGuard;

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
    /// How many backends do not rest, those among them that were asked to look and are yet to wake.
    working: usize,
    /// How many rest until they are asked to look.
    resting: usize,
    /// How often all were asked to look again.
    look: u64,
    over: bool,
    /// Whether the events are those of the other spool from now on.
    stale: bool,
    /// The backends that are configured.
    order: Vec<String>,
    /// Those that have a thread.
    inside: BTreeSet<String>,
}

impl State {
    /// All that may hold events.
    fn names(&self) -> Vec<&str> {
        self.order.iter().chain(&self.inside).map(String::as_str).collect()
    }
}

/// For how long a backend has nothing to do.
#[derive(Clone, Copy)]
enum Rest {
    /// Until there may be more.
    Events,
    Until(Instant),
}

/// How the round ended.
pub(super) struct Attended {
    /// The backends, in order.
    pub(super) targets: Vec<Target>,
    pub(super) done: Vec<Done>,
    /// Whether the events are those of the other spool from now on.
    pub(super) stale: bool,
}

/// Lets each backend go on by itself, until all rest, and does what is planned meanwhile. `local` is whether they get the
/// events that stay on this machine.
pub(super) fn attend(
    shared: &Shared<'_>,
    entrants: Vec<Entrant>,
    service: Service<'_>,
    local: bool,
) -> Attended {
    let order: Vec<String> = entrants.iter().map(|entrant| entrant.target.name.clone()).collect();
    let working = entrants.iter().filter(|entrant| entrant.pause.is_none()).count();
    let floor = Floor {
        service,
        state: Mutex::new(State {
            working,
            resting: 0,
            look: 0,
            over: false,
            stale: false,
            inside: order.iter().cloned().collect(),
            order,
        }),
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
        floor.watch(shared, local, |entrant| match start(scope, shared, &floor, entrant) {
            Ok(thread) => threads.push(thread),
            // It comes in with the next round.
            Err(entrant) => {
                floor.comes_to_rest();
                done.push(unasked(*entrant));
            }
        });
        done.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
        let (targets, done): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        floor.end(shared, targets, done)
    })
}

fn unasked(entrant: Entrant) -> Joined {
    let name = entrant.target.name.clone();
    (Some(entrant.target), (name, entrant.state, RoundEnd::default()))
}

type Joined = (Option<Target>, Done);
type Joins<'scope> = ScopedJoinHandle<'scope, Option<Joined>>;

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared<'_>,
    floor: &'scope Floor<'_>,
    entrant: Entrant,
) -> Result<Joins<'scope>, Box<Entrant>> {
    if jackfield_loader::hanging_load().is_some() {
        return Err(Box::new(entrant));
    }
    let thread = std::thread::Builder::new().name(format!("jackfield-{}-out", entrant.target.name));
    let cell = std::sync::Arc::new(Mutex::new(Some(entrant)));
    let taken = std::sync::Arc::clone(&cell);
    let run = move || {
        let _quiet = ReentrancyGuard::enter();
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
fn alone(shared: &Shared<'_>, floor: &Floor<'_>, entrant: Entrant) -> Joined {
    let Entrant { mut target, mut state, pause } = entrant;
    let mut end = RoundEnd::default();
    if pause.is_none() {
        shared.run(&mut target, &mut state, &mut end);
        floor.comes_to_rest();
    }
    let done = (target.name.clone(), state, end);
    (Some(target), done)
}

impl Floor<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the round's own thread does: it passes on what the bell says, and what is planned. `admit` starts a backend
    /// that is new.
    fn watch(&self, shared: &Shared<'_>, local: bool, mut admit: impl FnMut(Entrant)) {
        let Service { bell, interval } = self.service;
        let mut woken = Woken::News;
        loop {
            if let Some(plan) = shared.plans.take() {
                self.follow(shared, plan, local, &mut admit);
            }
            {
                let mut state = self.state();
                if state.working == 0 || woken == Woken::Stopped {
                    state.over = true;
                    self.changed.notify_all();
                    if woken == Woken::Events {
                        // They are for the next round, which follows at once.
                        bell.enough();
                    }
                    return;
                }
                if woken == Woken::Events {
                    bell.looking();
                    state.look += 1;
                    // At once: else the round could be over before they wake, and what they were to look at would wait.
                    state.working += std::mem::take(&mut state.resting);
                    self.changed.notify_all();
                }
            }
            shared.notes().save_what_is_new();
            woken = bell.wait(interval, Some(Instant::now() + NOTE));
        }
    }

    /// Tells each backend what becomes of it.
    fn follow(&self, shared: &Shared<'_>, plan: Plan, local: bool, admit: &mut impl FnMut(Entrant)) {
        let Plan { steps, local: from_now_on } = plan;
        let mut new = Vec::new();
        {
            let mut state = self.state();
            let mut orders = shared.orders();
            let mut order = |name: String, order: Order| {
                if let Some(Order::Replace(earlier)) = orders.insert(name, order) {
                    shared.plans.close_behind(&earlier);
                }
            };
            if from_now_on.is_none_or(|from_now_on| from_now_on == local) {
                state.order = steps.iter().map(|(name, _)| name.clone()).collect();
                for (name, step) in steps {
                    let Step::Put(target) = step else { continue };
                    if state.inside.contains(&name) {
                        order(name, Order::Replace(target));
                    } else {
                        state.working += 1;
                        state.inside.insert(name);
                        new.push(*target);
                    }
                }
            } else {
                // The events that these backends have in hand are not for those that come.
                (state.stale, state.over) = (true, true);
                state.order.clear();
                for (_, step) in steps {
                    let Step::Put(target) = step else { continue };
                    shared.plans.close_behind(&target);
                }
            }
            for name in &state.inside {
                if !state.order.contains(name) {
                    order(name.clone(), Order::Leave);
                }
            }
            self.changed.notify_all();
            drop(orders);
            self.hold(shared, &state);
        }
        for target in new {
            let mut state = shared.notes().states.get(&target.name).cloned().unwrap_or_default();
            state.circuit.reconfigured();
            admit(Entrant { target, state, pause: None });
        }
    }

    /// Keeps events for these backends, and no others.
    fn hold(&self, shared: &Shared<'_>, state: &State) {
        if state.stale {
            return;
        }
        if let Err(error) = shared.deliverer().retain_backends(&state.names()) {
            tracing::warn!("telemetry waits: {error}");
        }
    }

    /// What waits for one backend, and what comes for it as long as the round lasts.
    fn carry(&self, shared: &Shared<'_>, entrant: Entrant) -> Joined {
        let Entrant { mut target, mut state, pause } = entrant;
        let mut end = RoundEnd::default();
        let mut seen = 0;
        let mut rest = pause.map(|pause| Rest::Until(Instant::now() + pause));
        let leaves = loop {
            if let Some(rest) = rest
                && !self.rest(shared, &target.name, rest, &mut seen)
            {
                break false;
            }
            end.emptied = false;
            let ran = shared.run(&mut target, &mut state, &mut end);
            self.comes_to_rest();
            rest = match ran {
                Ran::Emptied => Some(Rest::Events),
                Ran::Failed => {
                    let pause = state.circuit.open_for(shared.spool.now_ms()).unwrap_or(UNKNOWN);
                    shared.standings.pauses(&target.name, pause);
                    Some(Rest::Until(Instant::now() + pause))
                }
                Ran::Over => break false,
                Ran::Leaves => break true,
            };
        };
        let name = target.name.clone();
        let mut floor = self.state();
        floor.inside.remove(&name);
        let target = if leaves {
            self.hold(shared, &floor);
            // It has nothing to do with how the others fare.
            end.emptied = true;
            state.circuit.reconfigured();
            shared.plans.close_behind(&target);
            None
        } else {
            Some(target)
        };
        (target, (name, state, end))
    }

    /// What is left of the backends, in order, once no thread is.
    fn end(&self, shared: &Shared<'_>, joined: Vec<Option<Target>>, done: Vec<Done>) -> Attended {
        let mut targets: Vec<Target> = Vec::new();
        let mut put = |target: Target| match targets.iter_mut().find(|known| known.name == target.name) {
            Some(known) => shared.plans.close_behind(&std::mem::replace(known, target)),
            None => targets.push(target),
        };
        joined.into_iter().flatten().for_each(&mut put);
        let mut leaving = Vec::new();
        for (name, order) in std::mem::take(&mut *shared.orders()) {
            match order {
                Order::Replace(target) => put(*target),
                Order::Leave => leaving.push(name),
            }
        }
        let (left, mut targets): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| leaving.contains(&target.name));
        left.iter().for_each(|target| shared.plans.close_behind(target));
        let state = self.state();
        targets.sort_by_key(|target| state.order.iter().position(|name| *name == target.name));
        Attended { targets, done, stale: state.stale }
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
    fn rest(&self, shared: &Shared<'_>, name: &str, rest: Rest, seen: &mut u64) -> bool {
        let mut state = self.state();
        // Whether it is among those that `State::resting` counts, unless a request to look has taken it out since.
        let mut counted = false;
        loop {
            let ordered = shared.orders().contains_key(name);
            let asked = matches!(rest, Rest::Events) && state.look > *seen;
            if state.over && !ordered {
                if asked {
                    // It was not resting yet when all were asked: the next round looks, and follows at once.
                    self.service.bell.enough();
                }
                return false;
            }
            let left = match rest {
                _ if ordered || asked => Duration::ZERO,
                Rest::Events => Duration::MAX,
                Rest::Until(time) => crate::process::deadline::left(time),
            };
            if left.is_zero() {
                *seen = state.look;
                match (counted, asked) {
                    (true, true) => {}
                    (true, false) => {
                        state.resting -= 1;
                        state.working += 1;
                    }
                    (false, _) => state.working += 1,
                }
                return true;
            }
            if matches!(rest, Rest::Events) && !counted {
                counted = true;
                state.resting += 1;
            }
            state = match left {
                Duration::MAX => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                left => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}
