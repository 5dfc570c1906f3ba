//! Confined children, and the results of their attempts.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::linux::net::SocketAddrExt as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    os::unix::net::{SocketAddr, UnixListener},
    path::Path,
    process::{self, Command, ExitStatus, Stdio},
};

use jackfield_loader::Sandbox;
use jackfield_test_support::{Test, tests};

use super::{Order, common};

pub(super) const TESTS: &[Test] = tests![
    a_sandboxed_child_reads_and_writes_what_it_was_granted_and_nothing_else,
    a_sandboxed_child_executes_and_traces_nothing,
    a_sandboxed_child_reaches_no_process_and_changes_no_file_attributes,
    a_sandboxed_child_starts_threads_and_no_process,
    a_file_of_a_sandboxed_child_gives_no_rights,
    a_sandboxed_child_has_no_capabilities,
    a_sandboxed_child_of_root_changes_neither_network_nor_priority,
    a_sandboxed_child_connects_only_to_the_ports_of_its_list,
    without_a_network_a_sandboxed_child_has_only_local_sockets,
    a_sandboxed_child_reaches_no_abstract_socket_of_others,
    a_library_is_loaded_from_memory_under_the_sandbox,
    a_sandboxed_child_still_resolves_names_and_reads_the_system,
    a_kernel_without_landlock_is_an_error_that_says_what_to_do,
    a_granted_path_that_is_not_there_is_an_error_that_names_it,
    a_path_that_the_plugin_could_lead_elsewhere_is_not_granted,
];

/// The lines that a child prints, and its exit status.
pub(super) fn confined(order: &Order, folder: &Path) -> (Vec<String>, ExitStatus) {
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

pub(super) fn attempts(list: &[(&str, &Path)]) -> Vec<(String, String)> {
    list.iter().map(|(attempt, with)| ((*attempt).to_owned(), with.to_str().unwrap().to_owned())).collect()
}

fn sandbox(read: &[&Path], write: &[&Path]) -> Option<Sandbox> {
    let mut sandbox = Sandbox::default();
    sandbox.read = read.iter().map(|path| path.to_path_buf()).collect();
    sandbox.write = write.iter().map(|path| path.to_path_buf()).collect();
    Some(sandbox)
}

/// Makes the attempts without and with the sandbox. Refused attempts must succeed without it.
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

fn a_sandboxed_child_reads_and_writes_what_it_was_granted_and_nothing_else() {
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
            // It would tell the names of files that come and go.
            ("watch", "outside", "ok", "EPERM"),
            // Only questions are answered.
            ("size", "outside/file", "ok 4", "ok 4"),
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
            // A link in a granted folder to a file outside.
            ("link", "writable/link", "ok", "ok"),
            ("read", "writable/link/other", "ok 4", "EACCES"),
        ],
    );
}

fn a_sandboxed_child_executes_and_traces_nothing() {
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

/// The output of a child for one attempt.
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

fn a_sandboxed_child_reaches_no_process_and_changes_no_file_attributes() {
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
        "memory without a path",
        "mode",
        "mode by descriptor",
        "owner",
        "owner by descriptor",
        "times",
        "times by descriptor",
    ] {
        assert_eq!(call(true, what), "EPERM", "{what}");
        // Some need rights that this user may lack, and a kernel may lack a ring.
        let needs_rights = ["namespace", "namespace of a child", "raw socket", "packet socket", "ring"];
        let others =
            ["mode", "mode by descriptor", "times", "times by descriptor", "owner", "owner by descriptor"];
        if rustix::process::geteuid().is_root() && what != "ring"
            || !needs_rights.contains(&what) && !others.contains(&what)
        {
            assert_eq!(call(false, what), "ok", "{what}");
        }
    }
}

fn a_sandboxed_child_starts_threads_and_no_process() {
    for (attempt, with, free, held) in [
        ("thread", "", "ok", "ok"),
        ("forks", "1500", "1500 forks", "EPERM"),
        ("call", "clone", "ok", "EPERM"),
        ("call", "clone with memory", "ok", "EPERM"),
        // A libc then uses `clone`.
        ("call", "clone3", "ok", "ENOSYS"),
        ("call", "life without parent", "ok", "EPERM"),
    ] {
        let [without, within] = [false, true].map(|confine| one(attempt, with, confine).concat());
        assert_eq!([without.as_str(), within.as_str()], [free, held], "{attempt} {with}");
    }
    if cfg!(target_arch = "x86_64") {
        assert_eq!(one("call", "fork", true), ["EPERM"]);
        assert_eq!(one("call", "vfork", true), ["EPERM"]);
    }
}

