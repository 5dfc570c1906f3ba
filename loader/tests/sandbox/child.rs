//! The attempts of a confined child.

use std::os::linux::net::SocketAddrExt as _;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    ptr,
    time::Duration,
};

use jackfield_loader::{Candidate, Trust, Verified, reexec::Inherited};
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
    // A copy in memory is made of a library before.
    let verified: Vec<_> = (order.attempts.iter())
        .filter(|(attempt, _)| attempt == "load")
        .map(|(_, with)| Candidate::open(std::path::Path::new(with)).unwrap().verify(Trust::Owner).unwrap())
        .collect();
    let applied =
        order.limits.apply().and_then(|()| order.sandbox.map_or(Ok(()), |it| it.apply(&order.plugin)));
    if let Err(error) = applied {
        println!("{error}");
        return 2;
    }
    for (attempt, with) in &order.attempts {
        match try_it(attempt, with, &verified) {
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
        libc::ENOSYS => "ENOSYS".to_owned(),
        other => format!("error {other}"),
    }
}

fn called(result: i64) -> io::Result<String> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok("ok".to_owned()) }
}

/// Ends a process that was just started. It may have the memory of its parent.
fn parent(result: i64) -> i64 {
    if result == 0 {
        // SAFETY: the call is sound in any state of the process.
        unsafe { libc::_exit(0) }
    }
    result
}

/// A harmless system call with this name: it changes nothing.
fn call(what: &str) -> io::Result<String> {
    let host = i64::from(std::os::unix::process::parent_id());
    let nothing = ptr::null::<u8>();
    let null = c"/dev/null".as_ptr();
    let here = libc::AT_FDCWD;
    let mut limit = [0u64; 2];
    let mut set = [0u8; 128];
    let own = File::open("/dev/null")?;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&own);
    // SAFETY: each call only reads or writes one of the buffers above.
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
                parent(libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0))
            }
            "clone" => parent(libc::syscall(libc::SYS_clone, i64::from(libc::SIGCHLD), 0, 0, 0, 0)),
            // As `vfork` does.
            "clone with memory" => {
                let flags = i64::from(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD);
                parent(libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0))
            }
            "clone3" => {
                let mut arguments = [0_u64; 8];
                arguments[4] = u64::from(libc::SIGCHLD.unsigned_abs());
                parent(libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)))
            }
            #[cfg(target_arch = "x86_64")]
            "fork" => parent(libc::syscall(libc::SYS_fork)),
            #[cfg(target_arch = "x86_64")]
            "vfork" => parent(libc::syscall(libc::SYS_vfork)),
            "openat2" => {
                let how = [0_u64; 3];
                libc::syscall(libc::SYS_openat2, here, null, how.as_ptr(), size_of_val(&how))
            }
            "life without parent" => libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0),
            "udp socket" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0),
            "local socket" => libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
            "multipath socket" => {
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)
            }
            "sequence socket" => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_SEQPACKET, 0),
            "ping socket" => {
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)
            }
            // It gets a port of its own.
            "listen" => libc::syscall(
                libc::SYS_listen,
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
                1,
            ),
            "address" => return remove_address(),
            "real time" => {
                let priority = 1_i32;
                let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
                libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority)
            }
            "higher priority" => libc::syscall(libc::SYS_setpriority, 0, 0, -5),
            "raw socket" => {
                libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
            }
            "packet socket" => libc::syscall(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_DGRAM, 0),
            "socket" => {
                libc::syscall(libc::SYS_socket, libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)
            }
            "route socket" => libc::syscall(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0),
            "shared memory" => libc::syscall(libc::SYS_shmget, 0, 4096, 0o600),
            "memory without a path" => libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0),
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

/// Asks the kernel by netlink to remove an address from a device that does not exist.
fn remove_address() -> io::Result<String> {
    #[repr(C)]
    struct Message {
        head: libc::nlmsghdr,
        family: [u8; 4],
        device: u32,
    }
    let head = libc::nlmsghdr {
        nlmsg_len: size_of::<Message>() as u32,
        nlmsg_type: libc::RTM_DELADDR,
        nlmsg_flags: (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16,
        nlmsg_seq: 1,
        nlmsg_pid: 0,
    };
    let message = Message { head, family: [libc::AF_INET as u8, 32, 0, 0], device: 0x7fff_fff0 };
    let mut answer = [0_u8; 1024];
    // SAFETY: the message is readable and the answer writable.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
        called(i64::from(socket))?;
        called(libc::send(socket, (&raw const message).cast(), size_of::<Message>(), 0) as i64)?;
        called(libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) as i64)?;
    }
    let error = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
    Err(io::Error::from_raw_os_error(-error))
}

/// Connects to a port of this machine by sending.
fn fast_open(port: u16) -> io::Result<String> {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    // SAFETY: the address and the byte are readable.
    called(unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let (to, size) = ((&raw const address).cast(), size_of_val(&address) as u32);
        libc::sendto(socket, [0_u8].as_ptr().cast(), 1, libc::MSG_FASTOPEN, to, size) as i64
    })
}

