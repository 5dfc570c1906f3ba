//! Children that give up rights and then try what they must not be able to do. It has no harness: a child is this program
//! again, which has to be one thread when it is confined.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it tries system calls and reports"
)]

#[cfg(target_os = "linux")]
mod common;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    jackfield_loader::init(&[jackfield_loader::Job { name: "confined", run: child::run }]);
    parent::main();
}

/// What a child is to apply, and then to try.
#[cfg(target_os = "linux")]
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Order {
    limits: jackfield_loader::Limits,
    sandbox: Option<jackfield_loader::Sandbox>,
    plugin: std::path::PathBuf,
    /// A system call fails with this error before anything is applied, as on a kernel without it.
    absent: Option<(i64, u32)>,
    /// What is tried, and with what.
    attempts: Vec<(String, String)>,
}

#[cfg(target_os = "linux")]
mod child {
    use std::{
        fs::{self, File, OpenOptions},
        io::{self, Read as _, Write as _},
        ptr,
    };

    use jackfield_loader::{Plugin, Trust, reexec::Inherited};
    use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
    use seccompiler::{SeccompAction, SeccompFilter};

    use super::Order;

    /// Reads its order from standard input and prints a line for each attempt.
    pub(super) fn run(_: Inherited) -> i32 {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).unwrap();
        let order: Order = serde_json::from_str(&text).unwrap();
        let maximum = getrlimit(Resource::Core).maximum;
        setrlimit(Resource::Core, Rlimit { current: maximum, maximum }).unwrap();
        if let Some((call, error)) = order.absent {
            let rules = [(call, Vec::new())].into_iter().collect();
            let arch = std::env::consts::ARCH.try_into().unwrap();
            let filter =
                SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error), arch).unwrap();
            seccompiler::apply_filter(&seccompiler::BpfProgram::try_from(filter).unwrap()).unwrap();
        }
        let applied =
            order.limits.apply().and_then(|()| order.sandbox.map_or(Ok(()), |it| it.apply(&order.plugin)));
        if let Err(error) = applied {
            println!("{error}");
            return 2;
        }
        for (attempt, with) in &order.attempts {
            match try_it(attempt, with) {
                Ok(said) => println!("{said}"),
                Err(error) => println!("{}", error.raw_os_error().map_or(error.to_string(), name)),
            }
        }
        0
    }

    fn name(error: i32) -> String {
        match error {
            libc::EACCES => "EACCES".to_owned(),
            libc::EPERM => "EPERM".to_owned(),
            libc::EMFILE => "EMFILE".to_owned(),
            other => format!("error {other}"),
        }
    }

    fn called(result: i64) -> io::Result<String> {
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok("ok".to_owned()) }
    }

    /// A call that is named and harmless: it sets what is so already, or looks.
    fn call(what: &str) -> io::Result<String> {
        let host = i64::from(std::os::unix::process::parent_id());
        let nothing = ptr::null::<u8>();
        let null = c"/dev/null".as_ptr();
        let here = libc::AT_FDCWD;
        let mut limit = [0u64; 2];
        let mut set = [0u8; 128];
        let own = File::open("/dev/null")?;
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&own);
        // SAFETY: what a call reads or writes is one of the buffers above, or nothing at all.
        let result = unsafe {
            match what {
                "own limits" => libc::syscall(libc::SYS_prlimit64, 0, 7, nothing, limit.as_mut_ptr()),
                "host's limits" => libc::syscall(libc::SYS_prlimit64, host, 7, nothing, limit.as_mut_ptr()),
                "own processors" => libc::syscall(libc::SYS_sched_getaffinity, 0, 128, set.as_mut_ptr()),
                "host's processors" => {
                    libc::syscall(libc::SYS_sched_getaffinity, 0, 128, set.as_mut_ptr());
                    libc::syscall(libc::SYS_sched_setaffinity, host, 128, set.as_ptr())
                }
                "own priority" => libc::syscall(libc::SYS_setpriority, 0, 0, 19),
                "host's priority" => libc::syscall(
                    libc::SYS_setpriority,
                    0,
                    host,
                    libc::getpriority(libc::PRIO_PROCESS, host as u32),
                ),
                "host's scheduler" => libc::syscall(libc::SYS_sched_setscheduler, host, 0, limit.as_ptr()),
                "host's disk priority" => libc::syscall(libc::SYS_ioprio_set, 1, host, 0),
                "host's descriptor" => libc::syscall(libc::SYS_pidfd_open, host, 0),
                "ring" => libc::syscall(libc::SYS_io_uring_register, u64::from(u32::MAX), 0, nothing, 0),
                "namespace" => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNS),
                "namespace of a child" => {
                    let flags = i64::from(libc::CLONE_NEWUTS | libc::SIGCHLD);
                    match libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) {
                        0 => libc::_exit(0),
                        result => result,
                    }
                }
                "raw socket" => {
                    libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
                }
                "packet socket" => libc::syscall(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_DGRAM, 0),
                "socket" => {
                    libc::syscall(libc::SYS_socket, libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)
                }
                "route socket" => libc::syscall(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0),
                "shared memory" => libc::syscall(libc::SYS_shmget, 0, 4096, 0o600),
                "mode" => libc::syscall(libc::SYS_fchmodat, here, null, 0o666),
                "mode by descriptor" => libc::syscall(libc::SYS_fchmod, descriptor, 0o666),
                "owner" => libc::syscall(libc::SYS_fchownat, here, null, -1, -1, 0),
                "owner by descriptor" => libc::syscall(libc::SYS_fchown, descriptor, -1, -1),
                "times" => libc::syscall(libc::SYS_utimensat, here, null, nothing, 0),
                "times by descriptor" => libc::syscall(libc::SYS_utimensat, descriptor, nothing, nothing, 0),
                other => panic!("no such call: {other}"),
            }
        };
        called(result)
    }

    fn try_it(attempt: &str, with: &str) -> io::Result<String> {
        let done = |_| "ok".to_owned();
        match attempt {
            "read" => fs::read(with).map(|bytes| format!("ok {}", bytes.len())),
            "list" => fs::read_dir(with).map(|_| "ok".to_owned()),
            "write" => fs::write(with, "x").map(done),
            "append" => {
                OpenOptions::new().append(true).open(with).and_then(|mut file| file.write_all(b"x")).map(done)
            }
            "cut" => rustix::fs::ftruncate(OpenOptions::new().write(true).open(with)?, 0)
                .map(done)
                .map_err(io::Error::from),
            "remove" => fs::remove_file(with).map(done),
            "folder" => fs::create_dir(with).map(done),
            "rename" => fs::rename(with, format!("{with}.renamed")).map(done),
            "link" => std::os::unix::fs::symlink("../outside", with).map(done),
            "memory-file" => {
                fs::read(with.replace("PARENT", &std::os::unix::process::parent_id().to_string()))
                    .map(|_| "ok".to_owned())
            }
            "resolve" => Ok(std::net::ToSocketAddrs::to_socket_addrs(&(with, 1))?.count().min(1).to_string()),
            "load" => Plugin::load(with.as_ref(), Trust::Owner)
                .map(|plugin| format!("ok {}", plugin.metadata().name))
                .map_err(io::Error::other),
            "signal" => kill_process(Pid::from_raw(with.parse().unwrap()).unwrap(), Signal::URG)
                .map(done)
                .map_err(io::Error::from),
            "spawn" => std::process::Command::new(with).status().map(|status| status.to_string()),
            // SAFETY: the path and both lists are valid; on success nothing of this is left.
            "exec" => called(i64::from(unsafe {
                let arguments = [c"/bin/true".as_ptr(), ptr::null()];
                libc::execve(arguments[0], arguments.as_ptr(), ptr::null())
            })),
            "exec-file" => {
                let file = File::open("/bin/true")?;
                let arguments = [c"true".as_ptr(), ptr::null()];
                // SAFETY: as above; the descriptor is this process's.
                called(unsafe {
                    libc::syscall(
                        libc::SYS_execveat,
                        std::os::fd::AsRawFd::as_raw_fd(&file),
                        c"".as_ptr(),
                        arguments.as_ptr(),
                        ptr::null::<*const libc::c_char>(),
                        libc::AT_EMPTY_PATH,
                    )
                })
            }
            // SAFETY: asks to be traced, which changes nothing by itself.
            "trace" => called(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }),
            "peek" => {
                let mut bytes = [0u8; 8];
                let own = [1u8; 8];
                let (to, from) = (
                    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 8 },
                    libc::iovec { iov_base: own.as_ptr().cast_mut().cast(), iov_len: 8 },
                );
                // SAFETY: both are readable and the first is writable.
                called(unsafe {
                    libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0)
                } as i64)
            }
            "call" => call(with),
            "thread" => Ok(std::thread::Builder::new().spawn(|| "ok".to_owned())?.join().unwrap()),
            "fork-read" => {
                // SAFETY: there is one thread, and the child only reads a file and ends.
                match unsafe { libc::fork() } {
                    0 => {
                        let refused =
                            fs::read(with).is_err_and(|error| error.raw_os_error() == Some(libc::EACCES));
                        // SAFETY: ends the process at once.
                        unsafe { libc::_exit(if refused { 0 } else { 1 }) }
                    }
                    pid => {
                        let mut status = 0;
                        // SAFETY: the status is writable.
                        called(i64::from(unsafe { libc::waitpid(pid, &raw mut status, 0) }))?;
                        Ok(format!("ended with {}", libc::WEXITSTATUS(status)))
                    }
                }
            }
            "open-many" => {
                let mut open = Vec::new();
                for _ in 0..1000 {
                    match File::open("/dev/null") {
                        Ok(file) => open.push(file),
                        Err(error) => {
                            return Ok(format!("{} {}", name(error.raw_os_error().unwrap()), open.len() + 3));
                        }
                    }
                }
                Ok("never refused".to_owned())
            }
            "spin" => loop {
                std::hint::spin_loop();
            },
            "hunger" => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(vec![1u8; 1 << 20]);
                    std::hint::black_box(&eaten);
                }
            }
            "abort" => std::process::abort(),
            other => panic!("no such attempt: {other}"),
        }
    }
}

