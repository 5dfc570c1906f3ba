//! Limits and the sandbox, as the configuration has them.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use jackfield_tests::{
    peers::{
        http::{HttpServer, Reply},
        rabbitmq::broker,
    },
    plugin,
};

use super::{ends_its_process, faulty, processes};
use crate::site::{Ended, Site, backend, events, start, to_file};

#[test]
fn a_plugin_that_spins_ends_at_its_processor_limit() {
    ends_its_process("spin", "timeout = \"30s\"\nlimits = { cpu = \"1s\" }", &["SIGXCPU"]);
}

#[test]
fn the_limits_of_the_configuration_are_those_of_the_process() {
    let unlimited = "unlimited";
    for (limits, expected) in [
        ("", [unlimited, unlimited, "1"]),
        ("limits = { core_dumps = true }", [unlimited, unlimited, unlimited]),
        ("limits = { memory = \"1GiB\", cpu = \"1m\", files = 100 }", ["1073741824", "60", "1"]),
    ] {
        let site = Site::new(&[]);
        let rest = format!("timeout = \"60s\"\n{limits}");
        site.write("config.toml", faulty(&site.path(""), "sleep_through_sigterm", "send", &rest, ""));
        site.write("in.jsonl", events(0..1));
        // Nothing that this test runs in is to be the cause.
        let cli = jackfield_tests::cli();
        let script = ["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", cli.to_str().expect("UTF-8")];
        let arguments = [&script[..], &["send", "in.jsonl"]].concat();
        let mut running =
            start(site.command_of("sh".as_ref(), &arguments).stdin(std::process::Stdio::null()));
        running.until("the call", || !site.read("reached").is_empty());
        let process = processes(&site)[0];
        let table = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("it runs");
        let soft = |name: &str| {
            let line = table.lines().find_map(|line| line.strip_prefix(name)).expect("in the table");
            line.split_whitespace().next().expect("a limit").to_owned()
        };
        let found = ["Max address space", "Max cpu time", "Max core file size"].map(soft);
        assert_eq!(found, expected, "{limits}: {table}");
        assert!(!limits.contains("files") || soft("Max open files") == "100", "{table}");
    }
}

/// A run in which the plugin tries something at `path`, within a sandbox or not.
fn tried(attempt: &str, path: &std::path::Path, sandbox: bool) -> Ended {
    let site = Site::new(&[]);
    // What it writes down itself, to tell that it was there.
    let rest = if sandbox { format!("sandbox = {{ write = [{:?}] }}", site.path("")) } else { String::new() };
    let config = format!("path = {path:?}");
    site.write(
        "config.toml",
        faulty(&site.path(""), attempt, "send", &rest, &config) + &to_file("healthy", "h"),
    );
    let ended = site.send(events(0..5), &["--give-up-after", "200ms"]).with_code(6);
    assert!(!site.read("reached").is_empty(), "{ended:#?}");
    assert_eq!(site.read("h"), events(0..5), "{ended:#?}");
    ended
}

#[test]
fn a_sandboxed_plugin_is_refused_what_it_was_not_granted() {
    let outside = tempfile::tempdir().expect("a folder");
    let (secret, new) = (outside.path().join("secret"), outside.path().join("new"));
    std::fs::write(&secret, "secret").expect("writable");
    for (attempt, path, refusal) in [
        ("read", secret.as_path(), "Permission denied"),
        ("write", &new, "Permission denied"),
        ("execute", "/bin/true".as_ref(), "Operation not permitted"),
        ("trace", "".as_ref(), "Operation not permitted"),
    ] {
        let told = |ended: &Ended| ended.summary()["backends"][0].to_string();
        let ended = tried(attempt, path, true);
        assert!(told(&ended).contains(refusal), "{attempt}: {ended:#?}");
        assert!(!new.exists(), "{attempt}");
        // Without a sandbox it is done; a program that is executed takes the plugin's place, and ends well.
        let ended = tried(attempt, path, false);
        assert!(!told(&ended).contains(refusal), "{attempt}: {ended:#?}");
        let free = match attempt {
            "execute" => "exit code 0",
            "trace" => "No such process",
            _ => "done",
        };
        assert!(told(&ended).contains(free), "{attempt}: {ended:#?}");
        drop(std::fs::remove_file(&new));
    }
}

#[test]
fn a_sandboxed_plugin_gets_only_the_variables_of_its_list() {
    for (sandbox, name, expected) in [
        ("", "VENDOR_TOKEN", "told"),
        ("sandbox = {}", "VENDOR_TOKEN", "not set"),
        ("sandbox = { env = [\"VENDOR_TOKEN\"] }", "VENDOR_TOKEN", "told"),
        ("sandbox = { env = [\"VENDOR_TOKEN\"] }", "VENDOR_TOKEN_2", "not set"),
        ("sandbox = {}", "LC_TIME", "told"),
        ("sandbox = {}", "https_proxy", "told"),
    ] {
        let site = Site::new(&[]);
        let config = format!("path = {name:?}");
        site.write("config.toml", faulty(&site.path(""), "variable", "send", sandbox, &config));
        let mut command = site.command(&["send", "--json", "--give-up-after", "200ms"]);
        command.env("VENDOR_TOKEN_2", "other").env(name, "told");
        let mut running = start(command.stdin(std::process::Stdio::piped()));
        running.feed(events(0..5).into());
        let ended = running.end().with_code(6);
        let reasons = ended.summary()["backends"][0].to_string();
        assert!(reasons.contains(&format!("\"reason\":\"{expected}\"")), "{sandbox} {name}: {ended:#?}");
    }
}

