//! A service changes its backends while events flow.

#[cfg(unix)]
mod judged;

use std::{
    ffi::OsString,
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use jackfield::{Deliver, EventKind, Telemetry, spool::Limits};
use jackfield_test_support::wait_until;
use jackfield_tests::Build;

use crate::{common::MS, logs};

const LONG: Duration = Duration::from_secs(60);

/// A tool with a configuration file of its own, and a folder for all of it.
struct Service {
    home: tempfile::TempDir,
    telemetry: Telemetry,
}

impl Service {
    /// With this configuration; its backends are open.
    fn new(config: &str) -> Self {
        Self::watching(config, false)
    }

    fn watching(config: &str, watch: bool) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        put(&home.path().join("backends.toml"), &config.replace("HOME", &home.path().display().to_string()));
        let mut limits = Limits::default();
        (limits.max_bytes, limits.max_events) = (1 << 30, 10_000_000);
        let telemetry = Telemetry::builder("swapped", "1.0.0")
            .environment(|_: &str| None::<OsString>)
            .force_enabled(true)
            .ops_file(home.path().join("none.toml"))
            .config_file(home.path().join("backends.toml"))
            .data_folder(home.path().join("data"))
            .limits(limits)
            .watch(watch)
            .deliver(Deliver::InBackground { interval: 2 * MS, events: 50, within: LONG })
            .build();
        Self { home, telemetry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn configure(&self, config: &str) {
        put(&self.path("backends.toml"), &config.replace("HOME", &self.home.path().display().to_string()));
    }

    fn track(&self, name: &str) {
        self.telemetry.track(EventKind::FEATURE_USED, name, &[]);
    }

    /// Tracks one event and waits until it is in the file.
    fn arrives(&self, name: &str, file: &str) {
        self.track(name);
        wait_until(&format!("{name} in {file}"), || {
            names(&self.path(file)).iter().any(|known| known == name)
        });
    }

    /// What the live backend has to say of a refused swap.
    fn why_not(&self, backend: &str) -> Option<String> {
        let live = self.telemetry.live_backends();
        let live = live.into_iter().find(|live| live.name == backend).expect("it is there");
        live.not_swapped.map(|reason| reason.to_string())
    }
}

/// Puts a whole file in place.
fn put(path: &Path, text: &str) {
    let half = path.with_extension("half");
    fs::write(&half, text).expect("writable");
    fs::rename(half, path).expect("writable");
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().spawn(work).expect("a thread")
}

/// The names of the events in a file, in their order. A line that is being written does not count yet.
fn names(file: &Path) -> Vec<String> {
    names_in(&fs::read_to_string(file).unwrap_or_default())
}

fn names_in(text: &str) -> Vec<String> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let name = |line: &str| {
        let from = line.find("\"name\":\"").expect("a name") + 8;
        let name = &line[from..];
        name[..name.find('"').expect("its end")].to_owned()
    };
    whole.lines().map(name).collect()
}

/// The name of the last event in a large file.
fn last_name(file: &Path) -> Option<String> {
    let mut file = fs::File::open(file).ok()?;
    let from = file.metadata().ok()?.len().saturating_sub(4096);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    names_in(text.split_once('\n')?.1).pop()
}

/// A copy of a library that is another one for the loader: what follows the end of an ELF file is no part of it.
fn another(library: &Path, to: &Path, number: u8) {
    let mut bytes = fs::read(library).expect("readable");
    bytes.extend([number; 16]);
    fs::write(to, bytes).expect("writable");
    let mode = fs::metadata(library).expect("there").permissions();
    fs::set_permissions(to, mode).expect("ours");
}

fn file_plugin() -> PathBuf {
    Build::plugin("file").library()
}

/// A backend called `main` that writes to `file` by `plugin`, its path.
fn to_file(plugin: &Path, file: &str) -> String {
    format!(
        "[[backend]]\nname = \"main\"\nplugin = \"{}\"\n[backend.config]\npath = \"HOME/{file}\"\n",
        plugin.display()
    )
}

#[test]
fn a_thousand_swaps_under_load_lose_and_double_nothing() {
    const SWAPS: usize = 1000;
    /// Well under the limit of loaded libraries, which all tests of this process share.
    const IMAGES: usize = 8;
    /// What a machine that is slow to swap need not exceed.
    const EVENTS: u32 = 500_000;
    let library = file_plugin();
    let images = tempfile::tempdir().expect("a folder");
    let image = |number: usize| images.path().join(format!("libimage{}.so", number % IMAGES));
    for number in 0..IMAGES {
        another(&library, &image(number), u8::try_from(number).expect("small"));
    }
    let service = Service::new(&to_file(&image(0), "events"));
    let config = |swap: usize| {
        let keep = 1 + swap % 5;
        format!("{}rotate_keep = {keep}\n", to_file(&image(swap / 10), "events"))
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (telemetry, ends) = (service.telemetry.clone(), Arc::clone(&stop));
    let load = spawn(move || {
        let started = Instant::now();
        let (mut number, mut longest) = (0_u32, Duration::ZERO);
        while !ends.load(Ordering::Relaxed) {
            // 10,000 a second, in tens.
            let due = u32::try_from(started.elapsed().as_millis() * 10)
                .expect("minutes")
                .min(number + 100)
                .min(EVENTS);
            while number < due {
                let before = Instant::now();
                telemetry.track(EventKind::FEATURE_USED, &number.to_string(), &[]);
                longest = longest.max(before.elapsed());
                number += 1;
            }
            thread::sleep(MS);
        }
        (number, longest)
    });
    wait_until("the first event", || !names(&service.path("events")).is_empty());
    for swap in 1..=SWAPS {
        service.configure(&config(swap));
        let reloaded = service.telemetry.reload().expect("a configuration");
        assert_eq!(reloaded.swapped, ["main"], "{swap}: {reloaded:?}");
    }
    stop.store(true, Ordering::Relaxed);
    let (number, longest) = load.join().expect("no panic");
    assert_eq!(service.telemetry.live_backends()[0].swaps, SWAPS as u64);
    wait_until("the last event", || last_name(&service.path("events")) == Some((number - 1).to_string()));
    service.telemetry.close();
    let expected: Vec<String> = (0..number).map(|number| number.to_string()).collect();
    let arrived = names(&service.path("events"));
    assert!(arrived == expected, "{} of {number} events, the longest track {longest:?}", arrived.len());
    // No caller waits for a swap; the bound is for a machine that does much else.
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
fn events_go_to_the_old_place_until_the_swap() {
    let library = file_plugin();
    let service = Service::new(&to_file(&library, "a"));
    let mut number = 0;
    for swap in 0..20 {
        let file = ["a", "b"][swap % 2];
        service.configure(&to_file(&library, file));
        service.telemetry.reload().expect("a configuration");
        for _ in 0..20 {
            service.track(&number.to_string());
            number += 1;
        }
        wait_until("the events", || names(&service.path(file)).last() == Some(&(number - 1).to_string()));
    }
    service.telemetry.close();
    let all = ["a", "b"].map(|file| names(&service.path(file)));
    let expected = |half: usize| -> Vec<String> {
        (0..number).filter(|number| number / 20 % 2 == half).map(|number| number.to_string()).collect()
    };
    assert_eq!(all, [expected(0), expected(1)]);
}

#[test]
fn the_old_backend_stays_if_the_new_one_fails() {
    logs::collect();
    let library = file_plugin();
    let service = Service::new(&to_file(&library, "events"));
    service.arrives("first", "events");
    fs::write(service.path("libtext.so"), "This is no library.").expect("writable");
    let whole = fs::read(&library).expect("readable");
    fs::write(service.path("libhalf.so"), &whole[..whole.len() / 2]).expect("writable");
    let hostile = Build::package("fixture-hostile").library();
    let by = |plugin: &str, config: &str| {
        format!(
            "[[backend]]\nname = \"main\"\nplugin = \"{plugin}\"\ntimeout = \"500ms\"\n[backend.config]\n{config}\n"
        )
    };
    let hostile = hostile.display().to_string();
    let library = library.display().to_string();
    for (number, (config, expected)) in [
        (by("HOME/libmissing.so", ""), "libmissing.so: correct `plugin`"),
        (by("nowhere", ""), "nowhere"),
        (by("HOME/libtext.so", ""), "libtext.so"),
        (by("HOME/libhalf.so", ""), "libhalf.so"),
        (by(&library, "path = 7"), "path"),
        (by(&hostile, "hang = \"open\""), "no answer within"),
    ]
    .into_iter()
    .enumerate()
    {
        service.configure(&config);
        let reloaded = service.telemetry.reload().expect("a configuration");
        assert!(!reloaded.is_change(), "{config}: {reloaded:?}");
        let [(backend, reason)] = &reloaded.refused[..] else { panic!("{config}: {reloaded:?}") };
        assert_eq!(backend, "main");
        assert!(reason.contains(expected) && !reason.contains('\n'), "{config}: {reason}");
        assert_eq!(service.why_not("main").as_ref(), Some(reason), "{config}");
        let logged = logs::seen(&format!("backend main stays as it is: {reason}"));
        assert_eq!(logged.len(), 1, "{config}: {logged:?}");
        let status = service.telemetry.status();
        assert_eq!(status.backends[0].not_swapped, Some(reason.into()), "{config}");
        service.arrives(&number.to_string(), "events");
    }
    // What can't be read at all: everything stays.
    service.configure("[[backend]\n");
    let error = service.telemetry.reload().expect_err("no configuration").to_string();
    assert!(
        error.starts_with("all backends stay as they are: ") && error.contains("backends.toml:1"),
        "{error}"
    );
    service.arrives("unreadable", "events");
    // What is right again is no problem any more.
    service.configure(&to_file(Path::new(&library), "others"));
    assert_eq!(service.telemetry.reload().expect("a configuration").swapped, ["main"]);
    assert_eq!(service.why_not("main"), None);
    service.arrives("last", "others");
}

#[test]
fn a_missing_or_empty_configuration_removes_no_backend() {
    logs::collect();
    let library = file_plugin();
    let service = Service::new(&to_file(&library, "events"));
    service.arrives("first", "events");
    let refused = |expected: &str| {
        let file = service.path("backends.toml").display().to_string();
        let reason = format!("no backend is configured any more: {}", service.path("none.toml").display());
        let reason = format!("{reason} is not there, {file} {expected}");
        let error = service.telemetry.reload().expect_err("no backend").to_string();
        assert_eq!(error, format!("all backends stay as they are: {reason}"));
        assert_eq!(service.why_not("main").as_ref(), Some(&reason));
        let status = service.telemetry.status();
        assert_eq!(status.backends[0].not_swapped, Some(reason.as_str().into()), "{status:#?}");
        assert_eq!(logs::seen(&reason).len(), 1, "{reason}");
        service.arrives(expected, "events");
    };
    fs::remove_file(service.path("backends.toml")).expect("it is there");
    refused("is not there");
    service.configure("# [[backend]]\n");
    refused("has no [[backend]] table");
    // The file of ops comes first, and is a source of backends as good as any other.
    let home = service.home.path().display().to_string();
    put(&service.path("none.toml"), &to_file(&library, "ops").replace("HOME", &home));
    assert_eq!(service.telemetry.reload().expect("a configuration").swapped, ["main"]);
    assert_eq!(service.why_not("main"), None);
    service.arrives("by ops", "ops");
    service.configure(&to_file(&library, "events"));
    fs::remove_file(service.path("none.toml")).expect("it is there");
    assert_eq!(service.telemetry.reload().expect("the next source").swapped, ["main"]);
    service.arrives("by the tool", "events");
}

#[test]
fn a_library_is_loaded_once_it_is_whole() {
    let library = file_plugin();
    let service = Service::new(&to_file(&library, "events"));
    service.arrives("first", "events");
    let bytes = fs::read(&library).expect("readable");
    let slow = service.path("libslow.so");
    another(&library, &slow, 200);
    let whole = fs::read(&slow).expect("readable");
    // As a copy in place does it: the length is right from the start, the content is not.
    let file = fs::File::options().write(true).open(&slow).expect("writable");
    file.set_len(0).expect("writable");
    service.configure(&to_file(&slow, "events"));
    let writer = spawn(move || {
        use std::io::Write as _;
        let mut file = file;
        file.set_len(whole.len() as u64).expect("writable");
        let (step, mut at) = (whole.len() / 10 + 1, 0);
        while at < whole.len() {
            let to = (at + step).min(whole.len());
            file.seek(SeekFrom::Start(at as u64)).expect("seekable");
            file.write_all(&whole[at..to]).expect("writable");
            at = to;
            thread::sleep(60 * MS);
        }
    });
    let reloaded = service.telemetry.reload().expect("a configuration");
    assert!(writer.is_finished(), "it was loaded while it was written");
    writer.join().expect("no panic");
    assert_eq!(reloaded.swapped, ["main"], "{reloaded:?}");
    service.arrives("second", "events");
    assert!(bytes.len() < usize::try_from(fs::metadata(&slow).expect("there").len()).expect("small"));
}

#[test]
fn backends_come_go_and_are_swapped_while_others_stay() {
    let library = file_plugin();
    let service = Service::new(
        "[[backend]]\nname = \"one\"\nplugin = \"HOME/libone.so\"\nconfig.path = \"HOME/one\"\n",
    );
    another(&library, &service.path("libone.so"), 101);
    service.arrives("first", "one");
    let two = "[[backend]]\nname = \"two\"\nplugin = \"HOME/libtwo.so\"\nconfig.path = \"HOME/two\"\n";
    another(&library, &service.path("libtwo.so"), 102);
    let one = "[[backend]]\nname = \"one\"\nplugin = \"HOME/libone.so\"\nconfig.path = \"HOME/one\"\n";
    service.configure(&format!("{one}{two}"));
    let reloaded = service.telemetry.reload().expect("a configuration");
    assert_eq!((reloaded.added, reloaded.unchanged), (vec!["two".to_owned()], vec!["one".to_owned()]));
    service.arrives("second", "two");
    service.arrives("third", "one");
    // The same bytes by another name of the file are nothing new; others are.
    another(&library, &service.path("libnext.so"), 103);
    fs::rename(service.path("libnext.so"), service.path("libone.so")).expect("ours");
    let reloaded = service.telemetry.reload().expect("a configuration");
    assert_eq!((reloaded.swapped, reloaded.unchanged), (vec!["one".to_owned()], vec!["two".to_owned()]));
    service.arrives("fourth", "one");
    assert!(!service.telemetry.reload().expect("a configuration").is_change());
    service.configure(two);
    let reloaded = service.telemetry.reload().expect("a configuration");
    assert_eq!((reloaded.removed, reloaded.unchanged), (vec!["one".to_owned()], vec!["two".to_owned()]));
    service.arrives("fifth", "two");
    service.telemetry.close();
    assert_eq!(names(&service.path("one")), ["first", "second", "third", "fourth"]);
    let to_two = names(&service.path("two"));
    assert_eq!(to_two.iter().rev().take(4).rev().collect::<Vec<_>>(), ["second", "third", "fourth", "fifth"]);
}

#[test]
fn a_change_of_the_configuration_or_the_plugin_is_noticed() {
    let library = file_plugin();
    let one = |file: &str| {
        format!("[[backend]]\nname = \"main\"\nplugin = \"HOME/libone.so\"\nconfig.path = \"HOME/{file}\"\n")
    };
    let service = Service::watching(&one("first"), true);
    another(&library, &service.path("libone.so"), 104);
    service.arrives("0", "first");
    let swaps = || service.telemetry.live_backends()[0].swaps;
    service.configure(&one("second"));
    wait_until("the first swap", || swaps() == 1);
    service.arrives("1", "second");
    // By a rename, and by a copy in place that takes its time.
    another(&library, &service.path("libnext.so"), 105);
    fs::rename(service.path("libnext.so"), service.path("libone.so")).expect("ours");
    wait_until("the second swap", || swaps() == 2);
    service.arrives("2", "second");
    let whole = [fs::read(&library).expect("readable"), vec![106; 16]].concat();
    {
        use std::io::Write as _;
        let mut file = fs::File::create(service.path("libone.so")).expect("writable");
        for part in whole.chunks(whole.len() / 8) {
            file.write_all(part).expect("writable");
            assert_eq!(swaps(), 2, "half of it is in force");
            thread::sleep(40 * MS);
        }
    }
    wait_until("the third swap", || swaps() == 3);
    service.arrives("3", "second");
    // What can't be used changes nothing, and the next one that can does.
    service.configure("[[backend]\n");
    service.arrives("4", "second");
    service.configure(&one("third"));
    wait_until("the fourth swap", || swaps() == 4);
    service.arrives("5", "third");
    service.telemetry.close();
    assert_eq!(names(&service.path("first")), ["0"]);
    assert_eq!(names(&service.path("second")), ["1", "2", "3", "4"]);
    assert_eq!(names(&service.path("third")), ["5"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_backend_moves_to_a_process_and_back() {
    let library = file_plugin();
    let here = to_file(&library, "events");
    let helper = format!("[plugins]\nhelper = {:?}\n", jackfield_tests::cli());
    let apart = here.replace("[backend.config]", "isolation = \"process\"\n[backend.config]");
    let service = Service::new(&format!("{helper}{here}"));
    service.arrives("first", "events");
    for (number, config) in [&apart, &here, &apart].into_iter().enumerate() {
        service.configure(&format!("{helper}{config}"));
        let reloaded = service.telemetry.reload().expect("a configuration");
        assert_eq!(reloaded.swapped, ["main"], "{reloaded:?}");
        service.arrives(&number.to_string(), "events");
        let isolation = if config == &apart { "process" } else { "thread" };
        assert_eq!(service.telemetry.live_backends()[0].isolation, isolation);
    }
    // The file that it came from is not looked at again for another configuration.
    service.configure(&format!("{helper}{apart}rotate_keep = 2\n"));
    assert_eq!(service.telemetry.reload().expect("a configuration").swapped, ["main"]);
    service.arrives("last", "events");
    service.telemetry.close();
    assert_eq!(names(&service.path("events")), ["first", "0", "1", "2", "last"]);
}
