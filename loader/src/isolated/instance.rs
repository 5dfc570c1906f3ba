//! The host's side of a backend in child processes: how the guard enters an instance there.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use jackfield_plugin_api::Outcome;
use jackfield_plugin_api::abi::{self, Status};

use super::channel::{Channel, ChannelError, Completed, Request};
use super::child::JOB;
use super::crash_history::CrashHistory;
use super::protocol::{BUILD, DoesNotFit, Record, Setup, record};
use super::reaper::{self, ChildHandle};
use super::system::{self, HostControl};
use crate::boundary::process::{deadline, lock, process_id};
use crate::boundary::text::{self, REASON_LIMIT};
use crate::guard::call::{CallState, Explanation, Origin};
use crate::guard::error::{CloseFailure, OpenFailure, Stage};
use crate::guard::executor::{Entry, Executor, Work};
use crate::guard::options::{BackendOptions, ProcessOptions};
use crate::library::content::Content;
use crate::library::location::Location;
use crate::load::tables::{Abilities, Function};
use crate::reexec::program::Program;
use crate::reexec::{Ended, Spawn};

/// Most calls that may be inside one child at once.
const MOST_CHANNELS: usize = 16;

/// The specification of a backend's child processes, the first one and those after a failure.
struct ChildSpec {
    program: Program,
    content: Arc<Content>,
    /// The setup of each child, without the number of its parent.
    setup: Setup,
    timeout: Duration,
    channels: usize,
    history: CrashHistory,
    /// [`Abilities`] of the plugin, once an instance has been opened.
    abilities: AtomicU64,
    starts: AtomicU64,
    gave_up: AtomicBool,
}

/// The way into child processes for the plugin with these bytes.
///
/// # Errors
/// [`OpenFailure::LeftAlone`].
pub(crate) fn entry(
    content: Arc<Content>,
    plugin: &Location,
    process: &ProcessOptions,
    options: &BackendOptions,
) -> Result<Box<dyn Entry>, OpenFailure> {
    let history = CrashHistory::new(process.crashes.clone(), &plugin.code_file(), options.circuit_backoff);
    if let Some(refusal) = history.refusal(|| content.digest(), SystemTime::now()) {
        return Err(OpenFailure::LeftAlone(refusal));
    }
    Ok(Box::new(spec(content, plugin, process, options, history, false)))
}

/// As [`entry`], for children that end before they load the plugin. Never fails.
pub(crate) fn rehearsal(
    content: Arc<Content>,
    plugin: &Location,
    process: &ProcessOptions,
    options: &BackendOptions,
) -> Result<Box<dyn Entry>, OpenFailure> {
    let history = CrashHistory::new(None, &plugin.code_file(), options.circuit_backoff);
    Ok(Box::new(spec(content, plugin, process, options, history, true)))
}

fn spec(
    content: Arc<Content>,
    plugin: &Location,
    process: &ProcessOptions,
    options: &BackendOptions,
    history: CrashHistory,
    rehearsal: bool,
) -> Arc<ChildSpec> {
    let (program, built_in) = match plugin {
        Location::File(_) => (process.program.clone(), None),
        // No other program has it.
        Location::BuiltIn(plugin) => (Program::Own, Some(plugin.name().to_owned())),
    };
    Arc::new(ChildSpec {
        program,
        content,
        setup: Setup {
            build: BUILD.to_owned(),
            parent: 0,
            path: plugin.code_file(),
            built_in,
            backend: options.name.clone(),
            tool_name: options.tool_name.clone(),
            tool_version: options.tool_version.clone(),
            config: options.config.clone(),
            limits: process.limits.clone(),
            sandbox: process.sandbox.clone(),
            rehearsal,
        },
        timeout: options.timeout,
        channels: options.concurrency.clamp(1, MOST_CHANNELS),
        history,
        abilities: AtomicU64::new(0),
        starts: AtomicU64::new(0),
        gave_up: AtomicBool::new(false),
    })
}

impl Entry for Arc<ChildSpec> {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(ChildInstance { spec: Self::clone(self), state: Mutex::default(), lost: OnceLock::new() })
    }

    fn abilities(&self) -> Abilities {
        Abilities(self.abilities.load(Ordering::Acquire))
    }

    fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    fn restarts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed).saturating_sub(1)
    }
}

struct ChildInstance {
    spec: Arc<ChildSpec>,
    state: Mutex<ChildState>,
    /// The end of the child, as the first call noticed it.
    lost: OnceLock<String>,
}

#[derive(Default)]
struct ChildState {
    child: Option<Arc<ChildHandle>>,
    /// The channels that no call uses. A channel whose call did not come back is dropped.
    channels: Vec<Channel>,
    /// The host has killed the child, or will once it has started.
    killed: bool,
}

