//! The child process: it loads one plugin, and makes the host's calls. Each of its threads serves a channel.

mod callbacks;

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use jackfield_plugin_api::abi::{self, Status};

use self::callbacks::ChannelEnd;
use super::protocol::{self, BUILD, LONGEST_TEXT, Record, Setup, log_record, record};
use super::shared_memory::{RequestHeader, SharedMemory};
use super::system::{self, ChildControl, ChildWaker};
use crate::boundary::batch::no_events;
use crate::boundary::host_services::HostHandle;
use crate::boundary::log;
use crate::boundary::process::{SMALL_STACK, exit, lock, thread};
use crate::guard::error::Stage;
use crate::guard::in_process::NO_INSTANCE;
use crate::guard::spin::Spin;
use crate::inspect::{inspect_built_in, inspect_bytes};
use crate::library::built_in::BuiltInPlugin;
use crate::library::content::Content;
use crate::load::loaded_libraries;
use crate::load::tables::{Abilities, Arguments, Function, PluginTables};
use crate::reexec::entry::{NOT_A_CHILD, ORPHANED};
use crate::reexec::{Inherited, OwnedHandle};

pub(super) const JOB: &str = "child";

/// The plugin, once its backend is open.
struct OpenBackend {
    tables: PluginTables,
    instance: *mut abi::Instance,
}

// SAFETY: the contract makes an instance callable from any thread.
unsafe impl Send for OpenBackend {}
// SAFETY: as above.
unsafe impl Sync for OpenBackend {}

static OPEN: OnceLock<OpenBackend> = OnceLock::new();
static HOST: OnceLock<HostHandle> = OnceLock::new();

pub(super) fn run(inherited: Inherited) -> i32 {
    system::end_with_parent();
    let mut files = inherited.files.into_iter();
    let Some(plugin) = files.next() else { return NOT_A_CHILD };
    let Some(control) = ChildControl::take(&mut files) else { return NOT_A_CHILD };
    let mut ends = Vec::new();
    while let Some(waker) = ChildWaker::take(&mut files) {
        let Some(Ok(memory)) = files.next().map(SharedMemory::map) else { return NOT_A_CHILD };
        memory.begin();
        ends.push((waker, memory));
    }
    let places = callbacks::install(ends);
    let Some(first) = places.first() else { return NOT_A_CHILD };
    // The first request opens the backend, on this thread.
    let mut server = CallServer { number: 0, place: 0, end: first, spin: Spin::new() };
    let mut handed = Some((plugin, control));
    server.serve(&mut |setup, context, request| {
        let status = open(handed.take(), setup, first, context, request);
        if status == abi::STATUS_OK {
            for (place, end) in places.iter().enumerate().skip(1) {
                let mut server = CallServer { number: 0, place, end, spin: Spin::new() };
                // Without the thread, calls on this channel hang until their deadline.
                let _ =
                    thread("serve").spawn(move || server.serve(&mut |_, _, _| abi::STATUS_INVALID_ARGUMENT));
            }
        }
        status
    });
    ORPHANED
}

/// Starts a thread that watches the host, and sends the log to the host. `None` if no thread can be started.
fn watch(control: ChildControl) -> Option<()> {
    let writer = Mutex::new(control.log().ok()?);
    log::relay_to(move |level, target, message| {
        let record = log_record(level, target, message);
        let _ = lock(&writer).write_all(&record);
    });
    let watch = move || {
        while control.wait() {
            if let Some(host) = HOST.get() {
                host.cancel();
            }
        }
        exit(ORPHANED)
    };
    thread("watch").stack_size(SMALL_STACK).spawn(watch).ok()?;
    Some(())
}

/// A thread that serves one channel.
struct CallServer {
    /// The number of the last request.
    number: u32,
    place: usize,
    end: &'static ChannelEnd,
    spin: Spin,
}

impl CallServer {
    /// Serves requests until the host has ended. `open` does the request to open the backend.
    fn serve(&mut self, open: &mut dyn FnMut(&str, usize, &RequestHeader) -> Status) {
        while self.wait() {
            let request = self.end.lock().memory.request();
            self.number = self.number.wrapping_add(1);
            log::relay_up_to(request.level);
            let Some(function) = Function::of(request.function) else { return };
            let context = self.end.begin(self.place, self.number);
            let status = self.call(function, &request, context, open);
            self.end.end();
            let abilities = match OPEN.get() {
                Some(OpenBackend { tables, .. }) if function == Function::Open => tables.abilities(),
                _ => Abilities::default(),
            };
            let status = i64::from(status).cast_unsigned();
            self.end.send(&Record { kind: record::DONE, x: status, y: abilities.0, ..Record::default() });
        }
    }

    /// Waits for a request; `false` if the host has ended.
    fn wait(&self) -> bool {
        let end = self.end;
        loop {
            let has_request = || end.lock().memory.has_request(self.number);
            self.spin.until(has_request);
            if has_request() {
                return true;
            }
            end.lock().memory.child_sleeps(true);
            if !has_request() && !end.waker.sleep() {
                return false;
            }
            end.lock().memory.child_sleeps(false);
        }
    }

