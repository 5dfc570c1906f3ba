//! An instance of a backend in a child of its own, as the guard sees it.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use jackfield_plugin_api::{
    Outcome,
    abi::{self, Status},
};

use super::{
    ProcessOptions,
    channel::{Channel, Done, Lost, Request},
    crashes::Memory,
    keeper::{self, Kept},
    wire::{self, BUILD, Kind, Record, Setup, record},
};
use crate::{
    backend::BackendOptions,
    guard::{CallState, Explanation, Said, Work},
    os::Content,
    reexec::{Ended, Program, Spawn},
    text::{self, REASON_LIMIT},
};

/// Most calls that may be inside one child at once.
const MOST_CHANNELS: usize = 16;

/// What an instance in a child is made of, again after each failure.
pub(crate) struct Recipe {
    options: ProcessOptions,
    content: Arc<Content>,
    path: PathBuf,
    backend: String,
    tool_name: String,
    tool_version: String,
    config: String,
    timeout: Duration,
    channels: usize,
    memory: Memory,
    /// The `ABLE_` bits of the last child.
    abilities: AtomicU64,
    starts: AtomicU64,
    gave_up: AtomicBool,
}

impl Recipe {
    pub(crate) fn new(
        content: Arc<Content>,
        path: PathBuf,
        process: ProcessOptions,
        options: &BackendOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(process.crashes.clone(), &path, options.quarantine),
            options: process,
            content,
            path,
            backend: options.name.clone(),
            tool_name: options.tool_name.clone(),
            tool_version: options.tool_version.clone(),
            config: options.config.clone(),
            timeout: options.timeout,
            channels: options.concurrency.clamp(1, MOST_CHANNELS),
            abilities: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            gave_up: AtomicBool::new(false),
        })
    }

    /// Why the plugin is left alone, by what is remembered of its crashes.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.memory.refusal(self.content.bytes(), SystemTime::now())
    }

    /// Whether the plugin has crashed too often to be tried again.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    /// How often a child was started after the first one.
    pub(crate) fn restarts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed).saturating_sub(1)
    }

    fn is_able(&self, ability: u64) -> bool {
        self.abilities.load(Ordering::Acquire) & ability != 0
    }

    /// Whether the plugin has the table of that name. Known once an instance has been opened.
    pub(crate) fn has_diagnostics(&self) -> bool {
        self.is_able(record::ABLE_DIAGNOSTICS)
    }

    pub(crate) fn is_serial(&self) -> bool {
        self.is_able(record::ABLE_SERIAL)
    }

    fn has_deletion(&self) -> bool {
        self.is_able(record::ABLE_DELETION)
    }

    fn setup(&self) -> String {
        let setup = Setup {
            build: BUILD.to_owned(),
            parent: crate::process_id(),
            path: self.path.clone(),
            backend: self.backend.clone(),
            tool_name: self.tool_name.clone(),
            tool_version: self.tool_version.clone(),
            config: self.config.clone(),
            limits: self.options.limits.clone(),
            sandbox: self.options.sandbox.clone(),
        };
        serde_json::to_string(&setup).unwrap_or_default()
    }
}

/// The child of one instance.
pub(crate) struct Process {
    recipe: Arc<Recipe>,
    state: Mutex<State>,
    /// How it was lost, by whoever noticed first.
    lost: OnceLock<String>,
}

#[derive(Default)]
struct State {
    kept: Option<Arc<Kept>>,
    /// Those that no call uses. One whose call did not come back is not among them again.
    channels: Vec<Channel>,
    /// The host has ended it, or will once it has started.
    killed: bool,
}

impl Process {
    pub(crate) fn new(recipe: Arc<Recipe>) -> Self {
        Self { recipe, state: Mutex::default(), lost: OnceLock::new() }
    }

    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The child's process number.
    pub(crate) fn id(&self) -> Option<u32> {
        self.lock().kept.as_ref().map(|kept| kept.id())
    }

    /// Ends the child at once, with all that it has started; calls inside come back.
    pub(crate) fn kill(&self) {
        let mut state = self.lock();
        state.killed = true;
        if let Some(kept) = &state.kept {
            kept.kill();
        }
    }

