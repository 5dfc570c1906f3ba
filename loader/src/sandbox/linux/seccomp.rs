//! The system calls that a plugin may not make: on other processes, on the state of kernel and machine, and
//! on files in ways that landlock does not restrict. They fail with EPERM.

use std::{collections::BTreeMap, env};

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, apply_filter, sock_filter,
};

/// Starting programs: only the verified plugin may run.
const PROGRAMS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// New processes, which could outlive the tool. `clone` is the way to a thread, and is judged by its flags.
#[cfg(target_arch = "x86_64")]
const FORKS: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[i64] = &[];

/// Access to other processes: memory, descriptors, placement. A descriptor of a process allows that later.
const PROCESSES: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    PROCESS_MRELEASE,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
];

/// Parts of the kernel that no backend needs and that have been used to escape from sandboxes. Calls through
/// the ring of io_uring do not pass this filter.
const KERNEL: &[i64] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_lookup_dcookie,
    LSM_SET_SELF_ATTR,
];

/// Watches of folders. Landlock does not restrict them, and they tell the names of files in a folder that can't be listed.
const WATCHES: &[i64] = &[libc::SYS_inotify_init1, libc::SYS_inotify_add_watch];

/// Memory in files without a path, which no limit counts.
const MEMORY: &[i64] = &[libc::SYS_memfd_create, MEMFD_SECRET];

/// The user's keys, and objects shared between processes outside of the file system.
const SHARED: &[i64] = &[
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Other views of the file system, and files without paths.
const VIEWS: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
];

