//! The child process: it loads one plugin, and makes the calls that the host asks for. Each of its threads serves a channel.

mod callbacks;

use std::{
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI32, Ordering},
    },
};

use jackfield_plugin_api::abi::{self, Status};
use rustix::process::Signal;

use self::callbacks::ChannelEnd;
use super::{
    protocol::{self, BUILD, Record, Setup, log_record, record},
    shared_memory::{RequestHeader, SharedMemory},
};
use crate::{
    boundary::{
        batch::no_events,
        host_services::HostHandle,
        log,
        process::{SMALL_STACK, exit, lock, thread},
    },
    guard::{error::Stage, in_process::NO_INSTANCE, spin::Spin},
    inspect::inspect_bytes,
    library::content::Content,
    load::{
        loaded_libraries,
        tables::{Abilities, Arguments, Function, PluginTables},
    },
    reexec::{Inherited, entry::NOT_A_CHILD},
};

/// The child's exit code when the host is gone.
const ORPHANED: i32 = 0;

/// The plugin, once it is loaded and its backend is open.
struct OpenBackend {
    tables: PluginTables,
    instance: *mut abi::Instance,
}

// SAFETY: the contract makes an instance callable from any thread.
unsafe impl Send for OpenBackend {}
// SAFETY: as above.
unsafe impl Sync for OpenBackend {}

static OPEN: OnceLock<OpenBackend> = OnceLock::new();
static HOST: OnceLock<&'static HostHandle> = OnceLock::new();

/// The job of a child.
pub(super) fn run(inherited: Inherited) -> i32 {
    end_with_parent();
    let mut files = inherited.files.into_iter();
    let (Some(plugin), Some(control)) = (files.next(), files.next()) else { return NOT_A_CHILD };
    let mut ends = Vec::new();
    while let (Some(wake_up), Some(memory)) = (files.next(), files.next()) {
        let Ok(memory) = SharedMemory::map(memory) else { return NOT_A_CHILD };
        memory.begin();
        ends.push((UnixStream::from(wake_up), memory));
    }
    let places = callbacks::install(ends);
    let Some(first) = places.first() else { return NOT_A_CHILD };
    // The first request is to open. Its thread is this one.
    let mut server = CallServer { number: 0, place: 0, end: first, spin: Spin::new() };
    let mut handed = Some((plugin, UnixStream::from(control)));
    server.serve(&mut |setup, context, request| {
        let status = open(handed.take(), setup, first, context, request);
        if status == abi::STATUS_OK {
            for (place, end) in places.iter().enumerate().skip(1) {
                let mut server = CallServer { number: 0, place, end, spin: Spin::new() };
                // Calls on a channel without a thread would hang; the host's deadline ends that.
                let _ =
                    thread("serve").spawn(move || server.serve(&mut |_, _, _| abi::STATUS_INVALID_ARGUMENT));
            }
        }
        status
    });
    ORPHANED
}

/// Sees to it that this process ends with the thread of the host that started it, and what it forks with this one.
fn end_with_parent() {
    unsafe extern "C" {
        /// `pthread.h`; the C library has it in every version.
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> libc::c_int;
    }
    /// The process that forks, whichever of its threads it is.
    static FORKING: AtomicI32 = AtomicI32::new(0);
    unsafe extern "C" fn forks() {
        // SAFETY: a plain system call.
        FORKING.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    }
    unsafe extern "C" fn forked() {
        // SAFETY: plain system calls, which are allowed between fork and exec.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // If its parent has ended already, as that of a daemon does, the kernel sends no signal.
            if libc::getppid() != FORKING.load(Ordering::Relaxed) {
                libc::_exit(ORPHANED);
            }
        }
    }
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // SAFETY: the functions may run before a fork and in a forked child, and are never unmapped.
    unsafe { pthread_atfork(Some(forks), None, Some(forked)) };
}

/// Watches the host from a thread of its own, and sends it the plugin's log.
fn watch(control: UnixStream) -> Option<()> {
    let reader = control.try_clone().ok()?;
    let writer = Mutex::new(control);
    log::relay_to(move |level, target, message| {
        let record = log_record(level, target, message);
        let _ = lock(&writer).write_all(&record);
    });
    let watch = move || {
        let mut reader = reader;
        let mut word = [0; 1];
        loop {
            match reader.read(&mut word) {
                Ok(1..) if word == *b"c" => {
                    if let Some(host) = HOST.get() {
                        host.cancel();
                    }
                }
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => exit(ORPHANED),
            }
        }
    };
    thread("watch").stack_size(SMALL_STACK).spawn(watch).ok()?;
    Some(())
}