#[cfg(target_os = "linux")]
mod parent {
    use std::{
        fs,
        io::Write as _,
        os::unix::process::ExitStatusExt as _,
        path::Path,
        process::{self, Command, ExitStatus, Stdio},
        time::Duration,
    };

    use jackfield_loader::{Limits, Sandbox};

    use super::{Order, common};

    pub(super) fn main() {
        let tests: &[(&str, fn())] = &[
            ("a_sandboxed_child_reads_and_writes_what_it_was_granted_and_nothing_else", files),
            ("a_sandboxed_child_executes_and_traces_nothing", calls),
            (
                "a_sandboxed_child_reaches_no_other_process_and_changes_no_files_mode_owner_or_times",
                a_sandboxed_child_reaches_no_other_process_and_changes_no_files_mode_owner_or_times,
            ),
            ("a_sandboxed_child_starts_threads", threads),
            ("a_library_is_loaded_from_memory_under_the_sandbox", load),
            ("a_sandboxed_child_still_resolves_names_and_reads_the_system", system),
            ("what_a_sandboxed_child_forks_is_confined_too", forked),
            ("a_kernel_without_landlock_is_an_error_that_says_what_to_do", no_landlock),
            ("a_granted_path_that_is_not_there_is_an_error_that_names_it", no_such_grant),
            ("a_child_that_eats_memory_ends_at_its_limit", memory),
            ("a_limit_without_room_for_a_plugin_is_an_error", no_room),
            ("a_child_that_spins_ends_at_its_processor_limit", cpu),
            ("a_child_opens_no_more_files_than_its_limit", open_files),
            ("a_crash_leaves_a_core_dump_only_where_that_is_configured", core_dumps),
            ("limits_are_only_ever_lowered", lowered),
        ];
        for (name, test) in tests {
            println!("test {name} ...");
            test();
        }
        println!("test result: ok. {} passed", tests.len());
    }

