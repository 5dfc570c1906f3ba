//! One round over all backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::{BackendState, States};
use crate::delivery::in_flight_lock::Sending;
use crate::delivery::open_backend::OpenError;
use crate::delivery::plan::{Plan, Plans, Step};
use crate::delivery::progress::Standings;
use crate::delivery::send::{Notes, Shared, run_side_by_side};
use crate::delivery::supervisor::{Entrant, Service, attend};
use crate::delivery::target::Target;
use crate::event::defaults::EventDefaults;
use crate::event::delivery_mode::DeliveryMode;
use crate::process::deadline::left;
use crate::process::reentrancy::ReentrancyGuard;
use crate::spool::spool::Spool;

/// Asked before anything leaves: what the user consents to at this moment.
pub(crate) type MaySend = Arc<dyn Fn() -> Collection + Send + Sync>;

/// What is kept in a tool's data folder.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) spool: Spool,
    pub(crate) states: States,
    pub(crate) sending: Sending,
}

/// Delivers one spool to the configured backends.
pub(crate) struct Outbox {
    pub(super) spool: Spool,
    pub(super) states: States,
    pub(super) sending: Sending,
    pub(super) targets: Vec<Target>,
    pub(super) mode: DeliveryMode,
    pub(super) fill: EventDefaults,
    /// Asked while a call runs.
    consented: MaySend,
    pub(super) may_send: MaySend,
    /// What the backends were chosen by.
    pub(super) collection: Collection,
    /// Whether they get the events that stay on this machine.
    local: bool,
    pub(super) plans: Arc<Plans>,
    standings: Arc<Standings>,
    /// Backends that were swapped since the last round, whose circuits are about others.
    swapped: BTreeSet<String>,
    /// Whether another outbox has to take over: the events are those of the other spool.
    stale: bool,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoundEnd {
    /// Events that backends took, each counted once for each backend.
    pub(crate) delivered: u64,
    /// Events that backends refused for good.
    pub(crate) rejected: u64,
    /// Whether everything that was in the spool at the start is settled.
    pub(crate) emptied: bool,
    /// Whether somebody else delivers at this moment.
    pub(crate) busy: bool,
    /// How soon a backend that failed is to be tried again.
    pub(crate) again_in: Option<Duration>,
}

impl Outbox {
    /// `may_send` answers `collection` as long as the backends are the right ones.
    pub(crate) fn new(
        Kept { spool, states, sending }: Kept,
        targets: Vec<Target>,
        mode: DeliveryMode,
        fill: EventDefaults,
        collection: Collection,
        may_send: MaySend,
    ) -> Self {
        let (local, plans, standings, swapped, stale) = Default::default();
        Self {
            spool,
            states,
            sending,
            targets,
            mode,
            fill,
            consented: Arc::clone(&may_send),
            may_send,
            collection,
            local,
            plans,
            standings,
            swapped,
            stale,
        }
    }

    /// Asks this while a call runs, instead of `may_send`.
    pub(crate) fn consented(mut self, consented: MaySend) -> Self {
        self.consented = consented;
        self
    }

    /// Whether the events are those that stay on this machine.
    pub(crate) fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Does what is planned from now on, and says how it goes.
    pub(crate) fn follow(&mut self, plans: &Arc<Plans>, standings: &Arc<Standings>) {
        (self.plans, self.standings) = (Arc::clone(plans), Arc::clone(standings));
        // They are what is configured now, so nothing is left to be done.
        plans.begin(self.targets.iter().map(Target::share).collect());
    }

    /// Opens every backend that is not open yet, side by side. Gives those that can't be opened, and why.
    pub(crate) fn open_backends(&mut self) -> Vec<(String, OpenError)> {
        let open = |target: &mut Target| {
            let _quiet = ReentrancyGuard::enter();
            // Loading and opening take that long each.
            let limit = target.options.timeout.saturating_mul(2);
            target.open(limit).err().map(|error| (target.name.clone(), target.explained(error)))
        };
        thread::scope(|scope| {
            let mut failed = Vec::new();
            let mut threads = Vec::new();
            for target in &mut self.targets {
                let name = target.name.clone();
                match thread::Builder::new()
                    .name(format!("jackfield-{name}-open"))
                    .spawn_scoped(scope, move || open(target))
                {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        let reason = format!("backend `{name}`: no thread to open it on: {error}");
                        failed.push((name, OpenError::Unavailable { reason }));
                    }
                }
            }
            failed.extend(threads.into_iter().filter_map(|thread| thread.join().ok().flatten()));
            failed
        })
    }

