//! The parts of every check in a child: its task, the plugin, the rules for each answer, and the finding.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use jackfield_loader::{
    Batch,
    conformance::{Answer, HostKind, Instance, Made, ProcessState, Subject, Terms},
    plugin_api::abi,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{lateness, left, sample_events};

/// The timeout of an ordinary call: enough for a megabyte on a slow machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout of a call to a platform that does not answer.
pub(super) const SHORT: Duration = Duration::from_secs(2);

/// One check and its parameters. The parent writes the task as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) check: String,
    pub(super) file: PathBuf,
    /// The plugin's options, a JSON object.
    pub(super) config: String,
    /// Whether the plugin is checked for a process of its own.
    pub(super) own_process: bool,
    /// The key of the endpoint, if the command line names it.
    pub(super) endpoint: Option<String>,
    /// The number of threads that may stay.
    pub(super) kept_threads: usize,
    /// The number of instances in the check for leaks.
    pub(super) cycles: u32,
    /// The time for these instances, in seconds.
    pub(super) budget_s: u64,
    /// The address of a platform that answers, outside of this process.
    pub(super) answering: Option<SocketAddr>,
    /// The same of one whose answer does not end.
    pub(super) slow: Option<SocketAddr>,
    /// The code with which the process of the check of its end has to end, which no plugin knows.
    pub(super) exit_code: i32,
    /// A folder that nothing else uses.
    pub(super) folder: PathBuf,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    Fail,
    Skipped,
    /// The plugin refuses the options that the user has given, so nothing can be checked.
    Refused,
}

/// The finding of one check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was found, or why the check was skipped.
    pub(super) found: String,
    /// What to do about a failure; otherwise empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

/// What a child reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildReport {
    pub(super) finding: Finding,
    /// The files in its folder before the end of its process, where that is checked.
    pub(super) files: Vec<PathBuf>,
}

/// Why a check does not pass.
#[derive(Debug)]
pub(super) enum CheckError {
    Failed { found: String, advice: String },
    Skipped(String),
    Refused(String),
}

/// Why what belongs to the tool's process is not checked.
pub(super) const OWN_PROCESS: &str = "in a process of its own";

/// What a check has found, in a few words.
pub(super) type CheckResult = Result<String, CheckError>;

pub(super) fn fail(found: impl Into<String>, advice: impl Into<String>) -> CheckError {
    CheckError::Failed { found: found.into(), advice: advice.into() }
}

pub(super) fn skip(why: impl Into<String>) -> CheckError {
    CheckError::Skipped(why.into())
}

impl From<CheckResult> for Finding {
    fn from(checked: CheckResult) -> Self {
        match checked {
            Ok(found) => Self { verdict: Verdict::Pass, found, advice: String::new() },
            Err(error) => error.into(),
        }
    }
}

impl From<CheckError> for Finding {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Failed { found, advice } => Self { verdict: Verdict::Fail, found, advice },
            CheckError::Skipped(found) => Self { verdict: Verdict::Skipped, found, advice: String::new() },
            CheckError::Refused(found) => Self { verdict: Verdict::Refused, found, advice: String::new() },
        }
    }
}

/// The plugin and its options.
pub(super) struct Harness {
    pub(super) subject: Subject,
    /// The state of the process before the library was mapped, and its constructors ran.
    pub(super) before: ProcessState,
    /// The number of threads at that time, where the system shows them.
    pub(super) threads_before: Option<usize>,
    /// What the plugin makes in places that all programs share, in a check that looks there and where the system shows it.
    pub(super) made: Option<Made>,
    pub(super) task: Task,
    /// The options.
    pub(super) config: Map<String, Value>,
}

impl Harness {
    pub(super) fn load(task: Task, made: Option<Made>) -> Result<Self, CheckError> {
        let (before, threads_before) = (ProcessState::now(), threads());
        let subject = Subject::load(&task.file, task.own_process)
            .map_err(|error| fail(error.to_string(), "the message says what its vendor has to change"))?;
        let config = serde_json::from_str(&task.config).unwrap_or_default();
        Ok(Self { subject, before, threads_before, made, task, config })
    }

    /// The number of threads when all that the plugin has started have ended; `None` where that is not known, or where they are
    /// the plugin's own affair.
    pub(super) fn threads_at_rest(&self) -> Option<usize> {
        (!self.task.own_process).then(|| self.threads_before.map(|before| before + self.task.kept_threads))?
    }

    /// Waits until the threads that the plugin has started have ended, at most for 2 seconds. Gives whether they have.
    pub(super) fn wait_for_threads(&self) -> bool {
        let Some(most) = self.threads_at_rest() else { return true };
        left::poll(|| threads().is_none_or(|threads| threads <= most))
    }

