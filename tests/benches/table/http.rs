//! The HTTP backends: against a plain client, and what each of the plugins weighs.

use std::{convert::Infallible, fs, path::Path, process::Command, thread, time::Duration};

use jackfield_loader::{Backend, BackendOptions, Batch, EventFields, Plugin, Trust, plugin_api::Outcome};
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, Reply},
};

use crate::{
    loading::{copies, ready},
    rows::{Rows, goal, median, show, time},
};

/// The plugins that are weighed, and configurations by which they open without a network.
const PLUGINS: &[(&str, &str)] = &[
    ("http", r#"{"url":"http://127.0.0.1:1/"}"#),
    ("otlp", r#"{"endpoint":"http://127.0.0.1:1/"}"#),
    ("datadog", r#"{"api_key":"key","url":"http://127.0.0.1:1/"}"#),
    ("posthog", r#"{"api_key":"key","host":"http://127.0.0.1:1/"}"#),
    ("rabbitmq", r#"{"url":"amqp://guest:guest@127.0.0.1:1/%2f","queue":"events"}"#),
];

/// Bytes of a release build of a plugin, at most.
const MOST_BYTES: u64 = 4_000_000;
/// From its name to a backend that takes events, at most.
const MOST_TIME: Duration = Duration::from_millis(15);

/// Events in a batch, and bytes of an event.
const EVENTS: usize = 100;
const EVENT_BYTES: usize = 300;
/// Rounds, in each of which both send so many batches.
const ROUNDS: usize = 40;
const BATCHES: usize = 25;

fn lines() -> Vec<String> {
    (0..EVENTS)
        .map(|n| {
            let head = format!(r#"{{"id":"019a9d4e-0000-7000-8000-{n:012x}","name":""#);
            format!("{head}{}\"}}", "x".repeat(EVENT_BYTES - head.len() - 2))
        })
        .collect()
}

/// The bodies are the same, the server is the same, and the two take turns.
fn throughput(rows: &mut Rows) {
    let server = HttpServer::forgetful(Reply::status(200));
    let url = server.url("/");

    let plugin = Plugin::load(Build::plugin("http").release().library(), Trust::Owner)
        .unwrap_or_else(|error| panic!("{error}"));
    let backend =
        Backend::open(&plugin, &BackendOptions::new("http").config(format!(r#"{{"url":"{url}"}}"#)))
            .unwrap_or_else(|error| panic!("{error}"));
    let batch = Batch::build(lines(), |lines, writer| {
        for json in lines {
            writer.push(&EventFields { json, ..EventFields::default() });
        }
        Ok::<_, Infallible>(())
    })
    .expect("infallible");

    let body = format!("[{}]", lines().join(","));
    for threads in [1, 4] {
        let clients: Vec<Plain> = (0..threads).map(|_| Plain::new(&url)).collect();
        // One after the other in each thread, and all threads at once.
        let ours = || {
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for _ in 0..BATCHES {
                            assert_eq!(backend.send(&batch).uniform(), Some(&Outcome::Delivered));
                        }
                    });
                }
            });
        };
        let plain = |bodies: Vec<Vec<Vec<u8>>>| {
            thread::scope(|scope| {
                for (client, bodies) in clients.iter().zip(bodies) {
                    scope.spawn(|| client.post(bodies));
                }
            });
        };
        // The plain client is given its bodies, so that to make them is no part of its time.
        let bodies = || vec![vec![body.clone().into_bytes(); BATCHES]; threads];
        ours();
        plain(bodies());
        let (mut our_times, mut plain_times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let batches = (threads * BATCHES) as u32;
            our_times.push(time(ours).0 / batches);
            let bodies = bodies();
            plain_times.push(time(|| plain(bodies)).0 / batches);
        }
        rows.ratio(
            &format!("http: a batch of 100 events, 30 kB, through guard and plugin, {threads} at once"),
            median(our_times),
            ("plain reqwest, ready-made bodies", median(plain_times)),
            Some(if threads == 4 { 1.05 } else { 1.11 }),
        );
    }
}

/// The client to compare with.
struct Plain {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

impl Plain {
    fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, client: reqwest::Client::new(), url: url.to_owned() }
    }

    fn post(&self, bodies: Vec<Vec<u8>>) {
        self.runtime.block_on(async {
            for body in bodies {
                let request =
                    self.client.post(&self.url).header("content-type", "application/json").body(body);
                let response = request.send().await.expect("an answer");
                assert!(response.status().is_success());
                response.bytes().await.expect("a body");
            }
        });
    }
}

/// What each plugin's file, opening and memory come to.
fn weigh(rows: &mut Rows) {
    for (name, config) in PLUGINS {
        let path = Build::plugin(name).release().library();
        let size = fs::metadata(&path).expect("there").len();
        rows.figure(
            &format!("{name}: library, release build"),
            format!("{:.2} MB", size as f64 / 1e6),
            goal("at most 4 MB", size <= MOST_BYTES),
        );

        let folder = tempfile::tempdir().expect("a folder");
        let stem = format!("weighed{name}");
        let mut times = Vec::new();
        for at in 0..copies(folder.path(), &path, 0, &stem).len() {
            // Freeing the backend is no part of getting it.
            let (took, backend) = time(|| ready(folder.path(), &format!("{stem}{at}"), config));
            times.push(took);
            drop(backend);
        }
        let took = median(times);
        rows.figure(&format!("{name}: find to open"), show(took), goal("at most 15 ms", took <= MOST_TIME));
        rows.figure(
            &format!("{name}: memory that it adds, loaded and open (resident, of it private)"),
            memory(&path, config),
            String::new(),
        );
    }
}

const CHILD: &str = "JACKFIELD_BENCH_PLUGIN";

/// Resident memory of this process in kB, and how much of it is no file's.
fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
        line.split_whitespace().nth(1).and_then(|value| value.parse::<u64>().ok()).expect("kB")
    };
    (field("VmRSS:"), field("RssAnon:"))
}

/// In the child process of [`memory`], measures and says so.
pub(crate) fn is_child() -> bool {
    let Ok(path) = std::env::var(CHILD) else { return false };
    let config = std::env::var("JACKFIELD_BENCH_CONFIG").expect("set by the parent");
    let before = resident();
    let plugin = Plugin::load(Path::new(&path), Trust::Owner).unwrap_or_else(|error| panic!("{error}"));
    let backend = Backend::open(&plugin, &BackendOptions::new("weighed").config(config))
        .unwrap_or_else(|error| panic!("{error}"));
    let after = resident();
    println!("{} {}", after.0 - before.0, after.1.saturating_sub(before.1));
    drop(backend);
    true
}

fn memory(path: &Path, config: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("known"))
        .env(CHILD, path)
        .env("JACKFIELD_BENCH_CONFIG", config)
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = said.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    assert_eq!(figures.len(), 2, "{said}{}", String::from_utf8_lossy(&output.stderr));
    format!("{:.2} MB, {:.2} MB", figures[0] / 1e3, figures[1] / 1e3)
}

pub(crate) fn measure(rows: &mut Rows) {
    throughput(rows);
    weigh(rows);
}