/// One thread that makes calls.
struct CallServer {
    /// The last request.
    number: u32,
    place: usize,
    end: &'static ChannelEnd,
    spin: Spin,
}

impl CallServer {
    /// Makes one call after the other until the host is gone. `open` is what opens the plugin.
    fn serve(&mut self, open: &mut dyn FnMut(&str, usize, &RequestHeader) -> Status) {
        while self.wait() {
            let request = {
                let mut out = self.end.lock();
                if out.memory.follow().is_err() {
                    return;
                }
                out.memory.request()
            };
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

    /// Waits for a request; `false` when the host is gone.
    fn wait(&self) -> bool {
        let end = self.end;
        loop {
            let has_request = || end.lock().memory.has_request(self.number);
            self.spin.until(has_request);
            if has_request() {
                return true;
            }
            end.lock().memory.child_sleeps(true);
            if !has_request() {
                match (&end.wake_up).read(&mut [0; 64]) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    _ => return false,
                }
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
            // SAFETY: the host has placed them there and waits for this call's end before it places others.
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
        // SAFETY: the tables were checked; `open` made the instance, and the host asks to free it once, when no other call is
        // inside. Batch and call live until the function returns.
        let (status, number) = unsafe { tables.call(function, *instance, &arguments) };
        // The host takes it for 0 where nothing is said of it.
        if number != 0 {
            self.end.send(&Record { kind: record::NUMBER, x: u64::from(number), ..Record::default() });
        }
        status
    }
}

/// Confines this process, loads the plugin and opens its backend.
///
/// There is no other thread until it is confined: that one would keep its rights.
fn open(
    handed: Option<(OwnedFd, UnixStream)>,
    setup: &str,
    end: &ChannelEnd,
    context: usize,
    request: &RequestHeader,
) -> Status {
    let failed = |stage: Stage, message: &str| {
        let (code, first) = (stage as u32, message.as_bytes());
        end.send(&Record { kind: record::STAGE, code, first, ..Record::default() });
        abi::STATUS_FAILED
    };
    let Some((plugin, control)) = handed else { return abi::STATUS_INVALID_ARGUMENT };
    let setup: Setup = match serde_json::from_str(setup) {
        Ok(setup) => setup,
        Err(error) => {
            return failed(
                Stage::Process,
                &format!("the tool and its helper are of different versions: {error}"),
            );
        }
    };
    if setup.build != BUILD {
        let (host, own) = (&setup.build, BUILD);
        return failed(
            Stage::Process,
            &format!("the tool and its helper are of different versions: {host}, {own}"),
        );
    }
    // If the host had ended before `end_with_parent`, the kernel would send no signal.
    if std::os::unix::process::parent_id() != setup.parent {
        exit(ORPHANED);
    }
    if let Err(error) = setup.limits.apply() {
        return failed(Stage::Sandbox, &error.to_string());
    }
    if let Some(sandbox) = &setup.sandbox
        && let Err(error) = sandbox.apply(setup.path.parent().unwrap_or(Path::new("/")))
    {
        return failed(Stage::Sandbox, &error.to_string());
    }

    if watch(control).is_none() {
        return failed(Stage::Process, "no thread to watch the tool");
    }
    log::relay_up_to(request.level);
    let content = match Content::inherited(plugin, &setup.path) {
        Ok(content) => Arc::new(content),
        Err(error) => return failed(Stage::Load, &format!("can't map what the tool has verified: {error}")),
    };
    let inspection = match inspect_bytes(content.bytes()) {
        Ok(inspection) => inspection,
        Err(error) => return failed(Stage::Load, &error.to_string()),
    };
    let loaded = match loaded_libraries::load_here(&content, &inspection.needed) {
        Ok(loaded) => loaded,
        Err(error) => return failed(Stage::Load, &error.to_string()),
    };
    let tables = match loaded.check(&inspection) {
        Ok(checked) => checked.tables,
        Err(error) => return failed(Stage::Check, &error.to_string()),
    };
    let host = HOST.get_or_init(|| HostHandle::leak(&setup.backend, &setup.tool_name, &setup.tool_version));
    let call = callbacks::call(context, request.timeout_ns);
    let mut instance = std::ptr::null_mut();
    // SAFETY: a table that was checked; host, configuration, call and place are as the contract wants them.
    let status = unsafe {
        (tables.backend.open)(host.as_ptr(), abi::Str::new(&setup.config), &raw const call, &raw mut instance)
    };
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
