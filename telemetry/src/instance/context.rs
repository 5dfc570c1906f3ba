//! The context that all parts of one telemetry share: the author's settings, consent, folders and spools.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use jackfield_loader::{Batch, Crash};

use crate::consent::consent::Collection;
use crate::consent::source::{ConsentSource, Gate};
use crate::delivery::backend_state::{States, Unwritten};
use crate::delivery::backends::Backends;
use crate::delivery::in_flight_lock::InFlightLock;
use crate::delivery::pass::SpoolDelivery;
use crate::delivery::pass_context::{ConsentCheck, DeliveryConfig};
use crate::delivery::unconfirmed::UnconfirmedFile;
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::{EventDefaults, os_version};
use crate::event::encode::{Encoder, Origin};
use crate::event::event::Event;
use crate::event::recorder::Recorder;
use crate::files::{self, CRASHES};
use crate::identity::machine_id::MachineIdFile;
use crate::instance::select_backends::{Selected, SelectionReason, select};
use crate::instance::settings::Settings;
use crate::process::PerProcess;
use crate::redact::personal::{PersonalData, PersonalNames};
use crate::spool::fs::Fs;
use crate::spool::handle::Spools;

/// The parts of a telemetry, except those that deliver.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    /// Whether the author collects anything.
    pub(crate) enabled: bool,
    pub(crate) consent: Arc<ConsentSource>,
    pub(crate) gate: Gate,
    /// The folder of all that is kept; `None` where there is no home folder.
    pub(crate) data: Option<PathBuf>,
    pub(crate) spools: Option<Spools>,
    /// The number of events that are lost because there is no folder.
    pub(crate) homeless: AtomicU64,
    fs: Arc<dyn Fs>,
    /// The states of backends that each process could not write.
    unwritten: PerProcess<Arc<Unwritten>>,
    /// The cached recording of each process; `None` before its first event.
    recordings: PerProcess<RwLock<Option<Recording>>>,
}

/// How tracked events are recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// The consent for which the recording is valid.
    collection: Collection,
    /// Makes the line of an event; `None` when no backend would get it.
    pub(crate) by: Option<Arc<Recorder>>,
    /// Whether the line stays on this machine.
    pub(crate) local: bool,
}

impl Context {
    pub(crate) fn new(
        settings: Settings,
        enabled: bool,
        consent: ConsentSource,
        data: Option<PathBuf>,
        fs: Arc<dyn Fs>,
    ) -> Self {
        Self {
            spools: data.as_ref().map(|data| Spools::open(data, &settings.limits, &fs)),
            settings,
            enabled,
            consent: Arc::new(consent),
            gate: Gate::default(),
            data,
            homeless: AtomicU64::new(0),
            unwritten: PerProcess::new(fs.process(), Arc::default()),
            recordings: PerProcess::new(fs.process(), RwLock::default()),
            fs,
        }
    }

    /// The number of this process.
    pub(crate) fn process(&self) -> u32 {
        self.fs.process()
    }

    /// The time of the file system's clock, which dates all stored data.
    pub(crate) fn now_ms(&self) -> u64 {
        self.fs.now_ms()
    }

