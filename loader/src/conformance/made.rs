//! What a plugin makes in places that all programs share: names in their folders, and objects of System V and POSIX.

#![cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    allow(dead_code, reason = "nothing is seen there")
)]

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::boundary::process::lock;

/// Folders in which every program may make files; named semaphores and shared memory are in the last.
const SHARED: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// One of these things.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    /// A file, folder, link or socket.
    Path(PathBuf),
    /// A queue of POSIX, by its name.
    Queue(CString),
    /// An object of System V, by the number of the system call that gets one, and its own.
    SystemV(i64, i32),
}

/// Something that is there still.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// A file, folder, link or socket. Named semaphores and shared memory are files in `/dev/shm`.
    File(PathBuf),
    /// Another object, in words.
    Object(String),
}

/// What was made.
///
/// The kernel asks a thread of this process before each system call that makes such a thing, so what other processes make is
/// never among it. A thing that was there before counts, too, when it is opened by a call that would have made it.
///
/// # Platform
/// Linux on x86-64 and ARM64, since 5.5, where a process may watch its own system calls (user notification by seccomp). Calls
/// by `io_uring` are not seen.
#[derive(Clone, Debug, Default)]
pub struct Made(Arc<Mutex<BTreeSet<Thing>>>);

impl Made {
    /// Begins to note what the calling thread makes, and what the threads and processes make that it starts. Programs can't
    /// gain rights any more (`PR_SET_NO_NEW_PRIVS`).
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn watch() -> io::Result<Self> {
        let made = Self::default();
        system::watch(made.clone())?;
        Ok(made)
    }

    fn add(&self, thing: Thing) {
        lock(&self.0).insert(thing);
    }

