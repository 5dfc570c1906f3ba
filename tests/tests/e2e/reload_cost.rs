//! What reloads cost a `jackfield run`: nothing for good.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jackfield_test_support::wait_for;
use jackfield_tests::peers::http::{HttpServer, Reply};
use jackfield_tests::plugin;
use serde_json::Value;

use crate::site::{Site, backend, event, start};

/// What a process has.
#[derive(Clone, Copy, Debug)]
struct Used {
    resident_kib: usize,
    address_space_kib: usize,
    threads: usize,
    descriptors: usize,
    mappings: usize,
}

impl Used {
    fn by(process: u32) -> Self {
        let folder = format!("/proc/{process}");
        let status = fs::read_to_string(format!("{folder}/status")).expect("it lives");
        let number = |key: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            line.trim_end_matches("kB").trim().parse().expect("a number")
        };
        Self {
            resident_kib: number("VmRSS:"),
            address_space_kib: number("VmSize:"),
            threads: number("Threads:"),
            descriptors: fs::read_dir(format!("{folder}/fd")).expect("it lives").count(),
            mappings: fs::read_to_string(format!("{folder}/maps")).expect("it lives").lines().count(),
        }
    }

    /// The least of each.
    fn least(self, other: Self) -> Self {
        Self {
            resident_kib: self.resident_kib.min(other.resident_kib),
            address_space_kib: self.address_space_kib.min(other.address_space_kib),
            threads: self.threads.min(other.threads),
            descriptors: self.descriptors.min(other.descriptors),
            mappings: self.mappings.min(other.mappings),
        }
    }

    fn is_at_most(&self, other: &Self) -> bool {
        self.resident_kib <= other.resident_kib
            && self.address_space_kib <= other.address_space_kib
            && self.threads <= other.threads
            && self.descriptors <= other.descriptors
            && self.mappings <= other.mappings
    }
}

/// Reloads a run that gets so many events a second, and requires that it ends with little more than the least that
/// it had in the first ten reloads. Each reload swaps both backends, one of them between thread and process.
fn reloads(count: usize, events_per_second: usize, growth_kib: usize) {
    const PERIOD: Duration = Duration::from_millis(10);
    let server = HttpServer::forgetful(Reply::status(200));
    let config = |number: usize| {
        let isolation = ["thread", "process"][number % 2];
        let keep = number % 2 + 1;
        let file = format!(
            "isolation = {isolation:?}\n\
             config = {{ path = \"out\", rotate_bytes = 5_000_000, rotate_keep = {keep} }}\n"
        );
        let url = server.url(&format!("/{}", number % 2));
        backend("file", &plugin("file"), &file)
            + &backend("http", &plugin("http"), &format!("config = {{ url = {url:?} }}\n"))
    };
    let site = Site::new(&[config(0)]);
    let fifo = site.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    // Open for both, so that it does not wait for the run.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&fifo).expect("it is there");
    let mut command = site.command(&["run", "--state", "state", "fifo"]);
    command.env_remove("MALLOC_ARENA_MAX").env_remove("GLIBC_TUNABLES");
    let mut run = start(command.stdin(Stdio::null()));

    let enough = Arc::new(AtomicBool::new(false));
    let (ends, each) = (Arc::clone(&enough), events_per_second / 100);
    let feeder = thread::Builder::new().spawn(move || {
        let mut number = 0;
        while !ends.load(Ordering::Relaxed) {
            let lines: String = (number..number + each).map(|number| event(number) + "\n").collect();
            writer.write_all(lines.as_bytes()).expect("a reader");
            number += each;
            thread::sleep(PERIOD);
        }
        number
    });

    run.until("the first events", || site.path("out").exists() && server.served() > 0);
    let process = run.id();
    let mut first = None::<Used>;
    for number in 1..=count {
        site.write("config.toml", config(number));
        run.signal("HUP");
        run.until_said_times("reload: backends `file`, `http` swapped\n", number);
        if number <= 10 {
            let used = Used::by(process);
            first = Some(first.map_or(used, |first| first.least(used)));
        }
    }
    let first = first.expect("there were reloads");
    let most = Used {
        resident_kib: first.resident_kib + growth_kib,
        // A second heap of the C library, which reserves 64 MiB, and the stacks of the threads below.
        address_space_kib: first.address_space_kib + (80 << 10),
        threads: first.threads + 3,
        descriptors: first.descriptors + 3,
        mappings: first.mappings + 40,
    };
    let last = wait_for(
        &format!("no more than {most:?} after {count} reloads"),
        || Used::by(process),
        |used| used.is_at_most(&most),
    );
    eprintln!("{count} reloads: in the first ten at least {first:?}, at the end {last:?}");

    let ended = site.run(&["status", "--state", "state", "--json"]).with_code(0);
    let status: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let kept = |key: &str| status["kept"][key].as_u64().unwrap_or_else(|| panic!("{key}: {status:#}"));
    assert_eq!(kept("stuck_calls"), 0);
    assert!(kept("library_bytes") > 100_000 && status["mapped_images"] == 2, "{status:#}");
    assert!((2..=14).contains(&kept("host_handles")), "{status:#}");
    assert!((400..8000).contains(&kept("host_handle_bytes")), "{status:#}");
    let text = site.run(&["status", "--state", "state"]).with_code(0).stdout;
    assert!(text.contains("\nkept until the run ends: ") && text.contains(", 0 stuck calls\n"), "{text}");

    enough.store(true, Ordering::Relaxed);
    let written = feeder.expect("a thread").join().expect("no panic") as u64;
    run.until("the events", || {
        let ended = site.run(&["status", "--state", "state", "--json"]);
        let status: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        status["events"] == written && status["spools"][0]["waiting"] == 0
    });
    run.signal("TERM");
    run.end().with_code(0);
}

#[test]
fn reloads_cost_no_memory_for_good() {
    reloads(100, 1000, 3 << 10);
}

#[test]
#[ignore = "takes minutes; CONTRIBUTING.md has the command"]
fn a_thousand_reloads_cost_no_memory_for_good() {
    reloads(1000, 10_000, 5 << 10);
}