#[test]
fn the_plugin_file_works_in_a_sandbox_with_its_folder() {
    for granted in [true, false] {
        let site = Site::new(&[]);
        let folder = site.path("out");
        std::fs::create_dir(&folder).expect("writable");
        let sandbox = if granted { format!("write = [{folder:?}]") } else { String::new() };
        let rest = format!(
            "isolation = \"process\"\nsandbox = {{ {sandbox} }}\nconfig = {{ path = {:?} }}",
            folder.join("events.jsonl")
        );
        site.write("config.toml", backend("main", &plugin("file"), &rest) + &to_file("healthy", "h"));
        let ended = site.send(events(0..10), &["--give-up-after", "200ms"]);
        assert!(ended.took < Duration::from_secs(30), "{ended:#?}");
        assert_eq!(site.read("h"), events(0..10), "{ended:#?}");
        if granted {
            assert_eq!(site.read("out/events.jsonl"), events(0..10));
            ended.with_code(0);
        } else {
            let ended = ended.with_code(4);
            assert!(ended.stderr.contains("Permission denied"), "{ended:#?}");
            assert_eq!(site.kept(".main.undelivered.jsonl"), events(0..10));
        }
    }
}

#[test]
fn a_network_plugin_works_in_a_sandbox_without_a_grant() {
    let server = HttpServer::start(Reply::status(200));
    // By name, so that the resolver is asked.
    let url = server.url("/in").replace("127.0.0.1", "localhost");
    let rest = format!(
        "isolation = \"process\"\nsandbox = {{}}\nlimits = {{ memory = \"1GiB\", files = 64 }}\nconfig = {{ url = {url:?} }}"
    );
    let site = Site::new(&[backend("main", &plugin("http"), &rest)]);
    let ended = site.send(events(0..10), &[]).with_code(0);
    assert_eq!(ended.counts("main"), [10, 0, 0, 0, 0]);
    let received: usize =
        server.received().iter().map(|request| request.json().as_array().map_or(0, Vec::len)).sum();
    assert_eq!(received, 10);
}

#[test]
fn tls_with_a_granted_certificate_works_within_a_sandbox() {
    let (server, queue) = (broker(), crate::rabbitmq::unique("confined"));
    let (url, ca) = (server.tls_url(), server.ca_file());
    let rest = format!(
        "isolation = \"process\"\nsandbox = {{ read = [{ca:?}] }}\n[backend.config]\nurl = {url:?}\nqueue = {queue:?}\n\
         declare = {{ queue = \"classic\" }}\ntls = {{ ca_file = {ca:?} }}"
    );
    let site = Site::new(&[backend("main", &plugin("rabbitmq"), &rest)]);
    let ended = site.send(events(0..10), &[]).with_code(0);
    assert_eq!(ended.counts("main"), [10, 0, 0, 0, 0], "{ended:#?}");
    assert_eq!(server.client().take(&queue).len(), 10);
}

#[test]
fn wrong_limits_grants_and_helpers_are_named_with_line() {
    let site = Site::new(&[]);
    // Whoever can write it chooses which code runs.
    fs::copy("/bin/true", site.path("helper")).expect("copies");
    fs::set_permissions(site.path("helper"), fs::Permissions::from_mode(0o777)).expect("chmod");
    for (helper, table, says) in [
        (
            "helper = \"helper\"",
            "",
            "2: `plugins.helper`: HELPER: the file must not be writable by group or others",
        ),
        ("", "limits.memory = \"1KiB\"", "7: backend `main`: `backend.limits.memory`: 1024 bytes of"),
        ("", "limits.files = 2", "7: backend `main`: `backend.limits.files`: 2 open files, of which"),
        ("", "sandbox.read = [\"/no\"]", "7: backend `main`: `backend.sandbox.read`: /no: No such file"),
        ("helper = \"/no\"", "", "2: `plugins.helper`: /no: No such file"),
        ("helper = \"/bin/true\"", "", "2: `plugins.helper`: /bin/true ended at once: expected a program"),
    ] {
        let rest = format!("isolation = \"process\"\n{table}\nconfig.path = \"x\"");
        let backend = backend("main", &plugin("file"), &rest);
        site.write("config.toml", format!("[plugins]\n{helper}\n{backend}"));
        for ended in [site.send(events(0..1), &[]), site.run(&["run"]), site.run(&["doctor"])] {
            let ended = ended.with_code(3);
            let says = says.replace("HELPER", site.path("helper").to_str().expect("UTF-8"));
            assert!(
                (ended.stderr.clone() + &ended.stdout).contains(&format!("config.toml:{says}")),
                "{ended:#?}"
            );
        }
    }
}
