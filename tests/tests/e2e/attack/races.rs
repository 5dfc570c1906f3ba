//! Files, links, folders and configurations that somebody swaps while the command looks at them: the code of the other file
//! never runs, and each run ends with what its reader found, good or refused.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::libraries::Plugin;
use crate::site::{Site, backend, events};

/// Rounds of each race.
fn rounds() -> usize {
    if jackfield_tests::is_release() { 40 } else { 4 }
}

/// A good plugin in `plugins`, another one with the same name in `evil`, and the marks that they leave when they run.
struct Arena {
    site: Site,
    good: PathBuf,
    evil: PathBuf,
}

impl Arena {
    fn new(plugins: &str, rest: &str) -> Self {
        let site = Site::new(&[]);
        for folder in ["plugins", "evil"] {
            fs::create_dir(site.path(folder)).expect("writable");
            mode(&site.path(folder), 0o755);
        }
        let build = |folder: &str| {
            let plugin = Plugin::new("victim").mark(&site.path(&format!("{folder}-ran")));
            let path = plugin.build(&site.path(folder), "libvictim.so");
            mode(&path, 0o755);
            path
        };
        let (good, evil) = (build("plugins"), build("evil"));
        let arena = Self { good, evil, site };
        arena.configure("config.toml", plugins, &arena.good, rest);
        arena.site.write("in.jsonl", events(0..1));
        arena
    }

