//! Every system call, in a sandbox: what is refused is what `docs/security.md` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use jackfield_tests::{calls, calls_launcher, system_calls, workspace};

use crate::site::{Site, backend, events, start};

/// How a call ends that no filter refuses: see `tests/fixtures/c/calls.c`.
const NOT_MADE: i32 = 4000;
const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

/// The highest number that the filter knows.
const NEWEST: i64 = 469;
/// Higher than the numbers of every kernel.
const BEYOND: i64 = 600;
/// The bit of the ABI x32.
const X32: i64 = 0x4000_0000;

/// `uretprobe` and `uprobe` of x86-64, which some kernels pass through every filter. They are for code that the kernel has
/// placed itself, and end each other caller by SIGILL.
const UNFILTERED: [i64; 2] = [335, 336];

const ANY: Arguments = [0; 5];
/// In the places of flags, of modes and of processes: all that can be wrong.
const ALL_BITS: Arguments = [u64::MAX; 5];

const CREATE: u64 = 0o100;
const TMPFILE: u64 = 0o20_200_000;
const FAST_OPEN: u64 = 0x2000_0000;
/// The bits of `clone` for a thread.
const THREAD: u64 = 0x0001_0900;

type Arguments = [u64; 5];
type Call = (i64, Arguments);
/// The name of a call, arguments with which it is refused, and arguments with which it is not.
type Case = (&'static str, Vec<Arguments>, Vec<Arguments>);

fn numbers_to(last: i64) -> impl Iterator<Item = i64> {
    (0..=last).filter(|number| cfg!(not(target_arch = "x86_64")) || !UNFILTERED.contains(number))
}

/// The first arguments of a call.
fn with(first: &[u64]) -> Arguments {
    let mut all = ANY;
    all[..first.len()].copy_from_slice(first);
    all
}

/// What a sandbox with these options answers each call with.
fn answers(options: &str, tried: &[Call]) -> Vec<i32> {
    let site = Site::new(&[]);
    let lines = tried.iter().map(|(number, arguments)| {
        let arguments = arguments.map(|argument| argument.to_string()).join(" ");
        format!("{number} {arguments}\n")
    });
    site.write("calls", lines.collect::<String>());
    let rest = format!(
        "isolation = \"process\"\nsandbox = {{ write = [{:?}]{options} }}\nconfig = {{ calls = {:?}, answers = {:?} }}",
        site.path(""),
        site.path("calls"),
        site.path("answers"),
    );
    site.write("config.toml", backend("calls", &calls(), &rest));
    site.write("in.jsonl", events(0..1));
    let cli = jackfield_tests::cli();
    let arguments = [cli.to_str().expect("UTF-8"), "send", "in.jsonl"];
    let mut command = site.command_of(&calls_launcher(), &arguments);
    start(command.stdin(std::process::Stdio::null())).end().with_code(0);
    let answers: Vec<i32> =
        site.read("answers").lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(answers.len(), tried.len());
    answers
}

/// The calls that are refused with some arguments.
fn by_arguments() -> Vec<Case> {
    let new_namespaces =
        [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
    let clones = [17, 0x4100, 0x4111].into_iter().chain(new_namespaces.map(|flag| THREAD | flag));
    let other_families = (0..50).filter(|family| ![1, 2, 10, 16].contains(family));
    let internet = [2, 10].into_iter().flat_map(|family| {
        // Raw, reliable, sequence, DCCP and packet sockets; ICMP, UDP-Lite, SCTP and Multipath TCP.
        let kinds = [3, 4, 5, 6, 10].map(|kind| [family, kind, 0]);
        kinds.into_iter().chain([[family, 2, 1], [family, 2, 136], [family, 1, 132], [family, 1, 262]])
    });
    let netlink = (1..30).map(|protocol| [16, 3, protocol]);
    let sockets = other_families.map(|family| [family, 1, 0]).chain(internet).chain(netlink);
    // Of a file: flags (two sizes), extended attributes, generation (two), verity, encryption, those of FAT.
    let controls = [
        0x5412,
        0x541c,
        0x4008_6602,
        0x4004_6602,
        0x401c_5820,
        0x4008_7602,
        0x4008_6604,
        0x4080_6685,
        0x800c_6613,
        0x4004_7211,
    ];
    let set_id = [0o4755, 0o2755, 0o6777];
    let opened = |place: usize| {
        let made = |flags, mode| {
            let mut arguments = ANY;
            arguments[place] = flags;
            arguments[place + 1] = mode;
            arguments
        };
        let refused = [CREATE, TMPFILE].into_iter().flat_map(|new| set_id.map(|mode| made(new, mode)));
        (refused.collect(), vec![made(CREATE, 0o755), made(TMPFILE, 0o777), made(0, 0o4755)])
    };
    let made = |place: usize| {
        let mode = |mode| {
            let mut arguments = ANY;
            arguments[place] = mode;
            arguments
        };
        (set_id.map(mode).to_vec(), vec![mode(0o777)])
    };
    let mut all: Vec<_> = [
        ("clone", clones.map(|flags| with(&[flags])).collect(), vec![with(&[THREAD])]),
        ("prctl", vec![with(&[1])], vec![with(&[15]), with(&[2])]),
        ("prlimit64", vec![with(&[1])], vec![with(&[0, 7])]),
        ("setpriority", [[0, 1], [1, 0], [2, 0]].map(|who| with(&who)).to_vec(), vec![with(&[0, 0, 5])]),
        ("ioprio_set", [[1, 1], [2, 0], [3, 0]].map(|who| with(&who)).to_vec(), vec![with(&[1, 0])]),
        (
            "socket",
            sockets.map(|socket| with(&socket)).collect(),
            [[1, 1, 0], [2, 1, 0], [2, 0o2_000_001, 6], [2, 2, 17], [10, 1, 0], [10, 2, 0], [16, 3, 0]]
                .map(|socket| with(&socket))
                .to_vec(),
        ),
        ("socketpair", vec![with(&[2, 1])], vec![with(&[1, 1])]),
        (
            "ioctl",
            controls.map(|request| with(&[0, request])).to_vec(),
            [0x5401, 0x541b, 0x5421].map(|request| with(&[0, request])).to_vec(),
        ),
        (
            "umask",
            [0, 0o020, 0o002, 0o755].map(|mask| with(&[mask])).to_vec(),
            vec![with(&[0o022]), with(&[0o777])],
        ),
    ]
    .into();
    for name in ["sched_setscheduler", "sched_setparam", "sched_setaffinity", "sched_setattr"] {
        all.push((name, vec![with(&[1])], vec![ANY]));
    }
    for (name, (refused, not)) in [
        ("open", opened(1)),
        ("openat", opened(2)),
        ("creat", made(1)),
        ("mkdir", made(1)),
        ("mknod", made(1)),
        ("mkdirat", made(2)),
        ("mknodat", made(2)),
    ] {
        all.push((name, refused, not));
    }
    all
}

/// The calls that are refused only with `network`.
fn by_network() -> Vec<Case> {
    let sends = [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)].map(|(name, place)| {
        let mut flags = ANY;
        flags[place] = FAST_OPEN;
        (name, vec![flags, ALL_BITS], vec![ANY])
    });
    [("listen", vec![ANY, ALL_BITS], Vec::new())].into_iter().chain(sends).collect()
}

/// The first cells of the rows of the table in the documentation whose heading begins so.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = workspace().join("docs/security.md");
    let page = fs::read_to_string(page).expect("docs/security.md");
    let heading = format!("| {heading} |");
    let (_, table) = page.split_once(&heading).unwrap_or_else(|| panic!("no table begins with {heading}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|line| line.split('|').nth(1).expect("a cell"));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned);
    let names: Vec<String> = names.collect();
    let set: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(set.len(), names.len(), "a call is there twice: {names:?}");
    set
}

/// Those that this architecture has. x86-64 has each of them.
fn known(names: BTreeSet<String>, numbers: &BTreeMap<String, i64>) -> BTreeSet<String> {
    let missing: Vec<_> = names.iter().filter(|name| !numbers.contains_key(*name)).cloned().collect();
    assert!(missing.is_empty() || cfg!(not(target_arch = "x86_64")), "no system calls: {missing:?}");
    names.into_iter().filter(|name| numbers.contains_key(name)).collect()
}

#[test]
fn the_system_calls_that_a_sandbox_refuses_are_those_of_the_documentation() {
    let numbers = system_calls();
    let names: BTreeMap<i64, &str> = numbers.iter().map(|(name, number)| (*number, name.as_str())).collect();
    let named = |number: i64| names.get(&number).map_or_else(|| number.to_string(), ToString::to_string);
    let cases: Vec<_> = by_arguments().into_iter().filter(|(name, ..)| numbers.contains_key(*name)).collect();
    let mut tried: Vec<Call> = Vec::new();
    for number in numbers_to(BEYOND) {
        tried.extend([(number, ANY), (number, ALL_BITS)]);
        if cfg!(target_arch = "x86_64") {
            tried.push((X32 | number, ANY));
        }
    }
    for (name, refused, not) in &cases {
        tried.extend(refused.iter().chain(not).map(|arguments| (numbers[*name], *arguments)));
    }
    let answered = answers("", &tried);

    let mut ends: BTreeMap<i64, BTreeSet<i32>> = BTreeMap::new();
    for ((number, _), answer) in tried.iter().zip(&answered) {
        ends.entry(*number).or_default().insert(*answer);
    }
    let that_end = |ends_so: &dyn Fn(&BTreeSet<i32>) -> bool| -> BTreeSet<String> {
        let found = ends.iter().filter(|(number, ends)| **number <= NEWEST && ends_so(ends));
        found.map(|(number, _)| named(*number)).collect()
    };
    let only = |end: i32| BTreeSet::from([end]);
    let documented = |heading| known(documented(heading), &numbers);
    assert_eq!(that_end(&|ends| *ends == only(EPERM)), documented("always refused"));
    assert_eq!(that_end(&|ends| *ends == only(ENOSYS)), documented("absent"));
    let by_arguments = that_end(&|ends| ends.len() > 1);
    assert_eq!(by_arguments, documented("refused with some arguments"));
    assert_eq!(by_arguments, cases.iter().map(|(name, ..)| (*name).to_owned()).collect());
    for (number, ends) in ends.iter().filter(|(number, _)| **number > NEWEST) {
        assert_eq!(*ends, only(ENOSYS), "{number}: newer than what the filter knows, or of x32");
    }

    let answer_to = |call: &Call| {
        let at = tried.iter().position(|tried| tried == call).expect("tried");
        answered[at]
    };
    for (name, refused, not) in &cases {
        let refusal = if *name == "umask" { 0 } else { EPERM };
        for (arguments, expected) in
            refused.iter().map(|it| (it, refusal)).chain(not.iter().map(|it| (it, NOT_MADE)))
        {
            assert_eq!(answer_to(&(numbers[*name], *arguments)), expected, "{name} {arguments:x?}");
        }
    }
    super::tried("system calls in a sandbox", tried.len());
}

#[test]
fn the_system_calls_that_network_refuses_are_those_of_the_documentation() {
    let numbers = system_calls();
    let cases = by_network();
    let tcp = (numbers["socket"], with(&[2, 1, 0]));
    let mut tried: Vec<Call> =
        numbers_to(NEWEST).flat_map(|number| [(number, ANY), (number, ALL_BITS)]).collect();
    tried.push(tcp);
    for (name, refused, not) in &cases {
        tried.extend(refused.iter().chain(not).map(|arguments| (numbers[*name], *arguments)));
    }
    let any = answers("", &tried);
    for (network, tcp_ends) in [("\"none\"", EPERM), ("[443]", NOT_MADE)] {
        let some = answers(&format!(", network = {network}"), &tried);
        let differ = || tried.iter().zip(any.iter().zip(&some)).filter(|(_, (any, some))| any != some);
        assert!(differ().all(|(_, ends)| ends == (&NOT_MADE, &EPERM)), "{network}");
        let socket = numbers["socket"];
        let others: BTreeSet<i64> =
            differ().map(|((number, _), _)| *number).filter(|number| *number != socket).collect();
        let names = documented("refused with `network`");
        assert_eq!(others, names.iter().map(|name| numbers[name]).collect(), "{network}");
        assert_eq!(names, cases.iter().map(|(name, ..)| (*name).to_owned()).collect());
        let end_of = |call: &Call| some[tried.iter().position(|tried| tried == call).expect("tried")];
        assert_eq!(end_of(&tcp), tcp_ends, "{network}");
        for (name, refused, not) in &cases {
            assert!(refused.iter().all(|with| end_of(&(numbers[*name], *with)) == EPERM), "{network} {name}");
            assert!(not.iter().all(|with| end_of(&(numbers[*name], *with)) == NOT_MADE), "{network} {name}");
        }
    }
    super::tried("system calls in a sandbox with `network`", 2 * tried.len());
}