impl Executor for ChildInstance {
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status {
        let setup;
        let (function, text, batch, answer) = match work {
            Work::Open => {
                // After a fork, the parent is another process.
                let of_parent = Setup { parent: process_id(), ..self.spec.setup.clone() };
                setup = serde_json::to_string(&of_parent).unwrap_or_default();
                (Function::Open, setup.as_str(), None, None)
            }
            Work::Call { function, text, batch, answer } => {
                (*function, text.as_deref().unwrap_or_default(), batch.as_ref(), answer.as_ref())
            }
        };
        let start = if function == Function::Open { self.start() } else { self.borrow() };
        let (child, mut channel) = match start {
            Ok(started) => started,
            Err(lost) => return self.explain(&lost, call),
        };
        let request = Request {
            function,
            text,
            events: batch.map_or(&[], |batch| batch.events()),
            deadline: call.deadline(),
            call: Some(call),
        };
        match channel.call(&request, &child, &mut |record| forward(call, answer.map(|it| &**it), record)) {
            Ok(Completed { status, abilities }) => {
                if function == Function::Open {
                    self.spec.abilities.store(abilities.0, Ordering::Release);
                } else if status == abi::STATUS_OK {
                    self.spec.history.succeeded(|| self.spec.content.digest());
                }
                lock(&self.state).channels.push(channel);
                status
            }
            Err(ChannelError::DoesNotFit(why)) => {
                lock(&self.state).channels.push(channel);
                does_not_fit(function, &why, call)
            }
            Err(lost) => self.explain(&lost, call),
        }
    }

    fn free(&self, opened: bool) -> Result<(), CloseFailure> {
        let mut freed = Ok(());
        if opened && let Ok((child, mut channel)) = self.borrow() {
            let request = Request {
                function: Function::Free,
                text: "",
                events: &[],
                deadline: deadline(self.spec.timeout),
                call: None,
            };
            freed = match channel.call(&request, &child, &mut |_| ()) {
                Ok(Completed { status: abi::STATUS_OK, .. }) => Ok(()),
                Ok(_) => Err(CloseFailure::FreePanicked),
                Err(ChannelError::Late) => Err(CloseFailure::FreeTimedOut),
                Err(lost) => Err(CloseFailure::FreeCrashed { how: self.how_it_ended(&lost) }),
            };
            // A child ends by itself when its channel is closed, and what is below it would be lost from sight.
            lock(&self.state).channels.push(channel);
        }
        self.kill();
        let child = lock(&self.state).child.clone();
        if let Some(child) = child {
            // The child's log is complete then.
            let _ = child.ended(Duration::from_secs(1));
        }
        freed
    }

    fn is_serial(&self) -> bool {
        self.spec.abilities().is_serial()
    }

    /// Kills the child and the processes that it has started. Calls inside return.
    fn kill(&self) {
        let mut state = lock(&self.state);
        state.killed = true;
        if let Some(child) = &state.child {
            child.process.kill_tree();
        }
    }

    fn cancel(&self) {
        if let Some(child) = &lock(&self.state).child {
            child.cancel();
        }
    }

    fn process_id(&self) -> Option<u32> {
        lock(&self.state).child.as_ref().map(|child| child.process.id())
    }
}

impl ChildInstance {
    /// Starts the child. Its first call must use the returned channel.
    fn start(&self) -> Result<(Arc<ChildHandle>, Channel), ChannelError> {
        let spec = &self.spec;
        let start = || {
            let (control, child_control) = HostControl::new()?;
            let mut files = vec![spec.content.share()?];
            files.extend(child_control);
            let mut channels = Vec::new();
            for _ in 0..spec.channels {
                let (channel, theirs) = Channel::new()?;
                channels.push(channel);
                files.extend(theirs);
            }
            let backend = &*spec.setup.backend;
            let mut spawn = Spawn::new(spec.program.clone(), JOB).title(backend).files(files);
            if let Some(sandbox) = &spec.setup.sandbox {
                spawn = spawn.environment(env::vars_os().filter(|(name, _)| sandbox.passes(name)).collect());
            }
            Ok((reaper::start(spawn, control, backend)?, channels))
        };
        let (child, mut channels) = start().map_err(ChannelError::Io)?;
        spec.starts.fetch_add(1, Ordering::Relaxed);
        let first = channels.remove(0);
        let mut state = lock(&self.state);
        if state.killed {
            child.process.kill();
        }
        state.child = Some(Arc::clone(&child));
        state.channels = channels;
        Ok((child, first))
    }

    /// The child, and a channel that no call uses.
    fn borrow(&self) -> Result<(Arc<ChildHandle>, Channel), ChannelError> {
        let mut state = lock(&self.state);
        let child = state.child.clone().ok_or(ChannelError::Died)?;
        let channel = state.channels.pop().ok_or(ChannelError::Died)?;
        Ok((child, channel))
    }