    /// Tells the backend's own threads that the host is done with it.
    pub(crate) fn cancel(&self) {
        if let Some(kept) = &self.lock().kept {
            kept.cancel();
        }
    }

    /// Does one piece of work in the child.
    pub(crate) fn run(&self, work: &Work, call: &CallState) -> Status {
        let setup;
        let (kind, text, batch, answer) = match work {
            Work::Open { .. } => {
                setup = self.recipe.setup();
                (Kind::Open, setup.as_str(), None, None)
            }
            Work::Send(batch) => (Kind::Send, "", Some(batch), None),
            Work::Delete { answer, .. } if !self.recipe.has_deletion() => {
                answer.store(jackfield_plugin_api::deletion::DELETION_UNSUPPORTED, Ordering::Release);
                return abi::STATUS_OK;
            }
            Work::Delete { machine_id, event, answer } => {
                (Kind::Delete, &**machine_id, Some(event), Some(answer))
            }
            Work::Preview(batch) => (Kind::Preview, "", Some(batch), None),
            Work::Probe { answer } => (Kind::Probe, "", None, Some(answer)),
            Work::Close => (Kind::Close, "", None, None),
        };
        let start = if kind == Kind::Open { self.start() } else { self.borrow() };
        let (kept, mut channel) = match start {
            Ok(started) => started,
            Err(lost) => return self.explain(&lost, call),
        };
        let request = Request {
            kind,
            text,
            events: batch.map_or(&[], |batch| batch.events()),
            deadline: call.deadline(),
            cancelled: &|| call.is_cancelled(),
        };
        match channel.call(&request, &kept, &mut |record| told(call, answer.map(|it| &**it), record)) {
            Ok(Done { status, abilities }) => {
                if kind == Kind::Open {
                    self.recipe.abilities.store(abilities, Ordering::Release);
                } else if status == abi::STATUS_OK {
                    self.recipe.memory.succeeded(self.recipe.content.bytes());
                }
                self.lock().channels.push(channel);
                status
            }
            Err(lost) => self.explain(&lost, call),
        }
    }

    /// Frees the instance if there is one, and ends the child.
    pub(crate) fn free(&self, opened: bool) -> Status {
        let mut status = abi::STATUS_OK;
        if opened && let Ok((kept, mut channel)) = self.borrow() {
            let request = Request {
                kind: Kind::Free,
                text: "",
                events: &[],
                deadline: Instant::now() + self.recipe.timeout,
                cancelled: &|| false,
            };
            status =
                channel.call(&request, &kept, &mut |_| ()).map_or(abi::STATUS_FAILED, |done| done.status);
        }
        self.kill();
        let kept = self.lock().kept.clone();
        if let Some(kept) = kept {
            // Its log is complete then.
            let _ = kept.ended(Duration::from_secs(1));
        }
        status
    }

    /// Starts the child. What it does first is on its first channel.
    fn start(&self) -> Result<(Arc<Kept>, Channel), Lost> {
        let recipe = &self.recipe;
        let start = || {
            let (control, child_control) = UnixStream::pair()?;
            let mut files = vec![recipe.content.share()?, OwnedFd::from(child_control)];
            let mut channels = Vec::new();
            for _ in 0..recipe.channels {
                let (channel, theirs) = Channel::new()?;
                channels.push(channel);
                files.extend(theirs);
            }
            let spawn =
                Spawn::new(recipe.options.program.clone(), super::JOB).title(&*recipe.backend).files(files);
            Ok((keeper::start(spawn, control, &recipe.backend)?, channels))
        };
        let (kept, mut channels) = start().map_err(Lost::Io)?;
        recipe.starts.fetch_add(1, Ordering::Relaxed);
        let first = channels.remove(0);
        let mut state = self.lock();
        if state.killed {
            kept.kill();
        }
        state.kept = Some(Arc::clone(&kept));
        state.channels = channels;
        Ok((kept, first))
    }

    /// The child and a channel that no call uses.
    fn borrow(&self) -> Result<(Arc<Kept>, Channel), Lost> {
        let mut state = self.lock();
        let kept = state.kept.clone().ok_or(Lost::Died)?;
        let channel = state.channels.pop().ok_or(Lost::Died)?;
        Ok((kept, channel))
    }

