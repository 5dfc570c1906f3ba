//! `jackfield send` of a million events into a file.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use jackfield_tests::Build;

use crate::rows::{Rows, median, time};

const EVENTS: usize = 1_000_000;
const ROUNDS: usize = 3;
/// MiB.
const MOST_MEMORY: f64 = 64.0;

/// Events of 300 bytes each, the line feed included.
fn write_input(path: &Path) {
    let mut out = BufWriter::new(File::create(path).expect("writable"));
    for n in 0..EVENTS {
        let mut line = format!(
            concat!(
                r#"{{"id":"019a9d4e-0000-7000-8000-{:012x}","timestamp":"2026-01-02T03:04:05.{:06}Z","#,
                r#""type":"command.invocation","name":"build","machine_id":"0123456789abcdef","tool_name":"tool","#,
                r#""version":"1.2.3","os":"linux","arch":"x86_64","os_version":"6.1","runtime_version":"1.95","#,
                r#""duration_ms":{},"exit_code":0,"metadata":{{"k":""#
            ),
            n,
            n,
            n % 5000
        );
        while line.len() < 296 {
            line.push('x');
        }
        line.push_str("\"}}\n");
        out.write_all(line.as_bytes()).expect("writable");
    }
    out.flush().expect("writable");
}

/// One thread, no plugin: each line parsed and written again.
fn plain(input: &Path, output: &Path) {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(input).expect("readable"));
    let mut writer = BufWriter::with_capacity(1 << 16, File::create(output).expect("writable"));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).expect("readable") > 0 {
        let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        serde_json::to_writer(&mut writer, &value).expect("writable");
        writer.write_all(b"\n").expect("writable");
        line.clear();
    }
    writer.flush().expect("writable");
}

/// How long the command takes, and the most memory that it has resident, in MiB.
fn send(cli: &Path, folder: &Path, input: &Path) -> (Duration, f64) {
    let started = Instant::now();
    let mut child = Command::new(cli)
        .arg("--config")
        .arg(folder.join("jackfield.toml"))
        .arg("send")
        .arg(input)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    let code = loop {
        // The kernel keeps the peak; the last look before the end misses nothing that lasts longer than the pause.
        let kib = fs::read_to_string(&status).unwrap_or_default();
        let kib = kib
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak = kib.map_or(peak, |kib| f64::max(peak, kib / 1024.0));
        if let Some(code) = child.try_wait().expect("waits") {
            break code;
        }
        thread::sleep(Duration::from_millis(2));
    };
    let took = started.elapsed();
    assert!(code.success(), "{:?}", std::io::read_to_string(child.stderr.take().expect("piped")));
    (took, peak)
}

pub(crate) fn measure(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (cli, plugin) = (
        Build::package("jackfield-cli").release().binary("jackfield"),
        Build::plugin("file").release().library(),
    );
    let (input, output) = (folder.join("input.jsonl"), folder.join("output.jsonl"));
    write_input(&input);
    fs::write(
        folder.join("jackfield.toml"),
        format!("[[backend]]\nplugin = {plugin:?}\n[backend.config]\npath = {output:?}\n"),
    )
    .expect("writable");

    let (mut ours, mut theirs, mut peak) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        theirs.push(time(|| plain(&input, &output)).0);
        fs::remove_file(&output).expect("removable");
        let (took, memory) = send(&cli, folder, &input);
        ours.push(took);
        peak = f64::max(peak, memory);
        assert_eq!(fs::metadata(&output).expect("there").len(), fs::metadata(&input).expect("there").len());
        fs::remove_file(&output).expect("removable");
    }
    rows.ratio(
        "jackfield send of 1,000,000 events of 300 bytes into file",
        median(ours),
        ("serde_json parse and write, one thread", median(theirs)),
        Some(2.0),
    );
    let met = if peak < MOST_MEMORY { "met" } else { "missed" };
    rows.figure("its peak memory", format!("{peak:.1} MiB"), format!("under {MOST_MEMORY} MiB: {met}"));
}
