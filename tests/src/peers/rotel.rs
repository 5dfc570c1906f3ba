//! Rotel, an OpenTelemetry collector, which says what it has received.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use jackfield_test_support::{wait_for, wait_until};

use super::free_port;

/// A running collector.
#[derive(Debug)]
pub struct Rotel {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// A log record, as the collector shows it. Values are in its notation, such as `Str(text)`, `Int(1)` and
/// `Slice(Str(a), Str(b))`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// Attributes of its resource.
    pub resource: BTreeMap<String, String>,
    /// Name and version of its scope.
    pub scope: String,
    /// Fields of the record, such as `Timestamp`.
    pub fields: BTreeMap<String, String>,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
}

impl Rotel {
    /// Starts a collector that forwards nothing.
    ///
    /// # Panics
    /// When it is not installed, or does not listen.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[
            "--exporter",
            "blackhole",
            "--debug-log",
            "logs",
            "--debug-log-verbosity",
            "detailed",
        ])
    }

    /// Starts a collector that forwards records to the OTLP server at this base URL.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn forwarding_to(url: &str) -> Self {
        let exporter = ["--exporter", "otlp", "--otlp-exporter-protocol", "http"];
        Self::start_with(&[&exporter[..], &["--otlp-exporter-endpoint", url]].concat())
    }

    fn start_with(exporter: &[&str]) -> Self {
        let agent = installed();
        // Somebody else may take a port between the look and the start.
        for _ in 0..3 {
            let (http, grpc) = (free_port(), free_port());
            let folder = std::env::temp_dir().join(format!("jackfield-rotel-{}-{http}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            let log = File::create(folder.join("log")).expect("writable");
            let child = Command::new(&agent)
                .arg("start")
                .args(exporter)
                .arg("--otlp-http-endpoint")
                .arg(format!("127.0.0.1:{http}"))
                .arg("--otlp-grpc-endpoint")
                .arg(format!("127.0.0.1:{grpc}"))
                .env_clear()
                .current_dir(&folder)
                .stdin(Stdio::null())
                .stderr(log.try_clone().expect("a handle"))
                .stdout(log)
                .spawn()
                .unwrap_or_else(|error| panic!("{}: {error}", agent.display()));
            let mut rotel = Self { child, port: http, folder };
            if rotel.listens() {
                return rotel;
            }
            eprintln!("the collector does not listen:\n{}", rotel.log());
        }
        panic!("the collector does not listen, see above; scripts/setup installs what it needs");
    }

    fn listens(&mut self) -> bool {
        let mut listens = false;
        wait_until("the collector listens or has ended", || {
            listens = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            listens || self.child.try_wait().expect("a child").is_some()
        });
        listens
    }

    /// Its base URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Tells it to end, and waits until it has: it forwards what it has received before.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(mut self) {
        let told = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        wait_until("the collector ends", || self.child.try_wait().expect("a child").is_some());
    }

    /// All that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    /// What it has received, as soon as that is at least `count` records, in the order of arrival.
    ///
    /// # Panics
    /// When it does not become that many.
    #[must_use]
    pub fn records(&self, count: usize) -> Vec<LogRecord> {
        let received = || read(&self.log());
        wait_for("the collector has received the records", received, |records| records.len() >= count)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The records in the collector's log. A line that begins like no other is the rest of a value with a line feed in it.
fn read(log: &str) -> Vec<LogRecord> {
    let mut records: Vec<LogRecord> = Vec::new();
    let (mut resource, mut scope) = (BTreeMap::new(), String::new());
    let mut record: Option<LogRecord> = None;
    // Where the last value is, so that a rest is put behind it.
    let mut last: Option<(bool, String)> = None;
    for line in log.split('\n') {
        if line.starts_with('\u{1b}') || line.is_empty() && record.is_none() {
            continue;
        }
        if line.starts_with("ResourceLog #") {
            resource = BTreeMap::new();
        } else if line.starts_with("LogRecord #") {
            record =
                Some(LogRecord { resource: resource.clone(), scope: scope.clone(), ..LogRecord::default() });
        } else if let Some(text) = line.strip_prefix("InstrumentationScope ") {
            scope = text.to_owned();
        } else if let Some((key, value)) =
            line.strip_prefix("     -> ").and_then(|line| line.split_once(": "))
        {
            let attributes = record.as_mut().map_or(&mut resource, |record| &mut record.attributes);
            attributes.insert(key.to_owned(), value.to_owned());
            last = Some((true, key.to_owned()));
        } else if let Some((key, value)) =
            FIELDS.iter().find_map(|key| Some((key, line.strip_prefix(key)?.strip_prefix(": ")?)))
        {
            if let Some(record) = &mut record {
                record.fields.insert((*key).to_owned(), value.to_owned());
                last = Some((false, (*key).to_owned()));
            }
            if *key == "Flags" {
                records.extend(record.take());
            }
        } else if !OTHERS.iter().any(|other| line.starts_with(other))
            && let Some((is_attribute, key)) = &last
        {
            let map = match &mut record {
                Some(record) if *is_attribute => &mut record.attributes,
                Some(record) => &mut record.fields,
                None => &mut resource,
            };
            if let Some(value) = map.get_mut(key) {
                value.push('\n');
                value.push_str(line);
            }
        }
    }
    records
}

const FIELDS: [&str; 7] =
    ["ObservedTimestamp", "Timestamp", "SeverityText", "SeverityNumber", "EventName", "Body", "Flags"];

const OTHERS: [&str; 7] = [
    "Resource SchemaURL:",
    "Resource attributes:",
    "ScopeLogs #",
    "ScopeLogs SchemaURL:",
    "Attributes:",
    "    Trace ID ",
    "    Span ID ",
];

/// Where `scripts/setup` has put the collector.
fn installed() -> PathBuf {
    let path = crate::target().join("peers/rotel/rotel/rotel-agent");
    assert!(path.exists(), "{} is not there; scripts/setup fetches it", path.display());
    path
}