    /// The lines that a child prints, and how it ended.
    fn confined(order: &Order, folder: &Path) -> (Vec<String>, ExitStatus) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["jackfield:confined", "0"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let order = serde_json::to_vec(order).unwrap();
        child.stdin.take().unwrap().write_all(&order).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (said.lines().map(str::to_owned).collect(), output.status)
    }

    fn attempts(list: &[(&str, &Path)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(attempt, with)| ((*attempt).to_owned(), with.to_str().unwrap().to_owned()))
            .collect()
    }

    fn sandbox(read: &[&Path], write: &[&Path]) -> Option<Sandbox> {
        let mut sandbox = Sandbox::default();
        sandbox.read = read.iter().map(|path| path.to_path_buf()).collect();
        sandbox.write = write.iter().map(|path| path.to_path_buf()).collect();
        Some(sandbox)
    }

    /// Does the attempts twice, without and with the sandbox: what it refuses must have been possible.
    fn compare(
        make: impl Fn(&Path),
        grants: impl Fn(&Path) -> Option<Sandbox>,
        table: &[(&str, &str, &str, &str)],
    ) {
        for confine in [false, true] {
            let folder = common::folder();
            let at = folder.path();
            make(at);
            let plugin = at.join("plugin");
            fs::create_dir_all(&plugin).unwrap();
            let list: Vec<_> = table.iter().map(|(attempt, with, ..)| (*attempt, at.join(with))).collect();
            let list: Vec<_> = list.iter().map(|(attempt, with)| (*attempt, with.as_path())).collect();
            let sandbox = if confine { grants(at) } else { None };
            let order = Order { sandbox, plugin, attempts: attempts(&list), ..Order::default() };
            let (said, status) = confined(&order, at);
            let expected: Vec<_> =
                table.iter().map(|(.., free, held)| if confine { *held } else { *free }).collect();
            assert_eq!(said, expected, "confined: {confine}, {table:?}");
            assert_eq!(status.code(), Some(0));
        }
    }

