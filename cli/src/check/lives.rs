//! Lives of an instance, from `open` to its end: with the given options, with platforms of the kit, and with options that the
//! plugin refuses.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jackfield_loader::{
    Batch,
    conformance::{HostKind, Terms},
};
use serde_json::{Map, Value, json};

use super::{
    endpoint,
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, Harness, TIMEOUT},
    sample_events,
};

/// The timeout of a call in each of many lives.
pub(super) const BRIEF: Duration = Duration::from_millis(50);

/// A life with these options.
#[derive(Clone)]
pub(super) struct Life {
    options: String,
    batch: Arc<Batch>,
    course: Course,
    /// Whether its platform does not answer in time, which is [`BRIEF`].
    waits: bool,
}

/// What happens in a life.
#[derive(Clone, Copy)]
enum Course {
    /// These calls, and then the end.
    Calls(&'static [Call]),
    /// `open` refuses the options.
    IsRefused,
}

/// One call in a life.
#[derive(Clone, Copy)]
enum Call {
    Send,
    /// `send`, cancelled from the start.
    SendCancelled,
    Preview,
    Probe,
    RequestDeletion,
    Close,
}

/// What is usual.
const USUAL: Course = Course::Calls(&[Call::Send, Call::Close]);

/// Each call, and `send` also after `close`.
const EACH_CALL: Course = Course::Calls(&[
    Call::SendCancelled,
    Call::Preview,
    Call::Probe,
    Call::RequestDeletion,
    Call::Send,
    Call::Close,
    Call::Send,
]);

const IS_NOT_CLOSED: Course = Course::Calls(&[Call::Send]);

/// The calls of the optional tables that wait for the platform.
const ASKS: Course = Course::Calls(&[Call::Probe, Call::RequestDeletion, Call::Close]);

impl Life {
    /// The life with the given options.
    pub(super) fn configured(harness: &Harness) -> Self {
        let batch = Arc::new(sample_events::ordinary(3));
        Self { options: harness.task.config.clone(), batch, course: USUAL, waits: false }
    }

    /// The life with a platform there; none if no option is an endpoint.
    pub(super) fn at(harness: &Harness, address: SocketAddr) -> Option<Self> {
        let options = endpoint::config(harness, address).ok()?;
        Some(Self { options, ..Self::configured(harness) })
    }

    /// Lives with a platform that answers, and with one that is away; none if no option is an endpoint.
    pub(super) fn with_platforms(harness: &Harness) -> Result<Vec<Self>, CheckError> {
        let addresses = harness.task.answering.into_iter().chain([fake_platform::closed_address()?]);
        Ok(addresses.filter_map(|address| Self::at(harness, address)).collect())
    }

    /// A life with a platform that does not answer in time.
    fn waiting(harness: &Harness, address: SocketAddr) -> Option<Self> {
        Self::at(harness, address).map(|life| Self { waits: true, ..life })
    }

    fn with(&self, course: Course) -> Self {
        Self { course, ..self.clone() }
    }

    /// Lives that `open` refuses.
    fn refused(harness: &Harness) -> Vec<Self> {
        let options = [Some(with_unknown_key(harness)), endpoint::with_unusable_endpoint(harness)];
        let refused = |options| Self {
            options: Value::from(options).to_string(),
            course: Course::IsRefused,
            ..Self::configured(harness)
        };
        options.into_iter().flatten().map(refused).collect()
    }