    /// What was made and is there still.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        let made = lock(&self.0).clone();
        made.into_iter().filter(system::is_there).map(system::describe).collect()
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod system {
    use std::io;

    use crate::conformance::made::{Left, Made, Thing};

    pub(super) fn watch(_: Made) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_there(_: &Thing) -> bool {
        false
    }

    pub(super) fn describe(thing: Thing) -> Left {
        Left::Object(format!("{thing:?}"))
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system {
    use std::ffi::{CStr, CString, OsStr};
    use std::mem::{offset_of, zeroed};
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Condvar, Mutex, PoisonError};
    use std::{fs, io, ptr};

    use crate::boundary::process::{SMALL_STACK, lock, thread};
    use crate::conformance::made::{Left, Made, SHARED, Thing};

    /// What a system call makes. Numbers are those of its arguments.
    #[derive(Clone, Copy)]
    enum Makes {
        /// A name, relative to the folder that a descriptor has, or to the working folder.
        Name {
            folder: Option<usize>,
            name: usize,
        },
        /// The same, if the flags say so.
        File {
            folder: Option<usize>,
            name: usize,
            flags: Flags,
        },
        /// A socket with an address.
        Socket,
        Queue,
        /// An object of System V, if these flags say so.
        SystemV {
            flags: usize,
        },
    }

    /// The flags of a file that is opened.
    #[derive(Clone, Copy)]
    enum Flags {
        Argument(usize),
        /// They are the first member of the structure to which this argument points.
        Behind(usize),
    }

    /// A system call that makes something.
    struct Call {
        number: i64,
        makes: Makes,
    }

    const fn call(number: i64, makes: Makes) -> Call {
        Call { number, makes }
    }

    const fn file(folder: Option<usize>, name: usize, flags: Flags) -> Makes {
        Makes::File { folder, name, flags }
    }

    /// The flags of which the kernel asks. A semaphore that is there is opened by the second, even by a call that would make it.
    const ASKED: i32 = libc::O_CREAT | libc::O_RDWR;

    const fn name(folder: Option<usize>, name: usize) -> Makes {
        Makes::Name { folder, name }
    }

    const CALLS: &[Call] = &[
        call(libc::SYS_openat, file(Some(0), 1, Flags::Argument(2))),
        call(libc::SYS_openat2, file(Some(0), 1, Flags::Behind(2))),
        call(libc::SYS_mkdirat, name(Some(0), 1)),
        call(libc::SYS_mknodat, name(Some(0), 1)),
        call(libc::SYS_linkat, name(Some(2), 3)),
        call(libc::SYS_symlinkat, name(Some(1), 2)),
        call(libc::SYS_renameat, name(Some(2), 3)),
        call(libc::SYS_renameat2, name(Some(2), 3)),
        call(libc::SYS_bind, Makes::Socket),
        call(libc::SYS_mq_open, Makes::Queue),
        call(libc::SYS_shmget, Makes::SystemV { flags: 2 }),
        call(libc::SYS_semget, Makes::SystemV { flags: 2 }),
        call(libc::SYS_msgget, Makes::SystemV { flags: 1 }),
    ];

    /// Calls that only this architecture has.
    #[cfg(target_arch = "x86_64")]
    const OLD: &[Call] = &[
        call(libc::SYS_open, file(None, 0, Flags::Argument(1))),
        call(libc::SYS_creat, name(None, 0)),
        call(libc::SYS_mkdir, name(None, 0)),
        call(libc::SYS_mknod, name(None, 0)),
        call(libc::SYS_link, name(None, 1)),
        call(libc::SYS_symlink, name(None, 1)),
        call(libc::SYS_rename, name(None, 1)),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD: &[Call] = &[];

    /// The number of the architecture in the kernel's description of a call (`AUDIT_ARCH_`).
    const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

    /// The requests of `ioctl` to take a question, and to answer it.
    const RECEIVE: libc::Ioctl = request::<libc::seccomp_notif>(0);
    const ANSWER: libc::Ioctl = request::<libc::seccomp_notif_resp>(1);

    /// `_IOWR('!', number, T)`.
    const fn request<T>(number: libc::Ioctl) -> libc::Ioctl {
        3 << 30 | (size_of::<T>() as libc::Ioctl) << 16 | 0x21 << 8 | number
    }

    /// A filter by which the kernel asks before each of the calls.
    fn filter() -> Vec<libc::sock_filter> {
        let step = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
        let load = |at: usize| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at as u32, 0, 0);
        // Runs the next step if it is so, and otherwise skips `past` steps.
        let unless_equal = |k, past| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, 0, past);
        let unless_set = |k, past| step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, k, 0, past);
        let end = |action| step(libc::BPF_RET | libc::BPF_K, action, 0, 0);
        let (ask, allow) = (end(libc::SECCOMP_RET_USER_NOTIF), end(libc::SECCOMP_RET_ALLOW));

        let mut steps = vec![load(offset_of!(libc::seccomp_data, arch)), unless_equal(ARCHITECTURE, 1)];
        steps.extend([step(libc::BPF_JMP | libc::BPF_JA, 1, 0, 0), allow]);
        steps.push(load(offset_of!(libc::seccomp_data, nr)));
        for call in CALLS.iter().chain(OLD) {
            let number = call.number as u32;
            if let Makes::File { flags: Flags::Argument(flags), .. } = call.makes {
                // The lower half comes first on these architectures.
                let flags = load(offset_of!(libc::seccomp_data, args) + flags * size_of::<u64>());
                steps.extend([unless_equal(number, 4), flags, unless_set(ASKED as u32, 1), ask, allow]);
            } else {
                steps.extend([unless_equal(number, 1), ask]);
            }
        }
        steps.push(allow);
        steps
    }