    fn files() {
        compare(
            |at| {
                for folder in ["outside", "plugin", "readable", "writable"] {
                    fs::create_dir(at.join(folder)).unwrap();
                    fs::write(at.join(folder).join("file"), "text").unwrap();
                    fs::write(at.join(folder).join("other"), "text").unwrap();
                }
                fs::write(at.join("one"), "text").unwrap();
            },
            |at| sandbox(&[&at.join("readable"), &at.join("one")], &[&at.join("writable")]),
            &[
                ("read", "outside/file", "ok 4", "EACCES"),
                ("list", "outside", "ok", "EACCES"),
                ("append", "outside/file", "ok", "EACCES"),
                ("cut", "outside/file", "ok", "EACCES"),
                ("write", "outside/new", "ok", "EACCES"),
                ("folder", "outside/folder", "ok", "EACCES"),
                ("link", "outside/link", "ok", "EACCES"),
                ("remove", "outside/file", "ok", "EACCES"),
                ("read", "plugin/file", "ok 4", "ok 4"),
                ("append", "plugin/file", "ok", "EACCES"),
                ("read", "readable/file", "ok 4", "ok 4"),
                ("list", "readable", "ok", "ok"),
                ("append", "readable/file", "ok", "EACCES"),
                ("read", "one", "ok 4", "ok 4"),
                ("append", "one", "ok", "EACCES"),
                ("append", "writable/file", "ok", "ok"),
                ("read", "writable/file", "ok 5", "ok 5"),
                ("cut", "writable/file", "ok", "ok"),
                ("write", "writable/new", "ok", "ok"),
                ("rename", "writable/new", "ok", "ok"),
                ("folder", "writable/folder", "ok", "ok"),
                ("remove", "writable/file", "ok", "ok"),
                // By a link that is within what is granted, to what is not.
                ("link", "writable/link", "ok", "ok"),
                ("read", "writable/link/other", "ok 4", "EACCES"),
            ],
        );
    }