    fn call(
        &self,
        function: Function,
        request: &RequestHeader,
        context: usize,
        open: &mut dyn FnMut(&str, usize, &RequestHeader) -> Status,
    ) -> Status {
        let (text, batch) = {
            let out = self.end.lock();
            let (at, count) = request.events;
            // SAFETY: the host has placed them there, and places nothing else before this call ends.
            unsafe {
                let text = std::slice::from_raw_parts(out.memory.base().add(request.text.0), request.text.1);
                let events = protocol::relocate(&out.memory, at, count);
                let batch = abi::Batch { events, len: count, ..no_events() };
                (std::str::from_utf8(text).unwrap_or_default(), batch)
            }
        };
        if function == Function::Open {
            return open(text, context, request);
        }
        let Some(OpenBackend { tables, instance }) = OPEN.get() else { return abi::STATUS_INVALID_ARGUMENT };
        let call = callbacks::call(context, request.timeout_ns);
        let arguments = Arguments { text, batch, call: &raw const call, sink: callbacks::sink(context) };
        // SAFETY: the tables were checked. `open` made the instance, and the host frees it once, while no
        // other call is inside. Batch and call live until the function returns.
        let (status, number) = unsafe { tables.call(function, *instance, &arguments) };
        // Without this record, the host assumes 0.
        if number != 0 {
            self.end.send(&Record { kind: record::NUMBER, x: u64::from(number), ..Record::default() });
        }
        status
    }
}

/// Loads the plugin and opens its backend. `handed` is what the first call needs of the child's files.
fn open(
    handed: Option<(OwnedHandle, ChildControl)>,
    setup: &str,
    end: &ChannelEnd,
    context: usize,
    request: &RequestHeader,
) -> Status {
    let Some((plugin, control)) = handed else { return abi::STATUS_INVALID_ARGUMENT };
    let (setup, tables) = match load(plugin, control, setup, request.level) {
        Ok(loaded) => loaded,
        Err((stage, message)) => {
            let (code, bytes) = (stage as u32, message.as_bytes());
            let first = &bytes[..bytes.len().min(LONGEST_TEXT)];
            end.send(&Record { kind: record::STAGE, code, first, ..Record::default() });
            return abi::STATUS_FAILED;
        }
    };
    let host = HOST.get_or_init(|| HostHandle::lend(&setup.backend, &setup.tool_name, &setup.tool_version));
    let config = abi::Str::new(&setup.config);
    let call = callbacks::call(context, request.timeout_ns);
    let mut instance = std::ptr::null_mut();
    // SAFETY: the table was checked, and the arguments are as the contract requires.
    let status = unsafe { (tables.backend.open)(host.as_ptr(), config, &raw const call, &raw mut instance) };
    if status != abi::STATUS_OK {
        return status;
    }
    if instance.is_null() {
        end.send(&Record { kind: record::EXPLAIN, second: NO_INSTANCE.as_bytes(), ..Record::default() });
        return abi::STATUS_FAILED;
    }
    let _ = OPEN.set(OpenBackend { tables, instance });
    abi::STATUS_OK
}

/// Applies limits and sandbox to this process, then loads the plugin and checks its tables. Another thread
/// would keep its rights, so none is started before.
fn load(
    plugin: OwnedHandle,
    control: ChildControl,
    setup: &str,
    level: u32,
) -> Result<(Setup, PluginTables), (Stage, String)> {
    let versions = |what: &dyn fmt::Display| {
        (Stage::Process, format!("the tool and its helper are of different versions: {what}"))
    };
    let setup: Setup = serde_json::from_str(setup).map_err(|error| versions(&error))?;
    if setup.build != BUILD {
        return Err(versions(&format_args!("{}, {BUILD}", setup.build)));
    }
    if !system::has_parent(setup.parent) {
        exit(ORPHANED);
    }
    setup.limits.apply().map_err(|error| (Stage::Sandbox, error.to_string()))?;
    if let Some(sandbox) = &setup.sandbox {
        let folder = setup.path.parent().unwrap_or(Path::new("/"));
        sandbox.apply(folder).map_err(|error| (Stage::Sandbox, error.to_string()))?;
    }
    if setup.rehearsal {
        return Err((Stage::Load, "a rehearsal ends here".to_owned()));
    }

    watch(control).ok_or_else(|| (Stage::Process, "no thread to watch the tool".to_owned()))?;
    log::relay_up_to(level);
    let content = Content::inherited(plugin, &setup.path)
        .map_err(|error| (Stage::Load, format!("can't map what the tool has verified: {error}")))?;
    let content = Arc::new(content);
    let not_loaded = |why: &dyn fmt::Display| (Stage::Load, why.to_string());
    let (inspection, loaded) = match &setup.built_in {
        None => {
            let inspection = inspect_bytes(content.bytes()).map_err(|error| not_loaded(&error))?;
            let loaded = loaded_libraries::load_here(&content, &inspection.needed);
            (inspection, loaded.map_err(|error| not_loaded(&error))?)
        }
        Some(name) => {
            let plugin = BuiltInPlugin::find(name).filter(|plugin| plugin.metadata() == content.bytes());
            let plugin =
                plugin.ok_or_else(|| not_loaded(&format_args!("this program has no such {name}")))?;
            let inspection = inspect_built_in(content.bytes()).map_err(|error| not_loaded(&error))?;
            (inspection, loaded_libraries::built_in(&content, plugin.isolated_descriptor()))
        }
    };
    let checked = loaded.check(&inspection).map_err(|error| (Stage::Check, error.to_string()))?;
    Ok((setup, checked.tables))
}
