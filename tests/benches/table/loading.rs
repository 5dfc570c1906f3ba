//! What it costs to get from a name to a backend that takes events.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use jackfield_loader::{
    Backend, BackendOptions, Candidate, Plugin, Trust, find,
    plugin_api::{abi::Descriptor, layout},
};
use jackfield_tests::Build;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::rows::{Rows, median, show, time};

/// Libraries that are loaded stay loaded, of which a process may have 256: all sections together stay below.
const COPIES: usize = 21;
/// Size of the large plugin, in bytes: about that of one with tokio and rustls in it.
const LARGE: usize = 6 << 20;

/// Copies of the plugin that differ in length, by bytes that no one looks at, so that each is loaded for itself.
pub(crate) fn copies(folder: &Path, original: &Path, size: usize, kind: &str) -> Vec<PathBuf> {
    let bytes = fs::read(original).expect("readable");
    // Loaded copies of other kinds have other lengths, too.
    static LONGER: AtomicUsize = AtomicUsize::new(1);
    (0..COPIES)
        .map(|number| {
            let longer = LONGER.fetch_add(1, Ordering::Relaxed);
            let padding = vec![0xA5; size.saturating_sub(bytes.len()) + longer];
            let path = folder.join(format!("lib{kind}{number}.so"));
            let mut file = fs::File::create(&path).expect("writable");
            for part in [&bytes, &padding] {
                file.write_all(part).expect("writable");
            }
            path
        })
        .collect()
}

/// The least that loading with a layout check can be: no inspection, no verification, the file as the linker maps it.
#[allow(unsafe_code, reason = "the raw dlopen to compare with")]
fn raw(path: &Path) {
    // SAFETY: plugins that this benchmark built; the library stays loaded.
    unsafe {
        let library = Library::open(Some(path), RTLD_NOW | RTLD_LOCAL).expect("loads");
        let descriptor = *library.get::<*const Descriptor>(b"jackfield_plugin\0").expect("a plugin");
        assert!(matches!(layout::check((*descriptor).layouts), layout::LayoutCheck::Equal));
        std::mem::forget(library);
    }
}

pub(crate) fn ready(folder: &Path, name: &str, config: &str) -> Backend {
    let path = find(name, &[folder.to_owned()], folder).expect("found");
    let plugin = Plugin::load(&path, Trust::Owner).unwrap_or_else(|error| panic!("{error}"));
    Backend::open(&plugin, &BackendOptions::new(name).config(config))
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn measure(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let plugin = Build::package("fixture-minimal").release().library();
    let small = fs::metadata(&plugin).expect("there").len() as usize;

    for (kind, size, most) in [("small", small, Some(3.0)), ("large", LARGE, None)] {
        let ours = copies(folder, &plugin, size, kind);
        let theirs = copies(folder, &plugin, size, &format!("raw{kind}"));
        let (mut readies, mut raws) = (Vec::new(), Vec::new());
        for (at, theirs) in theirs.iter().enumerate() {
            raws.push(time(|| raw(theirs)).0);
            // Freeing the backend is no part of getting it.
            let (took, backend) = time(|| ready(folder, &format!("{kind}{at}"), "{}"));
            readies.push(took);
            drop(backend);
        }
        drop(ours);
        let what = format!("find to ready, a plugin of {:.1} MB", size as f64 / 1e6);
        rows.ratio(&what, median(readies), ("dlopen and layout check", median(raws)), most);
    }

    // The same again, stage by stage.
    for (kind, size) in [("smallstage", small), ("largestage", LARGE)] {
        let (mut read, mut verify, mut load) = (Vec::new(), Vec::new(), Vec::new());
        for path in copies(folder, &plugin, size, kind) {
            let (took, candidate) = time(|| Candidate::open(&path).expect("a plugin"));
            read.push(took);
            let (took, verified) = time(|| candidate.verify(Trust::Owner).expect("verified"));
            verify.push(took);
            load.push(time(|| verified.load().expect("loads")).0);
        }
        let figures: [Duration; 3] = [median(read), median(verify), median(load)];
        let shares = format!("{} + {} + {}", show(figures[0]), show(figures[1]), show(figures[2]));
        rows.figure(
            &format!("of it, {:.1} MB: inspect + copy and verify + dlopen and check", size as f64 / 1e6),
            shares,
            String::new(),
        );
    }
}