    fn calls() {
        let parent = process::id().to_string();
        let list = [
            ("trace", "", "ok", "EPERM"),
            ("peek", "", "ok", "EPERM"),
            ("spawn", "/bin/true", "exit status: 0", "EPERM"),
            ("signal", &parent, "ok", "EPERM"),
        ];
        for (attempt, with, free, held) in list {
            for (confine, expected) in [(false, free), (true, held)] {
                let said = one(attempt, with, confine);
                assert_eq!(said, [expected], "{attempt}, confined: {confine}");
            }
        }
        for attempt in ["exec", "exec-file"] {
            assert_eq!(one(attempt, "", false), [""; 0], "{attempt}: the program runs and prints nothing");
            assert_eq!(one(attempt, "", true), ["EPERM"], "{attempt}");
        }
    }

    /// What a child says of one attempt.
    fn one(attempt: &str, with: &str, confine: bool) -> Vec<String> {
        let folder = common::folder();
        let order = Order {
            sandbox: if confine { sandbox(&[], &[]) } else { None },
            plugin: folder.path().to_owned(),
            attempts: vec![(attempt.to_owned(), with.to_owned())],
            ..Order::default()
        };
        confined(&order, folder.path()).0
    }

    fn a_sandboxed_child_reaches_no_other_process_and_changes_no_files_mode_owner_or_times() {
        let call = |confine: bool, what: &str| {
            let folder = common::folder();
            let sandbox = if confine { sandbox(&[], &[folder.path()]) } else { None };
            let attempts = vec![("call".to_owned(), what.to_owned())];
            let plugin = folder.path().to_owned();
            let order = Order { sandbox, plugin, attempts, ..Order::default() };
            confined(&order, folder.path()).0.concat()
        };
        for what in ["own limits", "own processors", "own priority", "socket", "route socket"] {
            assert_eq!([false, true].map(|confine| call(confine, what)), ["ok", "ok"], "{what}");
        }
        for what in [
            "host's limits",
            "host's processors",
            "host's priority",
            "host's scheduler",
            "host's disk priority",
            "host's descriptor",
            "ring",
            "namespace",
            "namespace of a child",
            "raw socket",
            "packet socket",
            "shared memory",
            "mode",
            "mode by descriptor",
            "owner",
            "owner by descriptor",
            "times",
            "times by descriptor",
        ] {
            assert_eq!(call(true, what), "EPERM", "{what}");
            // Some need rights that whoever runs this may lack, and a kernel may lack a ring.
            let needs_rights = ["namespace", "namespace of a child", "raw socket", "packet socket", "ring"];
            let others = [
                "mode",
                "mode by descriptor",
                "times",
                "times by descriptor",
                "owner",
                "owner by descriptor",
            ];
            if rustix::process::geteuid().is_root() && what != "ring"
                || !needs_rights.contains(&what) && !others.contains(&what)
            {
                assert_eq!(call(false, what), "ok", "{what}");
            }
        }
    }

    fn threads() {
        let order = Order {
            sandbox: sandbox(&[], &[]),
            plugin: std::env::temp_dir(),
            attempts: vec![("thread".to_owned(), String::new())],
            ..Order::default()
        };
        assert_eq!(confined(&order, &std::env::temp_dir()).0, ["ok"]);
    }

    fn load() {
        let folder = common::folder();
        let library = common::Plugin::new("sheltered").build(folder.path(), "libsheltered.so");
        let order = Order {
            sandbox: sandbox(&[], &[]),
            plugin: folder.path().to_owned(),
            attempts: attempts(&[("load", &library), ("read", Path::new("/etc/passwd"))]),
            ..Order::default()
        };
        assert_eq!(confined(&order, Path::new("/")).0, ["ok sheltered", "EACCES"]);
    }

    fn system() {
        assert_eq!(one("resolve", "localhost", true), ["1"]);
        assert_eq!(one("list", "/usr/lib", true), ["ok"]);
        assert_eq!(one("write", "/dev/null", true), ["ok"]);
        assert_eq!(one("write", "/usr/jackfield-test", true), ["EACCES"]);
        assert!(one("read", "/proc/self/status", true)[0].starts_with("ok "));
        assert_eq!(one("memory-file", "/proc/PARENT/environ", false), ["ok"]);
        assert_eq!(one("memory-file", "/proc/PARENT/environ", true), ["EACCES"]);
    }