    /// Why there was no child at all, if so. Then the plugin is not the cause.
    fn no_process(&self, lost: &ChannelError) -> Option<String> {
        let helper = match &self.spec.program {
            Program::At(path) => Some(text::show(path)),
            Program::Own => None,
        };
        match (lost, helper) {
            (ChannelError::Io(error), Some(helper)) => Some(format!("`plugins.helper`: {helper}: {error}")),
            (ChannelError::Io(error), None) if error.kind() == std::io::ErrorKind::Unsupported => {
                Some(format!(
                    "{error}, or name a program that begins so, such as the command `jackfield` (`plugins.helper` in the configuration)"
                ))
            }
            (ChannelError::Io(error), None) => Some(error.to_string()),
            (ChannelError::NoChild, Some(helper)) => Some(format!(
                "`plugins.helper`: {helper} ended at once: expected a program of this version whose `main` begins with `jackfield::init();`, such as the command `jackfield`"
            )),
            (ChannelError::NoChild, None) => Some("this program, started again, ended at once".to_owned()),
            _ => None,
        }
    }

    /// Explains why a call did not return, and kills the child.
    fn explain(&self, lost: &ChannelError, call: &CallState) -> Status {
        if let Some(why) = self.no_process(lost) {
            self.kill();
            let message = format!("no process for the plugin: {why}");
            call.explain(Explanation::of(Origin::Stage(Stage::Process), message));
            return abi::STATUS_UNAVAILABLE;
        }
        call.explain(Explanation::of(Origin::Crash, self.how_it_ended(lost)));
        abi::STATUS_FAILED
    }

    /// How the child ended that a call was inside. Kills it, and counts a crash once.
    fn how_it_ended(&self, lost: &ChannelError) -> String {
        let (child, killed) = {
            let state = lock(&self.state);
            (state.child.clone(), state.killed)
        };
        self.kill();
        let how = self.lost.get_or_init(|| {
            let ended = child.and_then(|child| child.ended(Duration::from_secs(2)));
            let how = match lost {
                ChannelError::Broken(what) => (*what).to_owned(),
                ChannelError::Late => "did not answer".to_owned(),
                _ => describe(ended),
            };
            // A child that the host has killed has not crashed.
            if !killed && !matches!(lost, ChannelError::Late) {
                let gave_up = self.spec.history.crashed(|| self.spec.content.digest(), &how);
                self.spec.gave_up.store(gave_up, Ordering::Release);
            }
            how
        });
        how.clone()
    }
}

/// Answers a request that was not sent. A batch is too large; its halves may not be.
fn does_not_fit(function: Function, why: &DoesNotFit, call: &CallState) -> Status {
    match function {
        Function::Send => {
            call.note(0, u64::MAX, Outcome::too_large(why.to_string()));
            return abi::STATUS_OK;
        }
        Function::Open => {
            let message = format!("the configuration: {why}");
            call.explain(Explanation::of(Origin::Stage(Stage::Process), message));
        }
        _ => call.explain(Explanation::of(Origin::Plugin, why.to_string())),
    }
    abi::STATUS_INVALID_ARGUMENT
}

/// Passes a child's record on to the call. Texts are bounded and escaped, as in this process.
pub(super) fn forward(call: &CallState, answer: Option<&AtomicU32>, record: &Record<'_>) {
    let show = |bytes: &[u8]| text::from_bytes(bytes, REASON_LIMIT);
    match record.kind {
        record::REPORT => {
            let reason = show(record.first);
            let outcome = abi::Outcome {
                code: record.code,
                reserved: 0,
                retry_after_ms: record.z,
                reason: abi::Str::new(&reason),
            };
            // SAFETY: the reason is a string of this function.
            call.note(record.x, record.y, unsafe { Outcome::from_abi(&outcome) });
        }
        record::EXPLAIN => call.explain(Explanation {
            subject: show(record.first),
            message: show(record.second),
            origin: Origin::Plugin,
        }),
        record::STAGE => {
            let stage = Stage::of(record.code).unwrap_or(Stage::Process);
            call.explain(Explanation::of(Origin::Stage(stage), show(record.first)));
        }
        record::MESSAGE => {
            let len = usize::try_from(record.x).unwrap_or(usize::MAX).max(record.second.len());
            call.collect(|collected| collected.push(show(record.first), len, || record.second));
        }
        record::NUMBER => {
            if let (Some(answer), Ok(number)) = (answer, u32::try_from(record.x)) {
                answer.store(number, Ordering::Release);
            }
        }
        _ => {}
    }
}

fn describe(ended: Option<Ended>) -> String {
    match ended {
        Some(Ended::Code(code)) => format!("ended with exit code {code} inside a call"),
        ended => match ended.and_then(system::cause) {
            Some(cause) => format!("ended by {cause}"),
            None => "ended, nobody knows how".to_owned(),
        },
    }
}
