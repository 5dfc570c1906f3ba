//! The first line of a tool's `main`.

use jackfield_loader::plugin_api::{Backend as PluginBackend, StaticPlugin};
use jackfield_loader::{Job, Program};

use crate::detached::child;
use crate::instance::code_backends;
use crate::instance::settings::StaticBackend;
use crate::schedule::unclosed;

/// What is compiled into a tool, for [`init_with`]: plugins, and backends in code.
///
/// ```
/// use jackfield::{BuiltIn, MemoryBackend};
///
/// let built_in = BuiltIn::new().backend("memory", MemoryBackend::new);
/// jackfield::init_with(built_in);
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct BuiltIn {
    plugins: Vec<StaticPlugin>,
    backends: Vec<StaticBackend>,
}

impl BuiltIn {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin, such as `jackfield_http::PLUGIN`. A configuration finds it by its name after all folders of the search
    /// path, so a library in one of them is used instead.
    pub fn plugin(mut self, plugin: StaticPlugin) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// Names a [backend in code](crate::Builder::backend), so that the detached child of the tool has it, too. The child makes
    /// its value by `make`.
    pub fn backend<B: PluginBackend>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self {
        self.backends.push(StaticBackend::new(name, make));
        self
    }
}

impl<const N: usize> From<[StaticPlugin; N]> for BuiltIn {
    fn from(plugins: [StaticPlugin; N]) -> Self {
        Self { plugins: plugins.into(), backends: Vec::new() }
    }
}

impl<const N: usize> From<&[StaticPlugin; N]> for BuiltIn {
    fn from(plugins: &[StaticPlugin; N]) -> Self {
        Self::from(*plugins)
    }
}

/// Makes this executable usable as a child process of its own telemetry. Call it on the first line of `main`, or
/// [`init_with`] if plugins are built in.
///
/// A backend with `isolation = "process"` runs in such a child. Another child delivers the events of a tool that has ended.
/// In a child this function does the job and never returns; elsewhere it returns at once. Call it before the tool starts a
/// thread or opens a file: a child closes every descriptor that it did not inherit on purpose.
///
/// In debug builds, a line on standard error says at the end of `main` that a telemetry with events was not
/// [closed](crate::Telemetry::close).
///
/// ```
/// jackfield::init();
/// // The tool follows, beginning with its arguments.
/// ```
pub fn init() {
    init_with(BuiltIn::new());
}

/// [`init`] for a tool with plugins that are built in: they are found after all folders of the search path, in this process
/// and in its children. Call it once, and instead of `init`: a child begins its job in the first call, and has what that call
/// names. Debug builds say on standard error that `init` came first.
///
/// ```
/// jackfield::init_with([jackfield_http::PLUGIN]);
/// // The tool follows, beginning with its arguments.
/// ```
pub fn init_with(built_in: impl Into<BuiltIn>) {
    let built_in = built_in.into();
    let adds = !built_in.plugins.is_empty() || !built_in.backends.is_empty();
    if cfg!(debug_assertions) && adds && Program::Own.is_available() {
        // The author sees it, and no log is set up yet.
        eprintln!(
            "jackfield: `init` was called before `init_with`, so a child process of this tool lacks what is built in: call \
             `init_with` alone, on the first line of main (debug builds say this)"
        );
    }
    start(built_in, &[]);
    if cfg!(debug_assertions) {
        unclosed::look_at_the_end();
    }
}

/// [`init`] for a program with further jobs for child processes.
#[doc(hidden)]
pub fn init_with_jobs(own: &[Job]) {
    start(BuiltIn::new(), own);
}

fn start(built_in: BuiltIn, own: &[Job]) {
    jackfield_loader::add_built_in(&built_in.plugins);
    code_backends::name(built_in.backends);
    jackfield_loader::init(&[&[child::JOB], own].concat());
}