    fn forked() {
        assert_eq!(one("fork-read", "/etc/passwd", false), ["ended with 1"]);
        assert_eq!(one("fork-read", "/etc/passwd", true), ["ended with 0"]);
    }

    fn no_landlock() {
        for (error, expected) in [
            (libc::EOPNOTSUPP, "boot it with `landlock` in its parameter `lsm=`"),
            (libc::ENOSYS, "boot Linux 5.13 or later"),
        ] {
            let order = Order {
                sandbox: sandbox(&[], &[]),
                plugin: "/".into(),
                absent: Some((444, error.unsigned_abs())),
                attempts: attempts(&[("read", Path::new("/etc/passwd"))]),
                ..Order::default()
            };
            let (said, status) = confined(&order, Path::new("/"));
            assert_eq!((said.len(), status.code()), (1, Some(2)), "{said:?}");
            assert!(said[0].starts_with("confine: `sandbox`: ") && said[0].contains(expected), "{said:?}");
            assert!(said[0].ends_with(", or remove [backend.sandbox]"), "{said:?}");
        }
    }

    fn no_such_grant() {
        let folder = common::folder();
        let absent = folder.path().join("absent");
        for (key, sandbox) in [("read", sandbox(&[&absent], &[])), ("write", sandbox(&[], &[&absent]))] {
            let order = Order { sandbox, plugin: folder.path().to_owned(), ..Order::default() };
            let (said, status) = confined(&order, Path::new("/"));
            assert_eq!(status.code(), Some(2));
            let expected = format!("confine: `sandbox.{key}`: {}: No such file", absent.display());
            assert!(said[0].starts_with(&expected) && said[0].contains("create it"), "{said:?}");
        }
    }

    fn limited(change: impl FnOnce(&mut Limits), attempt: &str) -> (Vec<String>, ExitStatus) {
        let folder = common::folder();
        let mut limits = Limits::default();
        change(&mut limits);
        let order = Order { limits, attempts: attempts(&[(attempt, Path::new(""))]), ..Order::default() };
        confined(&order, folder.path())
    }

    fn memory() {
        let (said, status) = limited(|limits| limits.memory = Some(256 << 20), "hunger");
        assert_eq!((said.len(), status.signal()), (0, Some(libc::SIGABRT)), "{said:?} {status}");
    }

    fn no_room() {
        let (said, status) = limited(|limits| limits.memory = Some(64 << 10), "read");
        assert_eq!(status.code(), Some(2));
        assert!(said[0].starts_with("confine: `limits.memory`: 65536 bytes of address space, "), "{said:?}");
        let (said, status) = limited(|limits| limits.files = Some(3), "read");
        assert_eq!(status.code(), Some(2));
        assert!(
            said[0].starts_with("confine: `limits.files`: 3 open files, of which the child has 3"),
            "{said:?}"
        );
    }

    fn cpu() {
        let (_, status) = limited(|limits| limits.cpu = Some(Duration::from_millis(300)), "spin");
        assert_eq!(status.signal(), Some(libc::SIGXCPU), "{status}");
    }

    fn open_files() {
        assert_eq!(limited(|limits| limits.files = Some(20), "open-many").0, ["EMFILE 20"]);
    }

    fn core_dumps() {
        let (_, status) = limited(|limits| limits.core_dumps = true, "abort");
        assert!(
            status.core_dumped(),
            "the hard limit of core dumps keeps this test from its comparison: {status}"
        );
        let (_, status) = limited(|_| {}, "abort");
        assert_eq!((status.signal(), status.core_dumped()), (Some(libc::SIGABRT), false));
    }

    fn lowered() {
        let folder = common::folder();
        let order = |files| {
            let mut limits = Limits::default();
            limits.files = Some(files);
            Order { limits, attempts: attempts(&[("open-many", Path::new(""))]), ..Order::default() }
        };
        let order = serde_json::to_string(&order(500)).unwrap();
        let script = format!(
            "ulimit -n 30; exec '{}' jackfield:confined 0",
            std::env::current_exe().unwrap().display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), "EMFILE 30\n");
    }
}
