//! Lives of an instance, from `open` to its end: with the given options, with platforms of the kit, and with options that the
//! plugin refuses.

use std::{net::SocketAddr, time::Duration};

use jackfield_loader::{
    Batch,
    conformance::{HostKind, Terms},
};
use serde_json::{Map, Value, json};

use super::{
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, Harness, TIMEOUT},
    sample_events,
};

/// The timeout of `send` in each of many lives.
pub(super) const BRIEF: Duration = Duration::from_millis(50);

/// A life with these options.
pub(super) struct Life {
    options: String,
    course: Course,
}

/// What happens in a life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    /// A batch is sent.
    Sends,
    /// The call that sends is cancelled from the start.
    IsCancelled,
    /// A batch is sent after `close`.
    SendsClosed,
    /// There is no `close`.
    IsNotClosed,
    /// The platform does not answer in time, which is short.
    TimesOut,
    /// A batch is previewed, and the platform is probed.
    Diagnoses,
    /// `open` refuses the options.
    IsRefused,
}

impl Life {
    /// The life with the given options.
    pub(super) fn configured(harness: &Harness) -> Self {
        Self { options: harness.task.config.clone(), course: Course::Sends }
    }

    /// The life with a platform there; none if no option is an endpoint.
    pub(super) fn at(harness: &Harness, address: SocketAddr) -> Option<Self> {
        let options = fake_platform::config(harness, address).ok()?;
        Some(Self { options, course: Course::Sends })
    }

    /// Lives with a platform that answers, and with one that is away; none if no option is an endpoint.
    pub(super) fn with_platforms(harness: &Harness) -> Result<Vec<Self>, CheckError> {
        let addresses = harness.task.answering.into_iter().chain([fake_platform::closed_address()?]);
        Ok(addresses.filter_map(|address| Self::at(harness, address)).collect())
    }

    /// Lives of courses that are rare, with the options of another.
    fn rare(of: &Self) -> impl Iterator<Item = Self> {
        let courses = [Course::IsCancelled, Course::SendsClosed, Course::IsNotClosed, Course::Diagnoses];
        courses.into_iter().map(|course| Self { options: of.options.clone(), course })
    }

    /// Lives that `open` refuses.
    pub(super) fn refused(harness: &Harness) -> Vec<Self> {
        let options = [Some(with_unknown_key(harness)), fake_platform::with_unusable_endpoint(harness)];
        let refused = |options| Self { options: Value::from(options).to_string(), course: Course::IsRefused };
        options.into_iter().flatten().map(refused).collect()
    }

    /// Makes it. `during` runs when the batch has been sent. Only a longer timeout than [`BRIEF`] is one that the call has to keep.
    pub(super) fn live(
        &self,
        harness: &Harness,
        batch: &Batch,
        timeout: Duration,
        during: impl FnOnce(),
    ) -> Result<(), CheckError> {
        if self.course == Course::IsRefused {
            let (_, instance) = harness.subject.open(&self.options, &Terms::new(TIMEOUT));
            return instance.map_or(Ok(()), harness::end);
        }
        let instance = harness.open_with(&self.options, &Terms::new(TIMEOUT))?;
        let timeout = if self.course == Course::TimesOut { BRIEF } else { timeout };
        let terms = Terms::new(timeout);
        match self.course {
            Course::IsCancelled => terms.cancel.cancel(),
            Course::SendsClosed => harness::close(&instance, HostKind::Today)?,
            Course::Diagnoses => {
                drop(instance.preview(batch, &terms));
                drop(instance.probe(&terms));
            }
            Course::Sends | Course::IsNotClosed | Course::TimesOut | Course::IsRefused => {}
        }
        // Many plugins connect and start threads only with the first event.
        let answer = instance.send(batch, &terms);
        if timeout > BRIEF {
            harness::judge("send", &answer, &terms)?;
        }
        during();
        match self.course {
            Course::SendsClosed | Course::IsNotClosed => harness::free(instance),
            _ => harness::end(instance),
        }
    }
}

/// Lives of an instance, one after the other: each has the given options, one has in turn a platform of the kit or a rare course,
/// and one is refused.
pub(super) struct Lives<'a> {
    harness: &'a Harness,
    batch: Batch,
    /// The timeout of `send`.
    timeout: Duration,
    configured: Life,
    platforms: Vec<Life>,
    rare: Vec<Life>,
    refused: Vec<Life>,
    silent: SilentPlatform,
    done: usize,
}

impl<'a> Lives<'a> {
    pub(super) fn new(harness: &'a Harness, timeout: Duration) -> Result<Self, CheckError> {
        let silent = SilentPlatform::start()?;
        let configured = Life::configured(harness);
        let platforms = Life::with_platforms(harness)?;
        let timed_out = Life::at(harness, silent.address()?);
        let timed_out = timed_out.map(|life| Life { course: Course::TimesOut, ..life });
        let rare = Life::rare(platforms.first().unwrap_or(&configured)).chain(timed_out).collect();
        Ok(Self {
            harness,
            batch: sample_events::ordinary(1),
            timeout,
            configured,
            platforms,
            rare,
            refused: Life::refused(harness),
            silent,
            done: 0,
        })
    }

    /// The number after which each has been made.
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
            self.live(life)?;
        }
        self.done += 1;
        Ok(())
    }

    /// Makes each one once.
    pub(super) fn each(&self) -> Result<(), CheckError> {
        let others = self.platforms.iter().chain(&self.rare).chain(&self.refused);
        [&self.configured].into_iter().chain(others).try_for_each(|life| self.live(life))
    }

    fn live(&self, life: &Life) -> Result<(), CheckError> {
        life.live(self.harness, &self.batch, self.timeout, || ())?;
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
