//! The detached child: it delivers until no event waits, or its lifetime ends.

use std::{
    ffi::OsString,
    fs::File,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use jackfield_loader::{
    Job, files,
    reexec::{Inherited, OwnedHandle, handed_over},
};

use crate::consent::consent::Collection;
use crate::consent::source::ConsentSource;
use crate::delivery::backend_state::States;
use crate::delivery::in_flight_lock::InFlightLock;
use crate::delivery::pass::SpoolDelivery;
use crate::delivery::pass_context::{ConsentCheck, DeliveryConfig};
use crate::delivery::unconfirmed::UnconfirmedFile;
use crate::detached::job::{DeliveryJob, JobBackend};
use crate::detached::lock::Mark;
use crate::detached::{holder, job, lock};
use crate::event::defaults::EventDefaults;
use crate::files::{CRASHES, data_refusal};
use crate::identity::machine_id::MachineIdFile;
use crate::instance::{code_backends, select_backends};
use crate::process::{ReentrancyGuard, left};
use crate::spool::disk::Disk;
use crate::spool::fs::Fs;
use crate::spool::handle::Spools;

/// The job for a child of a tool.
pub(crate) const JOB: Job = Job { name: "deliver", run };

/// The niceness of the process, from 0 to 19. A process of Windows has its priority from its parent.
#[cfg(unix)]
const NICE: i32 = 10;
/// The pause before a pass is repeated that found another process delivering, and before another attempt at the lock.
/// It polls, because the system does not report that another process has released a lock.
const BUSY: Duration = Duration::from_millis(50);
/// The interval of the checks of consent during a pause.
const LOOK: Duration = Duration::from_millis(250);
/// The longest time for closing the backends.
const CLOSING: Duration = Duration::from_secs(2);

/// Reports nothing: `status` reads the states of the backends.
fn run(mut inherited: Inherited) -> i32 {
    let start = Instant::now();
    let _quiet = ReentrancyGuard::enter();
    let Some((held, job, mark)) = take(std::mem::take(&mut inherited.files)) else { return UNUSABLE };
    // Without a thread, the alarm alone ends the process.
    let _ = inherited.end_within(job.lifetime);
    #[cfg(unix)]
    let _ = rustix::process::nice(NICE);
    if !job.stays_in_folder {
        // The working folder's file system can be unmounted while the child runs.
        let _ = std::env::set_current_dir("/");
    }
    let end = start + job.lifetime;
    let deadline = start + job.lifetime.saturating_sub(CLOSING.min(job.lifetime / 10));
    let Some(mut delivery) = Delivery::new(job, held, mark) else { return UNUSABLE };
    delivery.run(deadline, end);
    0
}

/// The job and the lock of the inherited files.
fn take(files: Vec<OwnedHandle>) -> Option<(Arc<File>, DeliveryJob, Mark)> {
    let mut files = files.into_iter();
    let text = handed_over(files.next()?).ok()?;
    let job = DeliveryJob::parse(&text).ok()?;
    let held = lock::handed_over(files.next(), &job.data, job.local)?;
    Some((Arc::new(held), job, job::mark(&text)))
}

/// The exit code when the inherited files are not those of a child: 78, `EX_CONFIG` of `sysexits.h`.
const UNUSABLE: i32 = 78;

/// The spool, its backends and the lock.
struct Delivery {
    delivery: SpoolDelivery,
    names: Vec<String>,
    held: Arc<File>,
}

impl Delivery {
    /// `None` when the data folder can't be trusted, or the job is not that of a tool of this release.
    fn new(job: DeliveryJob, held: Arc<File>, mark: Mark) -> Option<Self> {
        let data = &job.data;
        if data_refusal(data).is_some() {
            return None;
        }
        let variables = job.variables;
        let environment = move |name: &str| -> Option<OsString> {
            let (_, value) = variables.iter().find(|(known, _)| known == name)?;
            Some(value.into())
        };
        let consent = ConsentSource::with_environment(job.consent, environment);
        let spools = Spools::open(data, &job.limits, &(Arc::new(Disk) as Arc<dyn Fs>));
        let fill = EventDefaults::new(&job.tool, &job.version)
            .with_machine_id(&MachineIdFile::new(&job.tool, Some(data)).peek());
        let targets: Vec<_> = job
            .backends
            .into_iter()
            .map(|backend| {
                let mut target = match backend {
                    JobBackend::Plugin(plugin) => {
                        select_backends::target(&job.tool, &job.version, plugin.take()?)
                    }
                    JobBackend::InCode(name) => {
                        select_backends::in_code(&job.tool, &job.version, &code_backends::find(&name)?)
                    }
                };
                target.remember_crashes(data.join(CRASHES));
                Some(target)
            })
            .collect::<Option<_>>()?;
        let names = targets.iter().map(|target| target.name.clone()).collect();
        let consented: ConsentCheck = Arc::new(move || consent.read().collection);
        let (consent, lock) = (Arc::clone(&consented), Arc::clone(&held));
        // With another mark in the lock, a child with another job delivers.
        let may_send = move || if lock::is_marked(&lock, &mark) { consent() } else { Collection::Off };
        let config = DeliveryConfig {
            spool: spools.get(job.local).clone(),
            states: States::new(data, &Arc::default()),
            in_flight: InFlightLock::new(data),
            unconfirmed: (!job.local).then(|| UnconfirmedFile::new(data)),
            mode: job.mode,
            fill,
            collection: job.collection,
            local: job.local,
            may_send: Arc::new(may_send),
            consented,
        };
        Some(Self { delivery: SpoolDelivery::new(config, targets, &Arc::default()), names, held })
    }

    /// Delivers until no event waits, nothing may be sent any more, or `deadline` comes. The process ends at `end`.
    fn run(&mut self, deadline: Instant, end: Instant) {
        // A child with another job still holds the lock, and ends soon.
        while !lock::take_again(&self.held).unwrap_or(false) {
            if left(deadline).is_zero() || !self.wait(BUSY) {
                return;
            }
        }
        // Without the record, a child that is stopped keeps the lock.
        let _ = holder::sign(&self.held, left(end));
        loop {
            let end = self.rounds(deadline);
            let config = &self.delivery.config;
            if (config.consented)() != config.collection {
                // The exit also ends a plugin that ignores the cancellation of its call.
                jackfield_loader::exit(0);
            }
            self.delivery.close(left(deadline).max(CLOSING));
            let _ = files::unlock(&self.held);
            // A tool may have found the lock held a moment ago, and have started no child. Without progress, another pass
            // would not settle what waits.
            let again = end.emptied
                && end.progress
                && !left(deadline).is_zero()
                && self.delivery.config.spool.has_waiting(&self.names)
                && lock::take_again(&self.held).unwrap_or(false);
            if !again {
                return;
            }
        }
    }

    /// Repeats passes until no backend can be tried before `deadline`.
    fn rounds(&mut self, deadline: Instant) -> End {
        let go_on = Arc::<AtomicBool>::default();
        let mut progress = false;
        loop {
            let end = self.delivery.pass(deadline, &go_on, None);
            progress |= end.delivered + end.rejected > 0;
            let pause = match (end.busy, end.again_in) {
                _ if end.emptied => return End { emptied: true, progress },
                (true, _) => BUSY,
                (false, Some(pause)) => pause,
                (false, None) => return End { emptied: false, progress },
            };
            if pause >= left(deadline) || !self.wait(pause) {
                return End { emptied: false, progress };
            }
        }
    }

    /// Waits for `pause`; `false` when nothing may be sent any more.
    fn wait(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            if (self.delivery.config.may_send)() != self.delivery.config.collection {
                return false;
            }
            if left(until).is_zero() {
                return true;
            }
            thread::sleep(left(until).min(LOOK));
        }
    }
}

/// The result of several passes.
struct End {
    emptied: bool,
    /// Whether any event was settled.
    progress: bool,
}