/// The machine: its clock, name, swap, accounts and power.
const MACHINE: &[i64] = &[
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// Mode, owner, times and attributes of files, which landlock does not restrict.
const METADATA: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

/// Calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_inotify_init,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

// Numbers that not every libc knows. They are the same on all architectures.
const QUOTACTL_FD: i64 = 443;
const MEMFD_SECRET: i64 = 447;
const PROCESS_MRELEASE: i64 = 448;
const FCHMODAT2: i64 = 452;
const LSM_SET_SELF_ATTR: i64 = 460;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;

/// The highest number that these lists know. A plugin does without what later kernels add until it is judged here.
const NEWEST: i64 = FILE_SETATTR;

/// Bits of a file's mode: it runs with the rights of its owner or group.
const SET_ID: [u64; 2] = [0o4000, 0o2000];
/// Bits of the mask for new files: group and others do not write.
const OTHERS_WRITE: [u64; 2] = [0o020, 0o002];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denies the calls to this thread and its children. A call by another ABI ends the process. `network` is that of the
/// sandbox.
pub(super) fn deny(network: Option<&[u16]>) -> Result<(), seccompiler::Error> {
    programs(network)?.iter().try_for_each(|program| apply_filter(program))
}

/// The filters, in the order in which they are applied. Of several refusals the last one counts.
fn programs(network: Option<&[u16]>) -> Result<[BpfProgram; 4], seccompiler::Error> {
    let mut rules: Rules =
        [PROGRAMS, FORKS, PROCESSES, KERNEL, WATCHES, MEMORY, SHARED, VIEWS, MACHINE, METADATA, OLD]
            .iter()
            .flat_map(|group| group.iter().map(|number| (*number, Vec::new())))
            .collect();
    rules.extend(of_others()?);
    rules.extend([
        (libc::SYS_clone, clones()?),
        (libc::SYS_prctl, outliving()?),
        (libc::SYS_socket, sockets(network)?),
        (libc::SYS_socketpair, vec![when(&[(0, Ne, UNIX)])?]),
        (libc::SYS_ioctl, controls()?),
    ]);
    rules.extend(creations()?);
    // These get past the rules of landlock for ports.
    if network.is_some() {
        rules.insert(libc::SYS_listen, Vec::new());
        for (number, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
            rules.insert(number, fast_open(flags)?);
        }
    }
    // A filter can't see the arguments of these, which are in memory. Without them, libc uses `clone` and `openat`.
    let absent: Rules =
        [libc::SYS_clone3, libc::SYS_openat2].into_iter().map(|number| (number, Vec::new())).collect();
    // A program that sets the mask for a moment takes what `umask` returns for the old one, and would set an
    // error as the next mask. So the call returns 0 and changes nothing.
    let lowered = OTHERS_WRITE.iter().map(|bit| when(&[(0, MaskedEq(*bit), 0)])).collect::<Result<_, _>>()?;
    let ignored: Rules = [(libc::SYS_umask, lowered)].into();
    Ok([refuse(ignored, 0)?, refuse(absent, libc::ENOSYS)?, refuse_newer(), refuse(rules, libc::EPERM)?])
}

fn refuse(rules: Rules, error: i32) -> Result<BpfProgram, seccompiler::Error> {
    let refusal = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

/// Takes away the calls whose numbers are higher than [`NEWEST`], as on a kernel that does not have them. Those of the ABI
/// x32, which some kernels for x86-64 have, are among them.
fn refuse_newer() -> BpfProgram {
    let instruction = |code: u32, jf, k| sock_filter { code: code as u16, jt: 0, jf, k };
    let refusal = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    vec![
        // The number of the call is what the kernel describes a call with first.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, NEWEST as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, refusal),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// A rule for a call whose arguments meet all conditions: index, comparison, and number.
fn when(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::Error> {
    let conditions = conditions
        .iter()
        .map(|(place, compare, value)| SeccompCondition::new(*place, Dword, compare.clone(), *value))
        .collect::<Result<_, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

/// Limits, priority and processors of another process. 0 is the caller, for which libc uses some.
fn of_others() -> Result<Rules, seccompiler::Error> {
    const PRIO_PROCESS: u64 = 0;
    const IOPRIO_WHO_PROCESS: u64 = 1;
    let mut rules = Rules::new();
    for number in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
    ] {
        rules.insert(number, vec![when(&[(0, Ne, 0)])?]);
    }
    for (number, process) in
        [(libc::SYS_setpriority, PRIO_PROCESS), (libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS)]
    {
        // Otherwise it is a group or a user.
        rules.insert(number, vec![when(&[(0, Ne, process)])?, when(&[(1, Ne, 0)])?]);
    }
    Ok(rules)
}

/// All but threads, and new namespaces, in which a process could be root.
fn clones() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let mut rules = vec![when(&[(0, MaskedEq(thread), 0)])?];
    for flag in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ] {
        let flag = u64::from(flag.unsigned_abs());
        rules.push(when(&[(0, MaskedEq(flag), flag)])?);
    }
    Ok(rules)
}

/// To take back that the kernel ends this process with the tool.
fn outliving() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    Ok(vec![when(&[(0, Eq, u64::from(libc::PR_SET_PDEATHSIG.unsigned_abs()))])?])
}

/// `AF_UNIX`.
const UNIX: u64 = 1;

/// All sockets but those of TCP, UDP, the file system, and netlink for routes, which a resolver needs. Without a network,
/// all but those of the file system.
fn sockets(network: Option<&[u16]>) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    // The other bits of a socket's type are flags.
    const TYPE: u64 = 0xf;
    /// `SOCK_PACKET`, which is AF_PACKET by its old name.
    const PACKET: u64 = 10;
    if network.is_some_and(<[u16]>::is_empty) {
        return Ok(vec![when(&[(0, Ne, UNIX)])?]);
    }
    let number = |it: libc::c_int| u64::from(it.unsigned_abs());
    let [inet, inet6, netlink] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(number);
    let (route, tcp, udp) =
        (number(libc::NETLINK_ROUTE), number(libc::IPPROTO_TCP), number(libc::IPPROTO_UDP));
    let mut rules = vec![
        when(&[(0, Ne, UNIX), (0, Ne, inet), (0, Ne, inet6), (0, Ne, netlink)])?,
        when(&[(0, Eq, netlink), (2, Ne, route)])?,
        when(&[(1, MaskedEq(TYPE), PACKET)])?,
    ];
    for family in [inet, inet6] {
        for kind in [libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP] {
            rules.push(when(&[(0, Eq, family), (1, MaskedEq(TYPE), number(kind))])?);
        }
        // 0 is TCP or UDP.
        rules.push(when(&[(0, Eq, family), (2, Ne, 0), (2, Ne, tcp), (2, Ne, udp)])?);
    }
    Ok(rules)
}

/// To connect by sending, with these flags in the place `flags`.
fn fast_open(flags: u8) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let flag = u64::from(libc::MSG_FASTOPEN.unsigned_abs());
    Ok(vec![when(&[(flags, MaskedEq(flag), flag)])?])
}