    /// The schema of the options, when the metadata has one.
    pub(super) fn schema(&self) -> Option<Value> {
        let schema = self.subject.plugin().metadata().config_schema.as_ref()?;
        serde_json::from_str(schema.get()).ok()
    }

    /// Opens an instance with the given options.
    pub(super) fn open(&self) -> Result<Instance, CheckError> {
        self.open_for(HostKind::Today)
    }

    /// Opens an instance with the given options, for calls of this host.
    pub(super) fn open_for(&self, host: HostKind) -> Result<Instance, CheckError> {
        self.open_with(&self.task.config, &Terms::new(TIMEOUT).host(host))
    }

    /// Opens an instance, which has to succeed.
    pub(super) fn open_with(&self, config: &str, terms: &Terms) -> Result<Instance, CheckError> {
        let (answer, instance) = self.subject.open(config, terms);
        opened(&answer, instance, terms)
    }
}

/// Judges the answer of `open`, which has to succeed.
pub(super) fn opened(
    answer: &Answer,
    instance: Option<Instance>,
    terms: &Terms,
) -> Result<Instance, CheckError> {
    judge("open", answer, terms)?;
    instance.ok_or_else(|| not_opened(answer))
}

/// The failure of an `open` that had to succeed.
pub(super) fn not_opened(answer: &Answer) -> CheckError {
    let advice = if answer.status == abi::STATUS_INVALID_CONFIG {
        "options that are taken once are taken always, from every host"
    } else {
        "`open` succeeds while the platform is away: connect on the first `send`"
    };
    fail(format!("`open` failed: {}", said(answer)), advice)
}

/// The number of threads of this process; `None` where there is no `/proc`. On Windows that would be a folder of the current
/// drive.
pub(super) fn threads() -> Option<usize> {
    if cfg!(windows) {
        return None;
    }
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// Checks the rules for every answer.
pub(super) fn judge(what: &str, answer: &Answer, terms: &Terms) -> Result<(), CheckError> {
    if let Some(breach) = answer.breaches.first() {
        let advice = "the contract is in jackfield.h, function by function: do what it says there";
        return Err(fail(format!("`{what}`: {breach}"), advice));
    }
    // The call has to return by its timeout, plus a fifth of it, plus a margin for a busy machine.
    const BUSY: Duration = Duration::from_millis(250);
    let of_machine = answer.started.map_or(Duration::ZERO, lateness::since);
    let is_late = answer.took > terms.timeout.mul_f64(1.2) + BUSY + of_machine;
    let is_explained = answer.explained.as_ref().is_some_and(|(_, message)| !message.is_empty());
    let (found, advice) = match answer.status {
        abi::STATUS_PANIC => (
            format!("panicked: {}", said(answer)),
            "a panic costs the host the instance: return an error instead",
        ),
        abi::STATUS_INVALID_ARGUMENT => (
            format!("refused arguments that the contract allows: {}", said(answer)),
            "take every argument that jackfield.h describes, unknown tables and empty views included",
        ),
        status if !(abi::STATUS_OK..=abi::STATUS_UNAVAILABLE).contains(&status) => (
            format!("returned the unknown status {status}"),
            "return one of the STATUS_ numbers of jackfield.h: hosts treat any other number as a failure",
        ),
        _ if is_late => (
            format!("took {}, and was given {}", seconds(answer.took), seconds(terms.timeout)),
            "keep the call's `timeout_ns`: report what is known by then, and return",
        ),
        status if status != abi::STATUS_OK && !is_explained => (
            format!("returned status {status} and explained nothing"),
            "say why through `call->explain` before any status but OK is returned",
        ),
        _ => return Ok(()),
    };
    Err(fail(format!("`{what}` {found}"), advice))
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

/// Sends a batch and judges the answer.
pub(super) fn send(instance: &Instance, batch: &Batch, terms: &Terms) -> Result<Answer, CheckError> {
    let answer = instance.send(batch, terms);
    judge("send", &answer, terms)?;
    Ok(answer)
}

/// Sends ordinary events and judges the answer.
pub(super) fn send_ordinary(
    instance: &Instance,
    events: usize,
    timeout: Duration,
) -> Result<Answer, CheckError> {
    send(instance, &sample_events::ordinary(events), &Terms::new(timeout))
}

/// Closes the instance, which has to succeed, and frees it.
pub(super) fn end(instance: Instance) -> Result<(), CheckError> {
    close(&instance, HostKind::Today)?;
    free(instance)
}

/// Closes the instance, which has to succeed.
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