    /// Whether it is right for what may be done now.
    pub(crate) fn is_for(&self, collection: Collection) -> bool {
        self.collection == collection && !self.stale
    }

    /// Does what is planned, between two rounds.
    pub(crate) fn catch_up(&mut self) {
        let Some(Plan { steps, local }) = self.plans.take() else { return };
        let mut before = std::mem::take(&mut self.targets);
        // The events that these backends get are not for those that come.
        self.stale |= local.is_some_and(|local| local != self.local);
        let steps = if self.stale { Vec::new() } else { steps };
        for (name, step) in steps {
            let old = before.iter().position(|target| target.name == name).map(|at| before.remove(at));
            let target = match step {
                Step::Keep => old,
                Step::Put(new) => {
                    old.iter().for_each(|old| self.plans.close_behind(old));
                    self.swapped.insert(name);
                    Some(*new)
                }
            };
            self.targets.extend(target);
        }
        before.iter().for_each(|target| self.plans.close_behind(target));
    }

    /// Gives each backend what waits for it, until nothing does, `stop` is set or `deadline` comes. That of a `service`
    /// gives them also what comes meanwhile.
    pub(crate) fn round(
        &mut self,
        deadline: Instant,
        stop: &AtomicBool,
        service: Option<Service<'_>>,
    ) -> RoundEnd {
        let mut end = RoundEnd::default();
        let (collection, asked) = (self.collection, Arc::clone(&self.may_send));
        let may_send =
            move || !stop.load(Ordering::Relaxed) && collection != Collection::Off && asked() == collection;
        // The end of a tool lets a call finish; without consent it may not go on.
        let asked = Arc::clone(&self.consented);
        let consented = move || asked() == collection;
        if self.targets.is_empty() || !may_send() {
            return end;
        }
        let known = self.known();
        let pauses = self.pauses(&known);
        self.begin(&known, &pauses);
        // While all are down, a look at their states is all that it costs.
        if pauses.iter().all(Option::is_some) {
            return RoundEnd { again_in: pauses.into_iter().flatten().min(), ..end };
        }
        // Somebody may have deleted the folder since the last event.
        self.spool.rescue();
        let names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        let deliverer = match self.spool.try_claim(&names) {
            Ok(Some(deliverer)) => deliverer,
            // Another process delivers, or there is nothing yet.
            Ok(None) => {
                end.emptied = !self.spool.folder().exists();
                end.busy = !end.emptied;
                return end;
            }
            Err(error) => {
                tracing::warn!("telemetry waits: {error}");
                return end;
            }
        };
        let share = match self.sending.share() {
            Ok(Some(share)) => share,
            Ok(None) => return RoundEnd { busy: true, ..end },
            Err(error) => {
                // Who opts out could not be told that a call is under way.
                tracing::warn!("telemetry waits: sending.lock: {error}");
                return end;
            }
        };
        // Who delivered until a moment ago may have learned that a backend is down.
        let mut states = self.known();
        let pauses = self.pauses(&states);
        self.begin(&states, &pauses);
        self.standings.is_under_way();
        let soonest = pauses.iter().flatten().min().copied();
        let shared = Shared {
            spool: &self.spool,
            deliverer: Mutex::new(deliverer),
            share,
            mode: self.mode,
            fill: &self.fill,
            may_send: &may_send,
            consented: &consented,
            deadline,
            unnoted: AtomicBool::new(false),
            orders: Mutex::default(),
            plans: &self.plans,
            standings: &self.standings,
            notes: Mutex::new(Notes {
                states: states.clone(),
                kept_in: &self.states,
                plans: &self.plans,
                saved: Instant::now(),
                unsaved: false,
            }),
        };
        let state = |name: &str| states.get(name).cloned().unwrap_or_default();
        let before = states.clone();
        end.emptied = soonest.is_none();
        end.again_in = soonest;
        let done = if let Some(service) = service {
            let targets = std::mem::take(&mut self.targets).into_iter();
            let entrants = targets.zip(&pauses).map(|(target, pause)| Entrant {
                state: state(&target.name),
                pause: *pause,
                target,
            });
            let attended = attend(&shared, entrants.collect(), service, self.local);
            self.targets = attended.targets;
            self.stale |= attended.stale;
            let done = attended.done;
            end = RoundEnd { emptied: true, again_in: None, ..end };
            done
        } else {
            let due = self.targets.iter_mut().zip(&pauses).filter(|(_, pause)| pause.is_none());
            let due = due.map(|(target, _)| {
                let state = state(&target.name);
                (target, state)
            });
            run_side_by_side(&shared, due.collect())
        };
        for (name, state, result) in done {
            end.delivered += result.delivered;
            end.rejected += result.rejected;
            end.emptied &= result.emptied;
            if let Some(pause) = state.circuit.open_for(self.spool.now_ms()) {
                end.again_in = Some(end.again_in.map_or(pause, |known| known.min(pause)));
            }
            states.insert(name, state);
        }
        states.retain(|name, _| self.targets.iter().any(|target| target.name == *name));
        self.plans.stamp(&mut states);
        self.swapped.clear();
        if states != before
            && let Err(error) = self.states.save(&states)
        {
            tracing::debug!("the state of the backends is not kept: {error}");
        }
        end
    }