/// New files that run with the rights of their owner or group.
fn creations() -> Result<Rules, seccompiler::Error> {
    /// The bit that is in `O_TMPFILE` alone.
    const TMPFILE: u64 = 0o20_000_000;
    let create = u64::from(libc::O_CREAT.unsigned_abs());
    let mut rules = Rules::new();
    // The places of flags and mode. The mode of `open` counts only for a new file.
    #[cfg(target_arch = "x86_64")]
    let opens = [(libc::SYS_open, 1, 2), (libc::SYS_openat, 2, 3)];
    #[cfg(not(target_arch = "x86_64"))]
    let opens = [(libc::SYS_openat, 2, 3)];
    for (number, flags, mode) in opens {
        let mut refused = Vec::new();
        for new in [create, TMPFILE] {
            for bit in SET_ID {
                refused.push(when(&[(flags, MaskedEq(new), new), (mode, MaskedEq(bit), bit)])?);
            }
        }
        rules.insert(number, refused);
    }
    #[cfg(target_arch = "x86_64")]
    let others = [
        (libc::SYS_creat, 1),
        (libc::SYS_mkdir, 1),
        (libc::SYS_mknod, 1),
        (libc::SYS_mkdirat, 2),
        (libc::SYS_mknodat, 2),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let others = [(libc::SYS_mkdirat, 2), (libc::SYS_mknodat, 2)];
    for (number, mode) in others {
        let refused =
            SET_ID.iter().map(|bit| when(&[(mode, MaskedEq(*bit), *bit)])).collect::<Result<_, _>>()?;
        rules.insert(number, refused);
    }
    Ok(rules)
}

/// Input for a terminal, and attributes of files, which a descriptor for reading can change.
fn controls() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    const FS_IOC_SETFLAGS: u64 = 0x4008_6602;
    const FS_IOC32_SETFLAGS: u64 = 0x4004_6602;
    const FS_IOC_FSSETXATTR: u64 = 0x401c_5820;
    const FS_IOC_SETVERSION: u64 = 0x4008_7602;
    const EXT4_IOC_SETVERSION: u64 = 0x4008_6604;
    const FS_IOC_ENABLE_VERITY: u64 = 0x4080_6685;
    const FS_IOC_SET_ENCRYPTION_POLICY: u64 = 0x800c_6613;
    const FAT_IOCTL_SET_ATTRIBUTES: u64 = 0x4004_7211;
    [
        TIOCSTI,
        TIOCLINUX,
        FS_IOC_SETFLAGS,
        FS_IOC32_SETFLAGS,
        FS_IOC_FSSETXATTR,
        FS_IOC_SETVERSION,
        EXT4_IOC_SETVERSION,
        FS_IOC_ENABLE_VERITY,
        FS_IOC_SET_ENCRYPTION_POLICY,
        FAT_IOCTL_SET_ATTRIBUTES,
    ]
    .iter()
    .map(|request| when(&[(1, Eq, *request)]))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A row for each system call of either architecture: name, number of x86-64, number of aarch64, what becomes of it.
    /// Names and numbers are those of the headers of Linux 6.1, and of newer kernels up to 6.17.
    const CALLS: &str = include_str!("calls.tsv");

    /// The architecture as the kernel describes it: `AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`.
    const AUDIT: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    const COLUMN: usize = if cfg!(target_arch = "x86_64") { 1 } else { 2 };

    /// What the kernel does with a call, by the classic BPF of all filters: of several refusals that of the last filter.
    fn verdict(programs: &[BpfProgram], number: u32, argument: u64) -> u32 {
        // struct seccomp_data: number, architecture, instruction pointer, six arguments.
        let mut data = vec![number, AUDIT, 0, 0];
        (0..6).for_each(|_| data.extend([argument as u32, (argument >> 32) as u32]));
        let results = programs.iter().rev().map(|program| run(program, &data));
        results.min_by_key(|result| result & libc::SECCOMP_RET_ACTION_FULL).expect("there are filters")
    }

    /// The machine of `filter.rst` of the kernel, as far as these filters use it.
    fn run(program: &[sock_filter], data: &[u32]) -> u32 {
        let (mut accumulator, mut at) = (0_u32, 0);
        loop {
            let it = &program[at];
            at += 1;
            let jump = |met: bool| usize::from(if met { it.jt } else { it.jf });
            match u32::from(it.code) {
                0x20 => accumulator = data[it.k as usize / 4],
                0x54 => accumulator &= it.k,
                0x05 => at += it.k as usize,
                0x15 => at += jump(accumulator == it.k),
                0x25 => at += jump(accumulator > it.k),
                0x35 => at += jump(accumulator >= it.k),
                0x06 => return it.k,
                code => panic!("an instruction that is not known here: {code:#x}"),
            }
        }
    }

    /// The verdicts on a call with several arguments, in a fixed order.
    fn verdicts(programs: &[BpfProgram], number: u32) -> String {
        const TIOCSTI: u64 = 0x5412;
        let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
        let all = [0, 1, thread, TIOCSTI, u64::MAX];
        let found: BTreeSet<_> = all
            .map(|argument| match verdict(programs, number, argument) {
                libc::SECCOMP_RET_ALLOW => "allowed".to_owned(),
                it if it & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO => {
                    match (it & libc::SECCOMP_RET_DATA).cast_signed() {
                        0 => "ignored".to_owned(),
                        libc::EPERM => "EPERM".to_owned(),
                        libc::ENOSYS => "ENOSYS".to_owned(),
                        other => other.to_string(),
                    }
                }
                it => format!("{it:#x}"),
            })
            .into();
        Vec::from_iter(found).join(" or ")
    }

    #[test]
    fn each_system_call_is_judged_alike_on_x86_64_and_aarch64() {
        // With a network the filters refuse the most.
        let programs = programs(Some(&[443])).unwrap();
        let mut known = BTreeSet::new();
        let mut now = String::new();
        for row in CALLS.lines() {
            let row: Vec<&str> = row.split('\t').collect();
            let [name, x86_64, aarch64, said] = row[..] else { panic!("not a row: {row:?}") };
            let judged = match row[COLUMN] {
                "-" => said.to_owned(),
                number => {
                    let number = number.parse().unwrap();
                    assert!(known.insert(number), "{number} twice");
                    verdicts(&programs, number)
                }
            };
            now += &format!("{name}\t{x86_64}\t{aarch64}\t{judged}\n");
        }
        let different: Vec<_> =
            CALLS.lines().zip(now.lines()).filter(|(said, judged)| said != judged).collect();
        assert!(
            different.is_empty(),
            "calls.tsv has the left, the filters the right:\n{different:#?}\n{now}"
        );
        // What has no name here has none in the kernel, and is left to it, but for what is newer than the lists.
        let highest = u32::try_from(NEWEST).unwrap();
        for number in (0..=highest).filter(|number| !known.contains(number)) {
            assert_eq!(verdicts(&programs, number), "allowed", "{number}");
        }
        for number in [highest + 1, 1000, 0x4000_0000] {
            assert_eq!(verdicts(&programs, number), "ENOSYS", "{number}");
        }
    }
}