/// Makes the file `new` by this call with this mode, such as `open 666`.
fn make(what: &str) -> io::Result<String> {
    let (call, mode) = what.split_once(' ').unwrap();
    let mode = i64::from_str_radix(mode, 8).unwrap();
    let (here, new) = (libc::AT_FDCWD, c"new".as_ptr());
    let flags = libc::O_CREAT | libc::O_WRONLY;
    // SAFETY: the paths are valid.
    called(unsafe {
        match call {
            "unnamed" => {
                libc::syscall(libc::SYS_openat, here, c".".as_ptr(), libc::O_TMPFILE | libc::O_WRONLY, mode)
            }
            #[cfg(target_arch = "x86_64")]
            "open" => libc::syscall(libc::SYS_open, new, flags, mode),
            #[cfg(target_arch = "x86_64")]
            "creat" => libc::syscall(libc::SYS_creat, new, mode),
            #[cfg(target_arch = "x86_64")]
            "mknod" => libc::syscall(libc::SYS_mknod, new, mode, 0),
            #[cfg(not(target_arch = "x86_64"))]
            "open" | "creat" => libc::syscall(libc::SYS_openat, here, new, flags, mode),
            #[cfg(not(target_arch = "x86_64"))]
            "mknod" => libc::syscall(libc::SYS_mknodat, here, new, mode, 0),
            "openat" => libc::syscall(libc::SYS_openat, here, new, flags, mode),
            "mknodat" => libc::syscall(libc::SYS_mknodat, here, new, mode, 0),
            "mkdir" => libc::syscall(libc::SYS_mkdirat, here, new, mode),
            other => panic!("no such call: {other}"),
        }
    })
}

fn try_it(attempt: &str, with: &str, verified: &[Verified]) -> io::Result<String> {
    let done = |_| "ok".to_owned();
    match attempt {
        "read" => fs::read(with).map(|bytes| format!("ok {}", bytes.len())),
        "list" => fs::read_dir(with).map(|_| "ok".to_owned()),
        "size" => fs::metadata(with).map(|file| format!("ok {}", file.len())),
        "watch" => {
            let path = std::ffi::CString::new(with).unwrap();
            // SAFETY: the path is valid.
            called(unsafe {
                let watches = libc::syscall(libc::SYS_inotify_init1, 0);
                called(watches)?;
                libc::syscall(libc::SYS_inotify_add_watch, watches, path.as_ptr(), libc::IN_CREATE)
            })
        }
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
        "memory-file" => fs::read(with.replace("PARENT", &std::os::unix::process::parent_id().to_string()))
            .map(|_| "ok".to_owned()),
        "resolve" => Ok(std::net::ToSocketAddrs::to_socket_addrs(&(with, 1))?.count().min(1).to_string()),
        "load" => verified[0]
            .load_within(Duration::from_secs(60))
            .map(|plugin| format!("ok {}", plugin.metadata().name))
            .map_err(io::Error::other),
        "signal" => kill_process(Pid::from_raw(with.parse().unwrap()).unwrap(), Signal::URG)
            .map(done)
            .map_err(io::Error::from),
        "spawn" => std::process::Command::new(with).status().map(|status| status.to_string()),
        // SAFETY: the path and both lists are valid.
        "exec" => called(i64::from(unsafe {
            let arguments = [c"/bin/true".as_ptr(), ptr::null()];
            libc::execve(arguments[0], arguments.as_ptr(), ptr::null())
        })),
        "exec-file" => {
            let file = File::open("/bin/true")?;
            let arguments = [c"true".as_ptr(), ptr::null()];
            // SAFETY: as above. The descriptor belongs to this process.
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
        // SAFETY: the call changes nothing by itself.
        "trace" => called(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }),
        "peek" => {
            let mut bytes = [0u8; 8];
            let own = [1u8; 8];
            let (to, from) = (
                libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 8 },
                libc::iovec { iov_base: own.as_ptr().cast_mut().cast(), iov_len: 8 },
            );
            // SAFETY: both are readable and the first is writable.
            called(unsafe { libc::process_vm_readv(libc::getpid(), &raw const to, 1, &raw const from, 1, 0) }
                as i64)
        }
        "call" => call(with),
        "connect" => std::net::TcpStream::connect(with).map(|_| "ok".to_owned()),
        "bind" => std::net::TcpListener::bind(with).map(|_| "ok".to_owned()),
        "fast open" => fast_open(with.parse().unwrap()),
        "abstract" => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(with)?;
            std::os::unix::net::UnixStream::connect_addr(&address).map(|_| "ok".to_owned())
        }
        "make" => make(with),
        "mask" => {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(with, 8).unwrap()));
            Ok("ok".to_owned())
        }
        "status" => Ok(fs::read_to_string("/proc/self/status")?.replace(['\n', '\t'], "")),
        "thread" => Ok(std::thread::Builder::new().spawn(|| "ok".to_owned())?.join().unwrap()),
        "forks" => {
            let wanted: usize = with.parse().unwrap();
            for _ in 0..wanted {
                // SAFETY: the call is sound while there is one thread. The child only ends.
                match unsafe { libc::fork() } {
                    // SAFETY: the call is sound in any state of the process.
                    0 => unsafe { libc::_exit(0) },
                    pid => called(i64::from(pid))?,
                };
            }
            Ok(format!("{wanted} forks"))
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
