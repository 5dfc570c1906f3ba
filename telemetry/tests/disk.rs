//! A disk that is full, read-only, or changed under a running tool; a clock that jumps; files that are not ours.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{Clocked, arrived_once, dropped, names, to_file, track};
use jackfield::{
    Deliver, Discarded, MemoryBackend, Telemetry, Verdict,
    spool::{DropReason, Limits},
};
use jackfield_test_support::LONG;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    let (role, home, _) = common::role();
    match &*role {
        "full disk" => on_a_full_disk(&home),
        "filled disk" => on_a_disk_that_the_spool_has_filled(&home),
        "read-only disk" => on_a_read_only_disk(&home),
        "no home" => without_a_home(),
        other => panic!("no such role: {other}"),
    }
}

/// A child that sees a disk of its own, of so many bytes, in the data folder; it vanishes with the child.
///
/// It takes the right to mount: root's, or that of user namespaces. Without it the test fails, rather than pass untried.
#[cfg(target_os = "linux")]
fn on_a_small_disk(role: &str, home: &Path, bytes: u32) {
    common::consent(home);
    fs::create_dir(home.join("data")).expect("room");
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|proc| std::os::unix::fs::MetadataExt::uid(&proc) == 0);
    let mut shell = Command::new("unshare");
    shell.arg(if is_root { "-m" } else { "-rm" }).args(["sh", "-c"]);
    shell.arg(r#"mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" || exit 77; shift 2; exec "$@""#);
    shell.args(["sh", &bytes.to_string()]).arg(home.join("data"));
    let status = common::child_by(shell, role, home, 0).status().expect("unshare starts");
    assert_ne!(
        status.code(),
        Some(77),
        "CAN'T MOUNT A tmpfs: run this as root, or where user namespaces are allowed"
    );
    assert!(status.success(), "the tool failed, or unshare is not allowed: {status}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_counted_events() {
    let home = tempfile::tempdir().expect("a folder");
    on_a_small_disk("full disk", home.path(), 256 << 10);
}

/// Takes all room, or says what else is wrong.
fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    for block in [&[0; 4096][..], &[0; 1]] {
        loop {
            match file.write(block) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn on_a_full_disk(home: &Path) {
    let log = home.join("arrived");
    let clock = Clocked::new();
    let telemetry = common::tool(home)
        .file_system(clock.clone())
        .deliver(Deliver::AtExit { within: LONG })
        .backend("a", to_file(&log))
        .build();
    track(&telemetry, 0..10);
    let ballast = home.join("data/ballast");
    fill(&ballast);
    // The rest of the last page is filled, and then nothing is to be had.
    track(&telemetry, 10..200);
    let stats = common::spool(home).stats();
    let kept = stats.events;
    assert!((10..100).contains(&kept), "{stats:?}");
    let status = telemetry.status();
    assert_eq!(status.dropped.get("disk full"), Some(&(200 - kept)), "{status}");
    // The disk has the number, for the time when this process has ended.
    let marks = fs::read_dir(common::spool(home).folder()).expect("there");
    let marks = marks.filter(|mark| {
        let name = mark.as_ref().expect("readable").file_name();
        name.to_str().is_some_and(|name| name.starts_with(&format!("dropped-disk_full-{}-", 200 - kept)))
    });
    assert_eq!(marks.count(), 1);
    assert_eq!(dropped(&common::spool(home).stats(), DropReason::DiskFull), 200 - kept);
    // Delivery goes on, even if it can't be noted.
    telemetry.flush(Duration::from_millis(200));
    let doctor = telemetry.doctor();
    let room = doctor.iter().find(|it| it.what == "folder" && it.verdict == Verdict::Wrong);
    assert!(room.is_some_and(|it| it.detail.as_raw().contains("make room on that disk")), "{doctor:?}");

    fs::remove_file(&ballast).expect("there");
    clock.forward(Duration::from_secs(1));
    track(&telemetry, 200..210);
    telemetry.flush(LONG);
    telemetry.close();
    drop(telemetry);
    let kept = u32::try_from(kept).expect("few");
    let mut arrived: Vec<u32> =
        arrived_once(&log).iter().map(|name| name.parse().expect("a number")).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..kept).chain(200..210).collect::<Vec<_>>());
    let stats = common::spool(home).stats();
    assert_eq!(dropped(&stats, DropReason::DiskFull), u64::from(200 - kept), "{stats:?}");
    assert_eq!((stats.events, stats.drops.len()), (0, 1), "{stats:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_frees_a_disk_that_the_spool_has_filled() {
    let home = tempfile::tempdir().expect("a folder");
    on_a_small_disk("filled disk", home.path(), 64 << 10);
}

fn on_a_disk_that_the_spool_has_filled(home: &Path) {
    let log = home.join("arrived");
    // The log is on another disk; the first run delivers nothing.
    let tool = || common::tool(home).backend("a", to_file(&log));
    let run = tool().deliver(Deliver::ByHand).build();
    track(&run, 1000..2000);
    drop(run);
    let spool = common::spool(home);
    let kept = spool.stats().events;
    assert!((50..900).contains(&kept), "{:?}", spool.stats());

    let run = tool().build();
    track(&run, [2000]);
    assert_eq!(spool.stats().events, kept, "there was room");
    let flushed = run.close();
    assert_eq!((flushed.delivered, flushed.emptied), (kept, true));
    drop(run);
    assert_eq!(arrived_once(&log), names((1000..2000).take(usize::try_from(kept).expect("few"))));
    assert_eq!((spool.stats().events, spool.stats().segments), (0, 0));

    let run = tool().build();
    track(&run, [3000]);
    assert_eq!(run.close().delivered, 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_data_folder_never_fails_the_tool() {
    let home = tempfile::tempdir().expect("a folder");
    on_a_small_disk("read-only disk", home.path(), 256 << 10);
}

fn on_a_read_only_disk(home: &Path) {
    let remount = |how: &str| {
        let mount =
            Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(home.join("data")).status();
        assert!(mount.expect("mount starts").success(), "CAN'T REMOUNT THE tmpfs");
    };
    remount("ro");
    let clock = Clocked::new();
    let memory = MemoryBackend::new();
    let tool = || common::tool(home).file_system(clock.clone()).backend("memory", memory.maker()).build();
    let telemetry = tool();
    let problems = telemetry.status().problems;
    assert!(problems[0].as_raw().contains("can't be written to"), "{problems:?}");
    let doctor = telemetry.doctor();
    assert!(!doctor.iter().any(|it| it.what == "folder" && it.verdict == Verdict::Fine), "{doctor:?}");
    track(&telemetry, 0..10);
    telemetry.command("build").finish(0);
    assert!(telemetry.is_enabled());
    let flushed = telemetry.flush(Duration::from_millis(100));
    assert_eq!(flushed.delivered, 0);
    let status = telemetry.status();
    assert_eq!(status.dropped.get("disk not writable"), Some(&11), "{status}");
    telemetry.close();
    drop(telemetry);

    // One that could be written to before.
    remount("rw");
    let telemetry = tool();
    track(&telemetry, 0..10);
    telemetry.close();
    assert_eq!(memory.events().len(), 10);
    let telemetry = tool();
    track(&telemetry, 10..12);
    drop(telemetry);
    assert_eq!(memory.events().len(), 12);

    // What waits there can't be discarded, which is said; consent is withdrawn all the same.
    let by_hand =
        || common::tool_as_is(home).deliver(Deliver::ByHand).backend("memory", memory.maker()).build();
    let telemetry = by_hand();
    track(&telemetry, 12..14);
    drop(telemetry);
    remount("ro");
    let telemetry = by_hand();
    let disabled = telemetry.disable().expect("consent stands elsewhere");
    let Discarded::Failed(reason) = &disabled.pending else { panic!("{disabled:?}") };
    assert!(reason.contains("data/spool") && !disabled.consent.is_enabled(), "{reason}");
    let reset = telemetry.reset(LONG).expect("consent stands elsewhere");
    assert!(matches!(reset.pending, Discarded::Failed(_)) && reset.receipts.len() == 1, "{reset:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_tool_without_a_home_folder_runs_and_keeps_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    // A user that the system does not know has no home folder either.
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--user",
        "--map-user=54321",
        "env",
        "-u",
        "HOME",
        "-u",
        "XDG_CONFIG_HOME",
        "-u",
        "XDG_STATE_HOME",
    ]);
    let status = common::child_by(unshare, "no home", home.path(), 0).status().expect("unshare starts");
    assert!(status.success(), "the tool failed, or unshare is not allowed: {status}");
}

fn without_a_home() {
    assert_eq!(std::env::home_dir().filter(|home| home.is_absolute()), None);
    let memory = MemoryBackend::new();
    let environment = |name: &str| (name == "TOOL_TELEMETRY_ENABLED").then(|| "1".into());
    let telemetry =
        Telemetry::builder("tool", "1").environment(environment).backend("memory", memory.maker()).build();
    track(&telemetry, 0..3);
    assert!(telemetry.is_enabled());
    assert_eq!(telemetry.flush(LONG).delivered, 0);
    let status = telemetry.status();
    assert_eq!(status.dropped.get("no folder"), Some(&3), "{status}");
    assert!(status.problems.iter().any(|problem| problem.as_raw().contains("HOME")), "{status}");
    telemetry.disable().expect_err("there is no file to say so in");
    telemetry.close();
}

#[test]
fn a_deleted_spool_folder_costs_only_what_was_in_it() {
    for deleted in ["data", "data/spool"] {
        let home = tempfile::tempdir().expect("a folder");
        let log = home.path().join("arrived");
        let telemetry = common::tool(home.path()).backend("a", to_file(&log)).build();
        track(&telemetry, 0..100);
        fs::remove_dir_all(home.path().join(deleted)).expect("there");
        track(&telemetry, 100..300);
        let flushed = telemetry.flush(LONG);
        assert!(flushed.emptied, "{flushed:?}");
        // What came since the last look, too, at most 64 events ago, is not lost.
        let arrived = arrived_once(&log);
        assert!(arrived.ends_with(&names(100..300)), "{arrived:?}");
        let stats = common::spool(home.path()).stats();
        assert_eq!(arrived.len() as u64 + dropped(&stats, DropReason::Deleted), 300, "{stats:?}");
        // Again, with nothing tracked between this and the delivery.
        fs::remove_dir_all(home.path().join(deleted)).expect("there");
        telemetry.flush(LONG);
        track(&telemetry, 300..310);
        telemetry.close();
        assert!(arrived_once(&log).ends_with(&names(300..310)));
    }
}

#[test]
fn a_delivery_survives_the_deletion_of_its_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let (folder, log) = (home.path().join("data/spool"), common::Log::at(&home.path().join("arrived")));
    let deletes: common::Send0 = Box::new(move |batch, _| {
        log.line(&common::ids(batch));
        _ = fs::remove_dir_all(&folder);
        jackfield_loader::plugin_api::Outcome::Delivered.into()
    });
    let telemetry = common::tool(home.path()).backend("a", common::scripted(deletes)).build();
    for round in 0..5 {
        track(&telemetry, round * 10..round * 10 + 10);
        let flushed = telemetry.flush(Duration::from_secs(5));
        assert!(flushed.delivered >= 10, "{flushed:?}");
    }
    // The notes of what had arrived went with the folder, so events may come again, and none may be missing.
    let mut arrived = common::arrived(&home.path().join("arrived"));
    arrived.sort_by_key(|(id, name)| (name.parse::<u32>().expect("a number"), id.clone()));
    arrived.dedup();
    let arrived: Vec<_> = arrived.into_iter().map(|(_, name)| name).collect();
    assert_eq!(arrived, names(0..50));
}

#[test]
fn a_clock_that_jumps_loses_no_young_event_and_no_order() {
    let home = tempfile::tempdir().expect("a folder");
    let clock = Clocked::new();
    let memory = MemoryBackend::new();
    let mut limits = Limits::default();
    limits.segment_bytes = 2_000;
    let tool = || {
        let builder = common::tool(home.path()).limits(limits.clone()).file_system(clock.clone());
        builder.backend("memory", memory.maker()).build()
    };
    let telemetry = tool();
    track(&telemetry, 0..20);
    clock.back(365 * DAY);
    track(&telemetry, 20..40);
    clock.forward(366 * DAY);
    track(&telemetry, 40..60);
    assert!(telemetry.flush(LONG).emptied);
    let arrived: Vec<_> = memory.events().iter().map(|event| event["name"].clone()).collect();
    assert_eq!(arrived, names(0..60));
    drop(telemetry);

    // What is too old goes, whatever the clock did before.
    let down = common::tool(home.path()).file_system(clock.clone()).limits(limits.clone());
    let down = down.deliver(Deliver::ByHand).backend("memory", memory.maker()).build();
    track(&down, 60..70);
    down.close();
    clock.forward(31 * DAY);
    let telemetry = tool();
    track(&telemetry, 70..75);
    telemetry.close();
    let arrived: Vec<_> = memory.events()[60..].iter().map(|event| event["name"].clone()).collect();
    assert_eq!(arrived, names(70..75));
    let stats = common::spool(home.path()).stats();
    assert_eq!(dropped(&stats, DropReason::Age), 10, "{stats:?}");
}

#[test]
fn files_of_tomorrows_format_are_left_alone_and_reported() {
    let home = tempfile::tempdir().expect("a folder");
    let spool = home.path().join("data/spool");
    let memory = MemoryBackend::new();
    let telemetry = common::tool(home.path()).backend("memory", memory.maker()).build();
    track(&telemetry, 0..3);
    let tomorrows: Vec<PathBuf> = [
        "0199aaaaaaaa-00000001-00000001.v2.jsonl",
        "cursors.v2.json",
        "claim.v2.lock",
        "dead-letters.v3.jsonl",
    ]
    .map(|name| spool.join(name))
    .into();
    let event = "{\"id\":\"019\",\"name\":\"of tomorrow\",\"type\":\"x\"}\n";
    for file in &tomorrows {
        fs::write(file, event).expect("room");
    }
    assert!(telemetry.flush(LONG).emptied);
    track(&telemetry, 3..6);
    telemetry.drop_pending().expect("possible");
    track(&telemetry, 6..9);
    telemetry.close();
    let arrived: Vec<_> = memory.events().iter().map(|event| event["name"].clone()).collect();
    assert_eq!(arrived, names([0, 1, 2, 6, 7, 8]));
    for file in &tomorrows {
        assert_eq!(fs::read_to_string(file).expect("it is still there"), event, "{}", file.display());
    }
    let problems = format!("{:?}", telemetry.status().problems);
    for file in &tomorrows {
        let name = file.file_name().expect("a file").to_str().expect("text");
        assert!(problems.contains(name), "{name}: {problems}");
    }
}

#[test]
fn a_corrupt_segment_costs_only_its_damaged_lines() {
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("arrived");
    let mut limits = Limits::default();
    limits.segment_bytes = 3_000;
    let tool = common::tool(home.path()).limits(limits).backend("a", to_file(&log));
    let telemetry = tool.build();
    track(&telemetry, 0..50);
    let spool = home.path().join("data/spool");
    let mut segments: Vec<_> = fs::read_dir(&spool)
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    assert!(segments.len() >= 4, "{segments:?}");
    // In the middle of the middle: a hole, an event without its name, and text that is none.
    let middle = &segments[segments.len() / 2];
    let text = fs::read_to_string(middle).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    let name = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        event["name"].as_str().expect("text").to_owned()
    };
    let lost: Vec<String> = lines[1..4].iter().map(|line| name(line)).collect();
    let mut bytes = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match at {
            1 => bytes.extend(vec![0; line.len()]),
            2 => bytes.extend(line.replace("\"name\"", "\"nane\"").bytes()),
            3 => bytes.extend(vec![0xff; line.len()]),
            _ => bytes.extend(line.bytes()),
        }
        bytes.push(b'\n');
    }
    fs::write(middle, bytes).expect("room");
    let flushed = telemetry.flush(LONG);
    assert!(flushed.emptied, "{flushed:?}");
    let expected: Vec<_> = names(0..50).into_iter().filter(|name| !lost.contains(name)).collect();
    assert_eq!(arrived_once(&log), expected);
    let stats = common::spool(home.path()).stats();
    assert_eq!((dropped(&stats, DropReason::Damaged), stats.events), (3, 0), "{stats:?}");
}

#[test]
fn damaged_notes_of_the_spool_cost_no_event() {
    let home = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let tool = || common::tool(home.path()).backend("memory", memory.maker()).build();
    for (round, file) in
        ["spool/cursors.v1.json", "spool/counters.v1.json", "backends.v1.json"].into_iter().enumerate()
    {
        let file = home.path().join("data").join(file);
        let numbers = round as u32 * 10..round as u32 * 10 + 10;
        let telemetry = tool();
        track(&telemetry, [1000]);
        telemetry.close();
        memory.clear();
        for damage in [&b"{\"backends\":{\"memory\":"[..], &[0; 100], b""] {
            let telemetry = tool();
            track(&telemetry, numbers.clone());
            fs::write(&file, damage).expect("room");
            assert!(telemetry.flush(LONG).emptied, "{}", file.display());
            telemetry.close();
            let mut arrived: Vec<_> = memory
                .events()
                .iter()
                .map(|event| event["name"].as_str().expect("text").to_owned())
                .collect();
            arrived.retain(|name| name != "1000");
            assert_eq!(arrived, names(numbers.clone()), "{}", file.display());
            memory.clear();
        }
    }
}
