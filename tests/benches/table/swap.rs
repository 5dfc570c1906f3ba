//! What a service and its callers notice of a swap.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use jackfield::{Deliver, EventKind, Telemetry};
use jackfield_tests::Build;

use crate::rows::{Rows, median, show, time};

const SWAPS: usize = 200;
/// Each stays mapped until the end.
const IMAGES: u8 = 20;
const GOAL: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);

fn put(path: &Path, text: &str) {
    let half = path.with_extension("half");
    fs::write(&half, text).expect("writable");
    fs::rename(half, path).expect("writable");
}

/// Another library for the loader: what follows the end of an ELF file is no part of it.
fn another(library: &Path, folder: &Path, number: u8) -> PathBuf {
    let path = folder.join(format!("libimage{number}.so"));
    let bytes = [fs::read(library).expect("readable"), vec![number; 16]].concat();
    fs::write(&path, bytes).expect("writable");
    fs::set_permissions(&path, fs::metadata(library).expect("there").permissions()).expect("ours");
    path
}

/// What was seen while 10,000 events a second went to a file.
struct Load {
    longest_track: Duration,
    longest_gap: Duration,
}

/// Events flow while `work` does something else.
fn under_load<T>(telemetry: &Telemetry, events: &Path, work: impl FnOnce() -> T) -> (Load, T) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let tracker = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..10 {
                    let (took, _) = time(|| telemetry.track(EventKind::FEATURE_USED, "swap", &[]));
                    longest = longest.max(took);
                }
                thread::sleep(TICK);
            }
            longest
        });
        let watcher = scope.spawn(|| {
            let length = || fs::metadata(events).map_or(0, |metadata| metadata.len());
            while length() == 0 {
                thread::sleep(TICK / 10);
            }
            let (mut before, mut since, mut longest) = (length(), Instant::now(), Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let now = length();
                if now != before {
                    longest = longest.max(since.elapsed());
                    (before, since) = (now, Instant::now());
                }
                thread::sleep(TICK / 10);
            }
            longest
        });
        thread::sleep(200 * TICK);
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let longest_track = tracker.join().expect("no panic");
        let longest_gap = watcher.join().expect("no panic");
        (Load { longest_track, longest_gap }, done)
    })
}

pub(crate) fn measure(rows: &mut Rows) {
    let home = tempfile::tempdir().expect("a folder");
    let (file, events) = (home.path().join("backends.toml"), home.path().join("events"));
    let library = Build::plugin("file").release().library();
    let images: Vec<PathBuf> = (0..IMAGES).map(|number| another(&library, home.path(), number)).collect();
    // What was written a moment ago is waited for, since it may not be whole.
    thread::sleep(Duration::from_millis(1500));
    let configure = |plugin: &Path, keep: usize| {
        let (plugin, path) = (plugin.display(), events.display());
        put(
            &file,
            &format!(
                "[[backend]]\nname = \"main\"\nplugin = \"{plugin}\"\nconfig = {{ path = \"{path}\", rotate_keep = {keep} }}\n"
            ),
        );
    };
    configure(&images[0], 1);
    let telemetry = Telemetry::builder("swapped", "1.0.0")
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .ops_file(home.path().join("none.toml"))
        .config_file(&file)
        .data_folder(home.path().join("data"))
        .deliver(Deliver::InBackground { interval: TICK, events: 10, within: Duration::from_secs(60) })
        .build();
    let swap = || {
        let (took, reloaded) = time(|| telemetry.reload().expect("a configuration"));
        assert_eq!(reloaded.swapped.len(), 1, "{reloaded:?}");
        took
    };
    let (calm, ()) = under_load(&telemetry, &events, || thread::sleep(Duration::from_secs(2)));
    let (load, (by_config, by_file)) = under_load(&telemetry, &events, || {
        let by_config: Vec<Duration> = (0..SWAPS)
            .map(|number| {
                configure(&images[0], 2 + number % 2);
                let took = swap();
                thread::sleep(5 * TICK);
                took
            })
            .collect();
        let by_file: Vec<Duration> = images[1..]
            .iter()
            .map(|image| {
                configure(image, 1);
                let took = swap();
                thread::sleep(5 * TICK);
                took
            })
            .collect();
        (by_config, by_file)
    });
    telemetry.close();
    let goal = |took: Duration| {
        let met = if took < GOAL { "met" } else { "missed" };
        format!("under {}: {met}", show(GOAL))
    };
    for (what, swaps) in [("another configuration", by_config), ("another library", by_file)] {
        let slowest = swaps.iter().max().copied().expect("some");
        let took = median(swaps);
        rows.figure(&format!("a swap to {what}, 10,000 events a second"), show(took), goal(took));
        rows.figure(&format!("a swap to {what}, the slowest"), show(slowest), String::new());
    }
    rows.ratio("the longest `track` during swaps", load.longest_track, ("without", calm.longest_track), None);
    rows.ratio(
        "the longest time without a batch during swaps",
        load.longest_gap,
        ("without", calm.longest_gap),
        None,
    );
}