fn a_file_of_a_sandboxed_child_gives_no_rights() {
    let mode = |path: &Path| fs::metadata(path).map(|file| file.permissions().mode() & 0o7777).ok();
    for set_id in ["4755", "2755", "6777"] {
        for call in ["open", "openat", "creat", "mknod", "mknodat", "unnamed", "mkdir"] {
            let folder = common::folder();
            let grant = sandbox(&[], &[folder.path()]);
            let attempts = vec![("make".to_owned(), format!("{call} {set_id}"))];
            let order = |sandbox| Order {
                sandbox,
                plugin: folder.path().to_owned(),
                attempts: attempts.clone(),
                ..Order::default()
            };
            assert_eq!(confined(&order(grant), folder.path()).0, ["EPERM"], "{call} {set_id}");
            assert_eq!(mode(&folder.path().join("new")), None, "{call} {set_id}");
            assert_eq!(confined(&order(None), folder.path()).0, ["ok"], "{call} {set_id}");
        }
    }
    let folder = common::folder();
    let attempts = vec![
        ("call".to_owned(), "openat2".to_owned()),
        ("mask".to_owned(), "0".to_owned()),
        ("make".to_owned(), "open 666".to_owned()),
        // A stricter one holds.
        ("mask".to_owned(), "77".to_owned()),
        ("folder".to_owned(), "strict".to_owned()),
    ];
    let order = Order {
        sandbox: sandbox(&[], &[folder.path()]),
        plugin: folder.path().to_owned(),
        attempts,
        ..Order::default()
    };
    assert_eq!(confined(&order, folder.path()).0, ["ENOSYS", "ok", "ok", "ok", "ok"]);
    assert_eq!(mode(&folder.path().join("new")).map(|mode| mode & 0o022), Some(0));
    assert_eq!(mode(&folder.path().join("strict")), Some(0o700));
}

fn a_sandboxed_child_has_no_capabilities() {
    let said = one("status", "", true).concat();
    assert!(said.contains("NoNewPrivs:1"), "{said}");
    let is_root = rustix::process::geteuid().is_root();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        // Only who has some can take them out of this set.
        assert!(set == "CapBnd" && !is_root || said.contains(&format!("{set}:{:016x}", 0)), "{said}");
    }
}

fn a_sandboxed_child_of_root_changes_neither_network_nor_priority() {
    for (what, held) in [("address", "EPERM"), ("real time", "EPERM"), ("higher priority", "EACCES")] {
        assert_eq!(one("call", what, true), [held], "{what}");
        if rustix::process::geteuid().is_root() {
            // There is no such device.
            let free = if what == "address" { format!("error {}", libc::ENODEV) } else { "ok".to_owned() };
            assert_eq!(one("call", what, false), [free], "{what}");
        }
    }
}

/// The output of a child with this network for attempts that name `PORT`, a port on which this process listens.
fn networked(network: Option<Vec<u16>>, port: u16, list: &[(&str, &str)]) -> Vec<String> {
    let folder = common::folder();
    let mut sandbox = Sandbox::default();
    sandbox.network = network;
    let named = |with: &str| with.replace("PORT", &port.to_string());
    let order = Order {
        sandbox: Some(sandbox),
        plugin: folder.path().to_owned(),
        attempts: list.iter().map(|(attempt, with)| ((*attempt).to_owned(), named(with))).collect(),
        ..Order::default()
    };
    confined(&order, folder.path()).0
}

fn a_sandboxed_child_connects_only_to_the_ports_of_its_list() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let list = [
        ("connect", "127.0.0.1:PORT"),
        ("connect", "[::ffff:127.0.0.1]:PORT"),
        ("fast open", "PORT"),
        ("bind", "127.0.0.1:0"),
        ("call", "listen"),
        ("call", "udp socket"),
        ("call", "route socket"),
        ("resolve", "localhost"),
    ];
    let open = ["ok", "ok", "ok", "ok", "ok", "ok", "ok", "1"];
    assert_eq!(networked(None, port, &list), open);
    let granted = ["ok", "ok", "EPERM", "EACCES", "EPERM", "ok", "ok", "1"];
    assert_eq!(networked(Some(vec![1, port]), port, &list), granted);
    let other = ["EACCES", "EACCES", "EPERM", "EACCES", "EPERM", "ok", "ok", "1"];
    assert_eq!(networked(Some(vec![1]), port, &list), other);
    // Landlock restricts none of these protocols.
    for network in [None, Some(vec![port])] {
        for what in ["multipath socket", "sequence socket", "ping socket"] {
            assert_eq!(networked(network.clone(), port, &[("call", what)]), ["EPERM"], "{what}");
        }
    }
}