    /// The kernel lets a call go on after it has asked since 5.5.
    fn can_go_on() -> bool {
        let release = rustix::system::uname();
        let release = release.release().to_string_lossy();
        let mut numbers =
            release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 5)
    }

    pub(super) fn watch(made: Made) -> io::Result<()> {
        if !can_go_on() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // The filter is that of the calling thread and of what it starts, so the thread that answers comes first. It has to have
        // begun, too: a plugin that asks while it is loaded holds the lock of the dynamic loader, which new threads want.
        let state = Arc::new((Mutex::new(Watch::Begins), Condvar::new()));
        let of_thread = Arc::clone(&state);
        let watch = move || {
            // What is linked with its first call is linked by this.
            let known = text(std::process::id(), c"/tmp/x".as_ptr().addr() as u64);
            drop(known.and_then(|path| shared_path(std::process::id(), libc::AT_FDCWD, path.to_bytes())));
            let (state, changed) = &*of_thread;
            let mut now = lock(state);
            *now = Watch::Waits;
            changed.notify_all();
            while matches!(*now, Watch::Waits) {
                now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
            }
            let Watch::Listens(listener) = std::mem::replace(&mut *now, Watch::Begins) else { return };
            drop(now);
            answer(&listener, &made);
        };
        thread("made").stack_size(4 * SMALL_STACK).spawn(watch)?;
        let (state, changed) = &*state;
        let mut now = lock(state);
        while matches!(*now, Watch::Begins) {
            now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        let listener = install();
        let (next, result) = match listener {
            Ok(listener) => (Watch::Listens(listener), Ok(())),
            Err(error) => (Watch::Ends, Err(error)),
        };
        *now = next;
        changed.notify_all();
        result
    }

    /// The state of the thread that answers.
    enum Watch {
        Begins,
        Waits,
        Listens(OwnedFd),
        Ends,
    }

    /// Installs the filter for the calling thread, and gives the descriptor by which the kernel asks.
    fn install() -> io::Result<OwnedFd> {
        let mut filter = filter();
        let program = libc::sock_fprog {
            len: u16::try_from(filter.len()).map_err(io::Error::other)?,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the option takes numbers only.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the program lives during the call, which copies it.
        let listener = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const program,
            )
        };
        let Ok(listener @ 0..) = i32::try_from(listener) else { return Err(io::Error::last_os_error()) };
        // SAFETY: the call has made this descriptor, which has no other owner.
        Ok(unsafe { OwnedFd::from_raw_fd(listener) })
    }

    /// Notes what each call will make, until the process ends, and lets it go on.
    fn answer(listener: &OwnedFd, made: &Made) {
        loop {
            // SAFETY: the question is plain data, and the kernel wants it to be zero.
            let mut question: libc::seccomp_notif = unsafe { zeroed() };
            // SAFETY: the request writes one question.
            if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut question) } != 0 {
                match io::Error::last_os_error().raw_os_error() {
                    // A signal, or a caller that has ended.
                    Some(libc::EINTR | libc::ENOENT) => continue,
                    _ => return,
                }
            }
            let mut answer = libc::seccomp_notif_resp {
                id: question.id,
                val: 0,
                error: 0,
                flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            };
            if let Some(result) = note(&question, made) {
                answer.flags = 0;
                match result {
                    Ok(number) => answer.val = number,
                    Err(error) => answer.error = -error.raw_os_error().unwrap_or(libc::EPERM),
                }
            }
            // If the caller has ended, nobody waits for it.
            // SAFETY: the request reads one answer.
            unsafe { libc::ioctl(listener.as_raw_fd(), ANSWER, &raw mut answer) };
        }
    }

    /// Notes what a call will make. Gives its result if the call was made here, because only its result says what was made.
    fn note(question: &libc::seccomp_notif, made: &Made) -> Option<io::Result<i64>> {
        let (caller, arguments) = (question.pid, question.data.args);
        let number = i64::from(question.data.nr);
        let makes = CALLS.iter().chain(OLD).find(|call| call.number == number)?.makes;
        match makes {
            Makes::Name { folder, name } | Makes::File { folder, name, .. } => {
                let text = text(caller, arguments[name])?;
                let folder = folder.map_or(libc::AT_FDCWD, |at| arguments[at] as i32);
                let path = shared_path(caller, folder, text.to_bytes())?;
                if let Makes::File { flags, .. } = makes {
                    let flags = match flags {
                        Flags::Argument(at) => arguments[at],
                        Flags::Behind(at) => {
                            u64::from_ne_bytes(bytes(caller, arguments[at], 8)?.try_into().ok()?)
                        }
                    };
                    let is_semaphore =
                        || path.file_name().is_some_and(|name| name.as_bytes().starts_with(SEMAPHORE));
                    if flags as i32 & libc::O_CREAT == 0
                        && !(flags as i32 & libc::O_RDWR != 0 && is_semaphore())
                    {
                        return None;
                    }
                }
                made.add(Thing::Path(path));
            }
            Makes::Socket => {
                let length = usize::try_from(arguments[2]).ok()?.min(size_of::<libc::sockaddr_un>());
                let address = bytes(caller, arguments[1], length)?;
                let family = libc::sa_family_t::from_ne_bytes(address.get(..2)?.try_into().ok()?);
                let path = address[2..].split(|byte| *byte == 0).next()?;
                if i32::from(family) == libc::AF_UNIX && !path.is_empty() {
                    made.add(Thing::Path(shared_path(caller, libc::AT_FDCWD, path)?));
                }
            }
            Makes::Queue if arguments[1] as i32 & libc::O_CREAT == 0 => {}
            Makes::Queue => made.add(Thing::Queue(text(caller, arguments[0])?)),
            Makes::SystemV { flags } => {
                let is_private = arguments[0] as libc::key_t == libc::IPC_PRIVATE;
                if !is_private && arguments[flags] as i32 & libc::IPC_CREAT == 0 {
                    return None;
                }
                // SAFETY: these calls take numbers only.
                let object = unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) };
                let Ok(object @ 0..) = i32::try_from(object) else {
                    return Some(Err(io::Error::last_os_error()));
                };
                made.add(Thing::SystemV(number, object));
                return Some(Ok(object.into()));
            }
        }
        None
    }

    /// How the C library begins the names of semaphores.
    const SEMAPHORE: &[u8] = b"sem.";

    /// A path of the caller, if it leads into a shared folder.
    fn shared_path(caller: u32, folder: i32, path: &[u8]) -> Option<PathBuf> {
        let folder = match folder {
            libc::AT_FDCWD => format!("/proc/{caller}/cwd"),
            descriptor => format!("/proc/{caller}/fd/{descriptor}"),
        };
        let path = Path::new(OsStr::from_bytes(path));
        let path = if path.is_absolute() { path.to_owned() } else { Path::new(&folder).join(path) };
        let (parent, name) = (fs::canonicalize(path.parent()?).ok()?, path.file_name()?);
        let is_shared =
            |folder: &&str| fs::canonicalize(folder).is_ok_and(|folder| parent.starts_with(folder));
        SHARED.iter().any(is_shared).then(|| parent.join(name))
    }

    /// A text of the caller that ends with a zero byte.
    fn text(caller: u32, address: u64) -> Option<CString> {
        const PAGE: u64 = 4096;
        let mut found = Vec::new();
        while found.len() < libc::PATH_MAX as usize {
            let at = address.checked_add(found.len() as u64)?;
            // The next page may not be there.
            found.extend(bytes(caller, at, usize::try_from(PAGE - at % PAGE).ok()?)?);
            if let Ok(text) = CStr::from_bytes_until_nul(&found) {
                return Some(text.to_owned());
            }
        }
        None
    }

    /// Bytes of the caller's memory.
    fn bytes(caller: u32, address: u64, length: usize) -> Option<Vec<u8>> {
        let mut found = vec![0_u8; length];
        let here = libc::iovec { iov_base: found.as_mut_ptr().cast(), iov_len: length };
        let there = libc::iovec {
            iov_base: ptr::without_provenance_mut(usize::try_from(address).ok()?),
            iov_len: length,
        };
        // SAFETY: the call writes to `found` alone, and refuses an address that is none.
        let count = unsafe {
            libc::process_vm_readv(caller.cast_signed(), &raw const here, 1, &raw const there, 1, 0)
        };
        found.truncate(usize::try_from(count).ok()?);
        Some(found)
    }

    pub(super) fn is_there(thing: &Thing) -> bool {
        let result: i64 = match thing {
            Thing::Path(path) => return fs::symlink_metadata(path).is_ok(),
            Thing::Queue(name) => {
                // SAFETY: the name lives during the call, which makes nothing without `O_CREAT`.
                let queue = unsafe { libc::syscall(libc::SYS_mq_open, name.as_ptr(), libc::O_RDONLY, 0, 0) };
                if let Ok(queue @ 0..) = i32::try_from(queue) {
                    // SAFETY: the call has made this descriptor, which has no other owner.
                    drop(unsafe { OwnedFd::from_raw_fd(queue) });
                }
                queue
            }
            Thing::SystemV(number, object) => {
                let mut room = [0_u64; 32];
                let room = room.as_mut_ptr();
                // SAFETY: the room is larger than the description of each object.
                i64::from(unsafe {
                    match *number {
                        libc::SYS_shmget => libc::shmctl(*object, libc::IPC_STAT, room.cast()),
                        libc::SYS_semget => libc::semctl(*object, 0, libc::IPC_STAT, room),
                        _ => libc::msgctl(*object, libc::IPC_STAT, room.cast()),
                    }
                })
            }
        };
        result >= 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EACCES)
    }

    pub(super) fn describe(thing: Thing) -> Left {
        Left::Object(match thing {
            Thing::Path(path) => return Left::File(path),
            Thing::Queue(name) => format!(
                "the POSIX message queue {:?}",
                PathBuf::from("/").join(OsStr::from_bytes(name.to_bytes()))
            ),
            Thing::SystemV(libc::SYS_shmget, object) => format!("System V shared memory {object}"),
            Thing::SystemV(libc::SYS_semget, object) => format!("System V semaphores {object}"),
            Thing::SystemV(_, object) => format!("System V message queue {object}"),
        })
    }
}