    /// What is known of the backends.
    pub(super) fn known(&self) -> BTreeMap<String, BackendState> {
        let mut states = self.states.load();
        for target in &self.targets {
            // Another configuration deserves another try.
            if let Some(state) = states.get_mut(&target.name)
                && (state.fingerprint != target.fingerprint() || self.swapped.contains(&target.name))
            {
                state.circuit.reconfigured();
            }
        }
        states
    }

    /// Says where each backend stands as a round begins.
    fn begin(&self, states: &BTreeMap<String, BackendState>, pauses: &[Option<Duration>]) {
        self.standings.begin(self.targets.iter().zip(pauses).map(|(target, pause)| {
            let problem = pause.and_then(|_| states.get(&target.name)?.last_problem.as_ref());
            (&*target.name, *pause, problem.map(|problem| problem.reason.clone()))
        }));
    }

    /// How long each backend is left alone yet.
    fn pauses(&self, states: &BTreeMap<String, BackendState>) -> Vec<Option<Duration>> {
        let now = self.spool.now_ms();
        let pause = |target: &Target| states.get(&target.name)?.circuit.open_for(now);
        self.targets.iter().map(pause).collect()
    }

    /// Closes every backend.
    pub(crate) fn close(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for target in &self.targets {
            target.close(left(deadline));
        }
    }
}

#[cfg(test)]
mod tests {
    use jackfield_loader::{Backend, BackendOptions};

    use super::*;
    use crate::delivery::memory_backend::MemoryBackend;
    use crate::delivery::target::Source;
    use crate::spool::limits::Limits;

    #[test]
    fn events_that_a_backend_was_not_asked_about_wait_and_are_no_failure_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let memory = MemoryBackend::new();
        let spool = Spool::on_disk(folder.join("spool"), Limits::default());
        spool.append(br#"{"type":"a","name":"b"}"#).expect("room");
        let outbox = |timeout: Duration| {
            let memory = memory.clone();
            // It opens whatever time a call has.
            let open = move |options: &BackendOptions| {
                let options = options.clone().timeout(Duration::from_secs(60));
                Backend::open_with(&options, memory.maker())
            };
            let options = BackendOptions::new("memory").timeout(timeout);
            let target = Target::new(Source::Static(Arc::new(open)), options);
            let kept =
                Kept { spool: spool.clone(), states: States::new(folder), sending: Sending::new(folder) };
            let may_send = Arc::new(|| Collection::On);
            let fill = EventDefaults::new("tool", "1");
            Outbox::new(kept, vec![target], DeliveryMode::AtLeastOnce, fill, Collection::On, may_send)
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        let go_on = AtomicBool::new(false);
        // Without any time for a call.
        let end = outbox(Duration::ZERO).round(deadline, &go_on, None);
        assert_eq!(end, RoundEnd::default());
        let state = States::new(folder).load().remove("memory").unwrap_or_default();
        assert_eq!((state.circuit.open_for(spool.now_ms()), state.last_problem), (None, None));
        let end = outbox(Duration::from_secs(60)).round(deadline, &go_on, None);
        assert_eq!((end.delivered, end.emptied), (1, true));
        assert_eq!(memory.events().len(), 1);
    }
}