fn without_a_network_a_sandboxed_child_has_only_local_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let list = [
        ("connect", "127.0.0.1:PORT"),
        ("call", "socket"),
        ("call", "udp socket"),
        ("call", "route socket"),
        ("call", "local socket"),
    ];
    assert_eq!(networked(Some(Vec::new()), port, &list), ["EPERM", "EPERM", "EPERM", "EPERM", "ok"]);
}

fn a_sandboxed_child_reaches_no_abstract_socket_of_others() {
    let name = format!("jackfield-test-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!([false, true].map(|confine| one("abstract", &name, confine).concat()), ["ok", "EPERM"]);
}

fn a_library_is_loaded_from_memory_under_the_sandbox() {
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

fn a_sandboxed_child_still_resolves_names_and_reads_the_system() {
    assert_eq!(one("resolve", "localhost", true), ["1"]);
    assert_eq!(one("list", "/usr/lib", true), ["ok"]);
    assert_eq!(one("write", "/dev/null", true), ["ok"]);
    assert_eq!(one("write", "/usr/jackfield-test", true), ["EACCES"]);
    assert!(one("read", "/proc/self/status", true)[0].starts_with("ok "));
    assert_eq!(one("memory-file", "/proc/PARENT/environ", false), ["ok"]);
    assert_eq!(one("memory-file", "/proc/PARENT/environ", true), ["EACCES"]);
}

fn a_kernel_without_landlock_is_an_error_that_says_what_to_do() {
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
        assert!(said[0].starts_with("sandbox: `sandbox`: ") && said[0].contains(expected), "{said:?}");
        assert!(said[0].ends_with(", or remove [backend.sandbox]"), "{said:?}");
    }
}

fn a_granted_path_that_is_not_there_is_an_error_that_names_it() {
    let folder = common::folder();
    let absent = folder.path().join("absent");
    for (key, sandbox) in [("read", sandbox(&[&absent], &[])), ("write", sandbox(&[], &[&absent]))] {
        let order = Order { sandbox, plugin: folder.path().to_owned(), ..Order::default() };
        let (said, status) = confined(&order, Path::new("/"));
        assert_eq!(status.code(), Some(2));
        let expected = format!("sandbox: `sandbox.{key}`: {}: No such file", absent.display());
        assert!(said[0].starts_with(&expected) && said[0].contains("create it"), "{said:?}");
    }
}

fn a_path_that_the_plugin_could_lead_elsewhere_is_not_granted() {
    let folder = common::folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("shared/inner/deep")).unwrap();
    fs::create_dir_all(at("apart")).unwrap();
    symlink(at("shared/inner"), at("link")).unwrap();
    for (key, path) in [
        ("write", "shared/inner"),
        ("read", "shared/inner/deep"),
        ("read", "link"),
        ("write", "apart/../link/deep"),
    ] {
        let (shared, path) = (at("shared"), at(path));
        let grants = match key {
            "write" => sandbox(&[], &[&shared, &path]),
            _ => sandbox(&[&path], &[&shared]),
        };
        let order = Order { sandbox: grants, plugin: folder.path().to_owned(), ..Order::default() };
        let (said, status) = confined(&order, Path::new("/"));
        assert_eq!(status.code(), Some(2), "{said:?}");
        let expected =
            format!("sandbox: `sandbox.{key}`: {}: is within {}, ", path.display(), shared.display());
        assert!(said[0].starts_with(&expected) && said[0].contains("take it out of the list"), "{said:?}");
    }
    // The same path twice, paths side by side, and a plugin in a folder that it may write.
    let (shared, apart) = (at("shared"), at("apart"));
    let order = Order {
        sandbox: sandbox(&[&shared, &apart], &[&shared]),
        plugin: at("shared/inner"),
        ..Order::default()
    };
    let (said, status) = confined(&order, Path::new("/"));
    assert_eq!((said.len(), status.code()), (0, Some(0)), "{said:?}");
}