    /// Why there was no child at all, if there was none: nothing that the plugin did.
    fn no_process(&self, lost: &Lost) -> Option<String> {
        let helper = match &self.recipe.options.program {
            Program::At(path) => Some(text::show(path)),
            Program::Own => None,
        };
        match (lost, helper) {
            (Lost::Io(error), Some(helper)) => Some(format!("`plugins.helper`: {helper}: {error}")),
            (Lost::Io(error), None) if error.kind() == std::io::ErrorKind::Unsupported => Some(format!(
                "{error}, or name a program that begins so, such as the command `jackfield` (`plugins.helper` in the configuration)"
            )),
            (Lost::Io(error), None) => Some(error.to_string()),
            (Lost::NoChild, Some(helper)) => Some(format!(
                "`plugins.helper`: {helper} ended at once: expected a program of this version whose `main` begins with `jackfield::init();`, such as the command `jackfield`"
            )),
            (Lost::NoChild, None) => Some("this program, started again, ended at once".to_owned()),
            _ => None,
        }
    }

    /// Says why a call did not come back, and sees to it that the child is gone.
    fn explain(&self, lost: &Lost, call: &CallState) -> Status {
        if let Some(why) = self.no_process(lost) {
            self.kill();
            call.explain(Explanation {
                subject: "process".to_owned(),
                message: format!("no process for the plugin: {why}"),
                said: Said::Stage,
            });
            return abi::STATUS_UNAVAILABLE;
        }
        let (kept, killed) = {
            let state = self.lock();
            (state.kept.clone(), state.killed)
        };
        self.kill();
        let how = self.lost.get_or_init(|| {
            let ended = kept.and_then(|kept| kept.ended(Duration::from_secs(2)));
            let how = match lost {
                Lost::Broken(what) => (*what).to_owned(),
                Lost::Late => "did not answer".to_owned(),
                Lost::Died | Lost::NoChild | Lost::Io(_) => describe(ended),
            };
            // What the host has ended has not crashed.
            if !killed && !matches!(lost, Lost::Late) {
                let gave_up = self.recipe.memory.crashed(self.recipe.content.bytes(), &how);
                self.recipe.gave_up.store(gave_up, Ordering::Release);
            }
            how
        });
        call.explain(Explanation { subject: String::new(), message: how.clone(), said: Said::Crash });
        abi::STATUS_FAILED
    }
}

/// Passes on what a child says of a call, bounded and made fit to be shown as what a plugin says in this process is.
fn told(call: &CallState, answer: Option<&AtomicU32>, record: &Record<'_>) {
    // SAFETY: readable text, whatever it is.
    let show = |bytes: &[u8]| unsafe { text::from_plugin(wire::text(bytes), REASON_LIMIT) };
    match record.kind {
        record::REPORT => {
            let reason = show(record.first);
            let outcome = abi::Outcome {
                code: record.code,
                reserved: 0,
                retry_after_ms: record.z,
                reason: abi::Str::new(&reason),
            };
            // SAFETY: the reason is a string of this function's.
            call.note(record.x, record.y, unsafe { Outcome::from_abi(&outcome) });
        }
        record::EXPLAIN => call.explain(Explanation {
            subject: show(record.first),
            message: show(record.second),
            said: Said::Plugin,
        }),
        record::STAGE => call.explain(Explanation {
            subject: show(record.first),
            message: show(record.second),
            said: Said::Stage,
        }),
        record::MESSAGE => {
            let withheld = usize::try_from(record.x).unwrap_or(usize::MAX);
            call.collect(|collected| collected.push(show(record.first), record.second, withheld));
        }
        record::NUMBER => {
            if let (Some(answer), Ok(number)) = (answer, u32::try_from(record.x)) {
                answer.store(number, Ordering::Release);
            }
        }
        _ => {}
    }
}

/// How a child ended, for the end of a sentence about it.
fn describe(ended: Option<Ended>) -> String {
    match ended {
        Some(Ended::Signal(number)) => format!("ended by {}", signal(number)),
        Some(Ended::Code(code)) => format!("ended with exit code {code} inside a call"),
        _ => "ended, nobody knows how".to_owned(),
    }
}

/// A signal's name.
fn signal(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