    /// Whether both the author and the user consent.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled && self.consent.read().is_enabled()
    }

    /// Whether author and user consent, by a cached answer.
    pub(crate) fn is_open(&self) -> bool {
        self.enabled && self.gate.is_open(&self.consent)
    }

    /// How `process`, the calling process, records events now.
    pub(crate) fn recording(&self, process: u32) -> Recording {
        let collection = self.consent.current();
        let cache = self.recordings.of(process, |_| RwLock::default());
        // A subscriber that logs may track an event itself, so no lock is held from here on.
        let known = cache.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known.filter(|known| known.collection == collection) {
            Some(known) => known,
            None => {
                let found = self.find_recording(collection);
                *cache.write().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                found
            }
        }
    }

    /// Makes the next event look up the recording again.
    pub(crate) fn forget_recorder(&self) {
        let cache = self.recordings.of(self.process(), |_| RwLock::default());
        *cache.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn find_recording(&self, collection: Collection) -> Recording {
        let nowhere = Recording { collection, by: None, local: false };
        if collection == Collection::Off {
            return nowhere;
        }
        let info = self.select_for(collection).info;
        if info.why == SelectionReason::Nothing {
            tracing::debug!("telemetry: no backend is configured, nothing is recorded");
            return nowhere;
        }
        let recorder = self.recorder_for(&self.machine_id().read().id);
        Recording { by: Some(Arc::new(recorder)), local: info.stays_here(collection), ..nowhere }
    }

    pub(crate) fn machine_id(&self) -> MachineIdFile {
        MachineIdFile::new(&self.settings.tool, self.trusted_data())
    }

    /// The backends under the present consent, not opened.
    pub(crate) fn select(&self) -> Selected {
        self.select_for(self.consent.read().collection)
    }

    /// The backends under another consent, not opened.
    pub(crate) fn select_for(&self, collection: Collection) -> Selected {
        let mut selected = select(&self.settings, collection, self.data.as_deref());
        if let Some(data) = self.trusted_data() {
            for target in &mut selected.targets {
                target.remember_crashes(data.join(CRASHES));
            }
        }
        selected
    }

    /// The plugin files that have crashed in isolated children.
    pub(crate) fn crashes(&self) -> Vec<Crash> {
        self.trusted_data().map(|data| jackfield_loader::crashes(&data.join(CRASHES))).unwrap_or_default()
    }

    /// A batch of an event that is not recorded.
    pub(crate) fn batch_of(&self, event: &Event<'_>, machine_id: &str) -> Result<Batch, Error> {
        let mut buffer = EventBuffer::new(self.fill());
        self.recorder_for(machine_id).record_as_is(self.process(), event, |line| buffer.push_line(line))?;
        Ok(buffer.take())
    }

    fn recorder_for(&self, machine_id: &str) -> Recorder {
        let origin = Origin {
            machine_id,
            tool_name: &self.settings.tool,
            version: &self.settings.version,
            os_version: &os_version(),
        };
        let Settings { metadata, extended, personal_data, rules, .. } = &self.settings;
        // Only arguments and messages are searched for personal data.
        let personal =
            (*extended && *personal_data == PersonalData::Redact).then(PersonalNames::of_this_process);
        Recorder::new(Encoder::new(origin), metadata, *extended, personal, rules.clone())
    }

    /// The values for members that a line of the spool lacks. Recorded lines lack none; lines of a damaged spool may.
    pub(crate) fn fill(&self) -> EventDefaults {
        EventDefaults::new(&self.settings.tool, &self.settings.version)
            .with_machine_id(&self.machine_id().peek())
    }

    /// The data folder, unless others can write to it.
    pub(crate) fn trusted_data(&self) -> Option<&Path> {
        self.data.as_deref().filter(|data| files::data_refusal(data).is_none())
    }

    pub(crate) fn states(&self) -> Option<States> {
        let unwritten = self.unwritten.of(self.process(), |_| Arc::default());
        self.trusted_data().map(|data| States::new(data, unwritten))
    }

    pub(crate) fn in_flight(&self) -> Option<InFlightLock> {
        self.trusted_data().map(InFlightLock::new)
    }

    pub(crate) fn unconfirmed(&self) -> Option<UnconfirmedFile> {
        self.trusted_data().map(UnconfirmedFile::new)
    }

    /// What delivers under `collection`, to the backends of the table from now on; `None` without a folder.
    pub(crate) fn delivery(&self, collection: Collection, backends: &Arc<Backends>) -> Option<SpoolDelivery> {
        let Selected { targets, info, .. } = self.select_for(collection);
        if let SelectionReason::Broken(reason) = &info.why {
            tracing::warn!("telemetry waits: {reason}");
        }
        let consent = Arc::clone(&self.consent);
        let consented: ConsentCheck = Arc::new(move || consent.read().collection);
        let local = info.stays_here(collection);
        let config = DeliveryConfig {
            spool: self.spools.as_ref()?.get(local).clone(),
            states: self.states()?,
            in_flight: self.in_flight()?,
            unconfirmed: self.unconfirmed().filter(|_| !local),
            mode: self.settings.mode,
            fill: self.fill(),
            collection,
            local,
            may_send: Arc::clone(&consented),
            consented,
        };
        Some(SpoolDelivery::new(config, targets, backends))
    }

    pub(crate) fn enforce_limits(&self) -> Result<(), Error> {
        self.spools.as_ref().map_or(Ok(()), Spools::enforce_limits)
    }

    /// Drops all waiting events.
    pub(crate) fn drop_pending(&self) -> Result<(), Error> {
        self.spools.as_ref().map_or(Ok(()), Spools::drop_pending)
    }
}
