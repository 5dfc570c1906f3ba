//! What every check in a child uses: the plugin, its options, and the rules for each answer.

use std::time::Duration;

use jackfield_loader::{
    Batch,
    conformance::{Answer, HostKind, Instance, ProcessState, Subject, Terms},
    plugin_api::abi,
};
use serde_json::{Map, Value};

use super::{
    finding::{CheckError, fail},
    task::Task,
};

/// How long an ordinary call may take: enough for a megabyte on a slow machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call is given where the platform does not answer.
pub(super) const SHORT: Duration = Duration::from_secs(2);

/// The plugin and what it is given.
pub(super) struct Harness {
    pub(super) subject: Subject,
    /// The state of the process before the library was mapped: constructors run while it is mapped.
    pub(super) before: ProcessState,
    pub(super) task: Task,
    /// The options.
    pub(super) config: Map<String, Value>,
}

impl Harness {
    pub(super) fn load(task: Task) -> Result<Self, CheckError> {
        let before = ProcessState::now();
        let subject = Subject::load(&task.file)
            .map_err(|error| fail(error.to_string(), "the message says what its vendor has to change"))?;
        let config = serde_json::from_str(&task.config).unwrap_or_default();
        Ok(Self { subject, before, task, config })
    }

    /// The schema of the options, when the metadata has one.
    pub(super) fn schema(&self) -> Option<Value> {
        let schema = self.subject.plugin().metadata().config_schema.as_ref()?;
        serde_json::from_str(schema.get()).ok()
    }

    /// Opens an instance with the given options.
    pub(super) fn open(&self) -> Result<Instance, CheckError> {
        self.open_with(&self.task.config, &Terms::new(TIMEOUT))
    }

    /// Opens an instance that the same host calls later on.
    pub(super) fn open_for(&self, host: HostKind) -> Result<Instance, CheckError> {
        self.open_with(&self.task.config, &Terms::new(TIMEOUT).host(host))
    }

    /// Opens an instance, which has to succeed.
    pub(super) fn open_with(&self, config: &str, terms: &Terms) -> Result<Instance, CheckError> {
        let (answer, instance) = self.subject.open(config, terms);
        judge("open", &answer, terms)?;
        instance.ok_or_else(|| {
            let advice = if answer.status == abi::STATUS_INVALID_CONFIG {
                "give the options that the plugin needs with --config FILE or --config-json JSON"
            } else {
                "`open` succeeds while the platform is away: connect on the first `send`"
            };
            fail(format!("`open` failed: {}", said(&answer)), advice)
        })
    }
}

/// The rules for every answer.
pub(super) fn judge(what: &str, answer: &Answer, terms: &Terms) -> Result<(), CheckError> {
    if let Some(breach) = answer.breaches.first() {
        return Err(fail(
            format!("`{what}`: {breach}"),
            "the contract is in jackfield.h, function by function: do what it says there",
        ));
    }
    match answer.status {
        abi::STATUS_PANIC => {
            return Err(fail(
                format!("`{what}` panicked: {}", said(answer)),
                "a panic costs the host the instance: return an error instead",
            ));
        }
        abi::STATUS_INVALID_ARGUMENT => {
            return Err(fail(
                format!("`{what}` refused arguments that the contract allows: {}", said(answer)),
                "take every argument that jackfield.h describes, unknown tables and empty views included",
            ));
        }
        status if !(abi::STATUS_OK..=abi::STATUS_UNAVAILABLE).contains(&status) => {
            return Err(fail(
                format!("`{what}` returned the unknown status {status}"),
                "return one of the STATUS_ numbers of jackfield.h: hosts treat any other number as a failure",
            ));
        }
        _ => {}
    }
    in_time(what, answer, terms)?;
    let unexplained = answer.explained.as_ref().is_none_or(|(_, message)| message.is_empty());
    if answer.status != abi::STATUS_OK && unexplained {
        return Err(fail(
            format!("`{what}` returned status {} and explained nothing", answer.status),
            "say why through `call->explain` before any status but OK is returned",
        ));
    }
    Ok(())
}

/// The call has to return by its timeout, plus a fifth of it, plus a margin for a busy machine.
pub(super) fn in_time(what: &str, answer: &Answer, terms: &Terms) -> Result<(), CheckError> {
    const BUSY: Duration = Duration::from_millis(250);
    if answer.took > terms.timeout.mul_f64(1.2) + BUSY {
        return Err(fail(
            format!("`{what}` took {}, and was given {}", seconds(answer.took), seconds(terms.timeout)),
            "keep the call's `timeout_ns`: report what is known by then, and return",
        ));
    }
    Ok(())
}

/// The plugin's explanation of a failure.
pub(super) fn said(answer: &Answer) -> String {
    match &answer.explained {
        None => format!("status {}, without an explanation", answer.status),
        Some((subject, message)) if subject.is_empty() => message.clone(),
        Some((subject, message)) => format!("{subject}: {message}"),
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Sends and judges.
pub(super) fn send(instance: &Instance, batch: &Batch, terms: &Terms) -> Result<Answer, CheckError> {
    let answer = instance.send(batch, terms);
    judge("send", &answer, terms)?;
    Ok(answer)
}

/// Closes, which has to succeed, and frees.
pub(super) fn end(instance: Instance, host: HostKind) -> Result<(), CheckError> {
    close(&instance, host)?;
    free(instance)
}

/// Closes, which has to succeed.
pub(super) fn close(instance: &Instance, host: HostKind) -> Result<(), CheckError> {
    let terms = Terms::new(TIMEOUT).host(host);
    let answer = instance.close(&terms);
    judge("close", &answer, &terms)?;
    if answer.status != abi::STATUS_OK {
        return Err(fail(
            format!("`close` failed: {}", said(&answer)),
            "`close` fails only when an event is lost that `send` reported as delivered",
        ));
    }
    Ok(())
}

pub(super) fn free(instance: Instance) -> Result<(), CheckError> {
    let (status, took) = instance.free();
    if status != abi::STATUS_OK {
        return Err(fail(
            format!("`free` returned status {status}"),
            "`free` destroys the instance and can't fail: see that no destructor panics",
        ));
    }
    if took > TIMEOUT {
        return Err(fail(
            format!("`free` took {}", seconds(took)),
            "`free` must not wait: do slow work in `close`, which has a timeout",
        ));
    }
    Ok(())
}