    fn configure(&self, file: &str, plugins: &str, plugin: &Path, rest: &str) {
        let text = format!("[plugins]\n{plugins}\n{}", backend("victim", plugin, rest));
        mode(&self.site.write(file, text), 0o644);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    /// Sends for as many rounds as [`rounds`], while `swap` is called over and over.
    fn race(&self, name: &str, swap: impl Fn() + Sync) -> usize {
        let stop = AtomicBool::new(false);
        let mut ends: BTreeMap<i32, usize> = BTreeMap::new();
        let mut all = 0;
        thread::scope(|scope| {
            let swapper = thread::Builder::new().spawn_scoped(scope, || {
                while !stop.load(Ordering::Relaxed) {
                    swap();
                }
            });
            // A swapper that goes on after a failed assertion would keep the scope from its end.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // A race that always ends in the same way is none: it goes on until one file was sent through and one refused.
                while all < rounds() || !(ends.contains_key(&0) && ends.len() > 1) && all < 50 * rounds() {
                    let ended = self.site.run(&["send", "in.jsonl"]);
                    assert!(!self.path("evil-ran").exists(), "{name}: it has run: {ended:#?}");
                    let code = ended.code.unwrap_or_else(|| panic!("{name}: {ended:#?}"));
                    assert!([0, 3, 4].contains(&code), "{name}: {ended:#?}");
                    assert!(!ended.stderr.contains("panicked"), "{name}: {ended:#?}");
                    assert!(code == 0 || ended.stderr.starts_with("error: "), "{name}: {ended:#?}");
                    *ends.entry(code).or_default() += 1;
                    all += 1;
                }
            }));
            stop.store(true, Ordering::Relaxed);
            swapper.expect("a thread").join().expect("it swaps");
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
        assert!(ends.contains_key(&0) && ends.len() > 1, "{name}: {ends:?} of {all}");
        assert!(self.path("plugins-ran").exists(), "{name}: the mark of the other would have been seen");
        all
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("ours");
}

/// Points the link `at` to each of the targets in turn.
fn retarget(at: &Path, targets: [&Path; 2]) {
    for target in targets {
        let new = at.with_extension("new");
        symlink(target, &new).expect("writable");
        fs::rename(new, at).expect("ours");
    }
}

#[test]
fn a_plugin_that_everybody_may_write_never_runs_in_the_place_of_another() {
    let mut all = 0;
    for rest in ["", "isolation = \"process\""] {
        let arena = Arena::new("", rest);
        mode(&arena.evil, 0o666);
        all += arena.race("a file", || exchange(&arena.good, &arena.evil));
    }

    let arena = Arena::new("", "");
    mode(&arena.path("evil"), 0o777);
    all += arena.race("its folder", || exchange(&arena.path("plugins"), &arena.path("evil")));

    let arena = Arena::new("", "");
    for (above, folder) in [("above", "plugins"), ("below", "evil")] {
        fs::create_dir(arena.path(above)).expect("writable");
        fs::rename(arena.path(folder), arena.path(above).join("plugins")).expect("ours");
    }
    mode(&arena.path("below"), 0o777);
    arena.configure("config.toml", "", &arena.path("above/plugins/libvictim.so"), "");
    all += arena.race("a folder above", || exchange(&arena.path("above"), &arena.path("below")));

    let arena = Arena::new("", "");
    let link = arena.path("libvictim.so");
    symlink(&arena.good, &link).expect("writable");
    arena.configure("config.toml", "", &link, "");
    mode(&arena.path("evil"), 0o777);
    all += arena.race("a link", || retarget(&link, [&arena.evil, &arena.good]));

    let arena = Arena::new("", "");
    let link = arena.path("folder");
    symlink(arena.path("plugins"), &link).expect("writable");
    arena.configure("config.toml", "", &link.join("libvictim.so"), "");
    mode(&arena.path("evil"), 0o777);
    all +=
        arena.race("a link to a folder", || retarget(&link, [&arena.path("evil"), &arena.path("plugins")]));
    super::tried("swaps of plugins that everybody may write", all);
}

#[test]
fn a_plugin_that_is_not_pinned_never_runs_in_the_place_of_one_that_is() {
    let pinned = |rest: &str| {
        let arena = Arena::new("path = [\"plugins\"]\ntrust = \"pinned\"", rest);
        arena.site.run(&["lock"]).with_code(0);
        arena
    };
    let mut all = 0;
    for rest in ["", "isolation = \"process\""] {
        let arena = pinned(rest);
        all += arena.race("a file", || exchange(&arena.good, &arena.evil));
    }

    let arena = pinned("");
    let [good, evil] = [&arena.good, &arena.evil].map(|path| fs::read(path).expect("built"));
    let open = fs::File::options().write(true).open(&arena.good).expect("ours");
    all += arena.race("its bytes", || {
        for bytes in [&evil, &good] {
            open.write_all_at(bytes, 0).and_then(|()| open.set_len(bytes.len() as u64)).expect("ours");
            // Somebody has to find it whole.
            thread::sleep(std::time::Duration::from_millis(2));
        }
    });

    let arena = pinned("");
    // The lock of others has the pin of the other plugin.
    arena.site.write("good.lock", arena.site.read("jackfield.lock"));
    exchange(&arena.good, &arena.evil);
    arena.site.run(&["lock"]).with_code(0);
    arena.site.write("evil.lock", arena.site.read("jackfield.lock"));
    mode(&arena.path("evil.lock"), 0o666);
    fs::rename(arena.path("good.lock"), arena.path("jackfield.lock")).expect("ours");
    exchange(&arena.good, &arena.evil);
    all += arena.race("the lock", || {
        exchange(&arena.path("jackfield.lock"), &arena.path("evil.lock"));
        exchange(&arena.good, &arena.evil);
    });
    super::tried("swaps of plugins that are not pinned", all);
}

#[test]
fn a_plugin_without_a_trusted_signature_never_runs_in_the_place_of_one_with_it() {
    let site = Site::new(&[]);
    let key = |name: &str| {
        let made = site.run(&["keygen", "--no-password", "--json", &format!("{name}.key")]).with_code(0);
        made.json()["public_key"].as_str().expect("text").to_owned()
    };
    let [trusted, _] = ["trusted", "other"].map(key);
    let arena = Arena::new(&format!("trust = \"signed\"\nkeys = [{trusted:?}]"), "");
    for (name, plugin) in [("trusted", &arena.good), ("other", &arena.evil)] {
        let (key, plugin) = (format!("{name}.key"), plugin.to_str().expect("UTF-8"));
        site.run(&["sign", "--key", &key, plugin]).with_code(0);
    }
    let mut all = arena.race("the file", || exchange(&arena.good, &arena.evil));
    let signature = |of: &Path| of.with_extension("so.minisig");
    all += arena.race("file and signature", || {
        exchange(&arena.good, &arena.evil);
        exchange(&signature(&arena.good), &signature(&arena.evil));
    });
    super::tried("swaps of plugins without a trusted signature", all);
}

#[test]
fn a_configuration_that_everybody_may_write_never_chooses_the_plugin() {
    let arena = Arena::new("", "");
    arena.configure("evil.toml", "trust = \"any\"", &arena.evil, "");
    mode(&arena.path("evil.toml"), 0o666);
    let all = arena.race("it", || exchange(&arena.path("config.toml"), &arena.path("evil.toml")));
    super::tried("swaps of a configuration", all);
}

#[test]
fn a_plugin_that_comes_and_goes_is_waited_for_by_nobody() {
    let arena = Arena::new("", "");
    let fifo = arena.path("evil/fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("writable");
    let mut all = arena.race("a pipe", || exchange(&arena.good, &fifo));

    let arena = Arena::new("", "");
    let gone = arena.path("plugins/gone");
    all += arena.race("nothing", || {
        fs::rename(&arena.good, &gone).expect("ours");
        fs::rename(&gone, &arena.good).expect("ours");
    });

    let arena = Arena::new("", "");
    fs::create_dir(arena.path("evil/folder")).expect("writable");
    all += arena.race("a folder", || exchange(&arena.good, &arena.path("evil/folder")));
    super::tried("swaps of a plugin for what is none", all);
}