    /// Makes it. `during` runs after each call. Only a longer timeout than [`BRIEF`] is one that `send` has to keep; the calls of
    /// the optional tables have checks of their own.
    pub(super) fn live(
        &self,
        harness: &Harness,
        timeout: Duration,
        during: impl Fn(),
    ) -> Result<(), CheckError> {
        let Course::Calls(calls) = self.course else {
            let (_, instance) = harness.subject.open(&self.options, &Terms::new(TIMEOUT));
            return instance.map_or(Ok(()), harness::end);
        };
        let instance = harness.open_with(&self.options, &Terms::new(TIMEOUT))?;
        let timeout = if self.waits { BRIEF } else { timeout };
        for call in calls {
            let terms = Terms::new(timeout);
            match call {
                Call::Send | Call::SendCancelled => {
                    if matches!(call, Call::SendCancelled) {
                        terms.cancel.cancel();
                    }
                    // Many plugins connect and start threads only with the first event.
                    let answer = instance.send(&self.batch, &terms);
                    if timeout > BRIEF {
                        harness::judge("send", &answer, &terms)?;
                    }
                }
                Call::Preview => drop(instance.preview(&self.batch, &terms)),
                Call::Probe => drop(instance.probe(&terms)),
                Call::RequestDeletion => {
                    let event = sample_events::ordinary(1);
                    drop(instance.request_deletion(sample_events::MACHINE, &event, &terms));
                }
                Call::Close => harness::close(&instance, HostKind::Today)?,
            }
            during();
        }
        harness::free(instance)
    }
}

/// Lives of an instance, one after the other: each has the given options, one has in turn a platform of the kit or a rare course,
/// and one is refused.
pub(super) struct Lives<'a> {
    harness: &'a Harness,
    /// The timeout of calls.
    timeout: Duration,
    configured: Life,
    platforms: Vec<Life>,
    rare: Vec<Life>,
    costly: Vec<Life>,
    refused: Vec<Life>,
    silent: SilentPlatform,
    done: usize,
}

impl<'a> Lives<'a> {
    pub(super) fn new(harness: &'a Harness, timeout: Duration) -> Result<Self, CheckError> {
        let silent = SilentPlatform::start()?;
        let configured = Life::configured(harness);
        let platforms = Life::with_platforms(harness)?;
        let (first, others) = platforms.split_first().unwrap_or((&configured, &[]));
        let waiting = Life::waiting(harness, silent.address()?);
        let mut rare = vec![first.with(EACH_CALL), first.with(IS_NOT_CLOSED)];
        rare.extend(others.iter().map(|life| life.with(EACH_CALL)));
        rare.extend(waiting.clone());
        let mut costly =
            vec![Life { batch: Arc::new(sample_events::ordinary(sample_events::LARGE)), ..first.clone() }];
        costly.extend(harness.task.slow.and_then(|address| Life::waiting(harness, address)));
        costly.extend(waiting.map(|life| life.with(ASKS)));
        Ok(Self {
            harness,
            timeout,
            configured,
            platforms,
            rare,
            costly,
            refused: Life::refused(harness),
            silent,
            done: 0,
        })
    }

    /// The number after which each has been made, but for the costly ones.
    pub(super) fn kinds(&self) -> usize {
        (self.platforms.len() + 1) * self.rare.len()
    }

    /// Makes the next ones. Those of rare courses have one turn together.
    pub(super) fn next(&mut self) -> Result<(), CheckError> {
        let turns = self.platforms.len() + 1;
        let other = match self.platforms.get(self.done % turns) {
            Some(life) => life,
            None => &self.rare[self.done / turns % self.rare.len()],
        };
        let refused = &self.refused[self.done % self.refused.len()];
        for life in [&self.configured, other, refused] {
            self.live(life, || ())?;
        }
        self.done += 1;
        Ok(())
    }

    /// Makes those that are too costly for many: with a large batch, with a platform whose answer does not end, and with one that
    /// does not answer what the optional tables ask.
    pub(super) fn costly(&self) -> Result<(), CheckError> {
        self.costly.iter().try_for_each(|life| self.live(life, || ()))
    }

    /// Makes each one once. `look` runs after each call, and after each life.
    pub(super) fn each(&self, look: impl Fn()) -> Result<(), CheckError> {
        let others = self.platforms.iter().chain(&self.rare).chain(&self.costly).chain(&self.refused);
        for life in [&self.configured].into_iter().chain(others) {
            self.live(life, &look)?;
            look();
        }
        Ok(())
    }

    fn live(&self, life: &Life, during: impl Fn()) -> Result<(), CheckError> {
        life.live(self.harness, self.timeout, during)?;
        // Connections to it must not become too many.
        while self.silent.was_contacted() {}
        Ok(())
    }
}

/// An option that no plugin knows.
pub(super) const UNKNOWN: &str = "jackfield_check_unknown";

/// The given options, and one that no plugin knows.
pub(super) fn with_unknown_key(harness: &Harness) -> Map<String, Value> {
    let mut config = harness.config.clone();
    config.insert(UNKNOWN.to_owned(), json!(1));
    config
}
