//! A reload judges anew what runs, by the trust policy as it is then.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::Value;

use super::*;

/// A service whose one backend is the plugin `file` of the folder `plugins`.
struct Judged {
    service: Service,
    isolation: &'static str,
}

impl Judged {
    /// Nothing has been delivered yet.
    fn new(watch: bool, isolation: &'static str) -> Self {
        let service = Service::watching("[[backend]]\nplugin = \"none\"\n", watch);
        fs::create_dir(service.path("plugins")).expect("writable");
        fs::set_permissions(service.path("plugins"), fs::Permissions::from_mode(0o755)).expect("ours");
        let judged = Self { service, isolation };
        judged.install(1);
        judged
    }

    fn path(&self, name: &str) -> PathBuf {
        self.service.path(name)
    }

    fn library(&self) -> PathBuf {
        self.path("plugins/libfile.so")
    }

    /// Puts the plugin in place, with bytes of its own for each number.
    fn install(&self, number: u8) {
        let new = self.path("plugins/new");
        another(&file_plugin(), &new, number);
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("ours");
        fs::rename(new, self.library()).expect("ours");
    }

    /// The configuration with these lines in `[plugins]`.
    fn configure(&self, lines: &str) {
        self.service.configure(&self.config(lines));
    }

    fn config(&self, lines: &str) -> String {
        let helper = jackfield_tests::cli();
        format!(
            "[plugins]\nhelper = {helper:?}\n{lines}\n[[backend]]\nname = \"main\"\nplugin = {:?}\n\
             isolation = \"{}\"\nconfig.path = \"HOME/events\"\n",
            self.library(),
            self.isolation
        )
    }

    fn jackfield(&self, arguments: &[&str]) -> String {
        let ran = Command::new(jackfield_tests::cli())
            .current_dir(self.service.home.path())
            .env_clear()
            .env("HOME", self.service.home.path())
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).expect("text")
    }

    /// Makes a key, signs the plugin with it, and says what `keys` has and the key's id.
    fn sign(&self, name: &str) -> [String; 2] {
        let file = format!("{name}.key");
        let made = if self.path(&file).exists() {
            Value::Null
        } else {
            serde_json::from_str(&self.jackfield(&["keygen", "--no-password", "--json", &file]))
                .expect("JSON")
        };
        self.jackfield(&["sign", "--key", &file, "plugins/libfile.so"]);
        ["public_key", "key_id"].map(|member| made[member].as_str().unwrap_or_default().to_owned())
    }

    fn lock(&self) {
        self.jackfield(&["--config", "backends.toml", "lock"]);
    }

    /// Replaces the lock by one that has another digest for each plugin.
    fn spoil_the_lock(&self) {
        let lock = fs::read_to_string(self.path("jackfield.lock")).expect("made");
        let spoilt = |line: &str| match line.starts_with("sha256") {
            true => format!("sha256 = \"{}\"\n", "0".repeat(64)),
            false => format!("{line}\n"),
        };
        put(&self.path("jackfield.lock"), &lock.lines().map(spoilt).collect::<String>());
    }

    fn arrives(&self, name: &str) {
        self.service.arrives(name, "events");
    }

    fn is_open(&self) -> bool {
        self.service.telemetry.live_backends()[0].open
    }

    /// Requires that nothing is open, that log and status say why, and that an event waits.
    fn is_closed_because(&self, expected: &str, waits: &str) {
        wait_until("its end", || !self.is_open());
        let reason = self.service.why_not("main").expect("a reason");
        let is_of_trust = reason.starts_with("verify: ") || reason.starts_with("lock ");
        assert!(is_of_trust && reason.contains(expected), "{reason}");
        let logged = logs::seen(&format!("backend main is closed, events wait for it: {reason}"));
        assert!(!logged.is_empty(), "{reason}");
        let status = self.service.telemetry.status();
        assert_eq!(status.backends[0].not_swapped, Some(reason.as_str().into()));
        let before = names(&self.path("events"));
        self.service.track(waits);
        let flushed = self.service.telemetry.flush(LONG);
        assert!(flushed.waiting.iter().any(|waiting| waiting.reason == reason), "{flushed:?}, not {reason}");
        assert_eq!(names(&self.path("events")), before, "it went on");
        assert!(!self.is_open());
        assert!(self.service.telemetry.status().events >= 1);
    }

    fn reload(&self) -> jackfield::ReloadReport {
        self.service.telemetry.reload().expect("a configuration")
    }

    /// Closes the service, and requires that each event arrived once and in order.
    fn ends_with(self, expected: &[&str]) {
        self.service.telemetry.close();
        assert_eq!(names(&self.path("events")), expected);
    }
}

fn closed() -> Vec<String> {
    vec!["main".to_owned()]
}

fn a_revoked_key_closes_what_it_has_signed(isolation: &'static str) {
    logs::collect();
    let judged = Judged::new(false, isolation);
    let [key, id] = judged.sign("a");
    let trusted = format!("trust = \"signed\"\nkeys = [{key:?}]");
    judged.configure(&trusted);
    judged.arrives("first");
    assert_eq!(judged.reload().unchanged, closed(), "nothing has changed");
    judged.configure(&format!("{trusted}\nrevoked = [{id:?}]"));
    let reloaded = judged.reload();
    assert_eq!((&reloaded.closed, reloaded.is_change()), (&closed(), true), "{reloaded:?}");
    assert!(reloaded.refused[0].1.contains(&format!("signed by key {id}, which plugins.revoked has")));
    judged.is_closed_because("plugins.revoked", "second");
    // A second one finds it closed, and does not forget why.
    let again = judged.reload();
    assert_eq!((again.closed.len(), again.refused), (0, reloaded.refused));
    judged.configure(&trusted);
    judged.reload();
    judged.arrives("third");
    assert_eq!(judged.service.why_not("main"), None);
    judged.ends_with(&["first", "second", "third"]);
}

#[test]
fn a_reload_closes_a_backend_whose_key_is_revoked() {
    a_revoked_key_closes_what_it_has_signed("thread");
}

#[cfg(target_os = "linux")]
#[test]
fn so_is_one_in_a_process_of_its_own() {
    a_revoked_key_closes_what_it_has_signed("process");
}

#[test]
fn a_reload_closes_a_backend_until_its_pin_is_right() {
    logs::collect();
    let judged = Judged::new(false, "thread");
    judged.configure("trust = \"pinned\"");
    judged.lock();
    judged.arrives("first");
    let lock = fs::read_to_string(judged.path("jackfield.lock")).expect("made");
    judged.spoil_the_lock();
    assert_eq!(judged.reload().closed, closed());
    judged.is_closed_because("expected sha256 0000", "second");
    // Without another reload: what is closed is judged with each attempt.
    put(&judged.path("jackfield.lock"), &lock);
    judged.arrives("third");
    assert_eq!(judged.service.why_not("main"), None);
    fs::remove_file(judged.path("jackfield.lock")).expect("there");
    assert_eq!(judged.reload().closed, closed());
    judged.is_closed_because("jackfield.lock", "fourth");
    put(&judged.path("jackfield.lock"), &lock);
    judged.arrives("fifth");
    judged.ends_with(&["first", "second", "third", "fourth", "fifth"]);
}

#[test]
fn an_open_plugin_is_judged_though_its_file_is_refused() {
    logs::collect();
    let judged = Judged::new(false, "thread");
    let [key, id] = judged.sign("a");
    let trusted = format!("trust = \"signed\"\nkeys = [{key:?}]");
    judged.configure(&trusted);
    judged.arrives("first");
    // Nobody has signed the new one; the old one is what it was.
    judged.install(2);
    let reloaded = judged.reload();
    assert_eq!((reloaded.closed.len(), reloaded.refused.len()), (0, 1), "{reloaded:?}");
    assert!(reloaded.refused[0].1.contains("is not a signature of this file"), "{reloaded:?}");
    judged.arrives("second");
    fs::remove_file(judged.library()).expect("there");
    assert_eq!(judged.reload().closed.len(), 0);
    judged.arrives("third");
    judged.configure(&format!("{trusted}\nrevoked = [{id:?}]"));
    let reloaded = judged.reload();
    assert_eq!(reloaded.closed, closed());
    let reason = &reloaded.refused[0].1;
    assert!(reason.starts_with("find: ") && reason.contains("the one that was open: verify: "), "{reason}");
    wait_until("its end", || !judged.is_open());
    judged.ends_with(&["first", "second", "third"]);
}

#[test]
fn a_version_by_a_new_key_replaces_a_revoked_one() {
    let judged = Judged::new(false, "thread");
    let [old, id] = judged.sign("a");
    judged.configure(&format!("trust = \"signed\"\nkeys = [{old:?}]"));
    judged.arrives("first");
    judged.install(3);
    let [new, _] = judged.sign("b");
    judged.configure(&format!("trust = \"signed\"\nkeys = [{new:?}]\nrevoked = [{id:?}]"));
    let reloaded = judged.reload();
    assert_eq!((reloaded.swapped, reloaded.closed.len()), (closed(), 0));
    judged.arrives("second");
    judged.ends_with(&["first", "second"]);
}

#[test]
fn a_broken_configuration_keeps_no_backend_that_the_lock_refuses() {
    logs::collect();
    let judged = Judged::new(false, "thread");
    judged.configure("trust = \"pinned\"");
    judged.lock();
    judged.arrives("first");
    judged.service.configure("[[backend]\n");
    judged.service.telemetry.reload().expect_err("no configuration");
    judged.arrives("second");
    judged.spoil_the_lock();
    let error = judged.service.telemetry.reload().expect_err("no configuration").to_string();
    assert!(error.ends_with("; but closed, since it is not trusted any more: main"), "{error}");
    judged.is_closed_because("expected sha256 0000", "third");
    judged.ends_with(&["first", "second"]);
}

#[test]
fn changes_of_the_lock_and_of_signatures_are_noticed() {
    logs::collect();
    let judged = Judged::new(true, "thread");
    judged.configure("trust = \"pinned\"");
    judged.lock();
    judged.arrives("first");
    let lock = fs::read_to_string(judged.path("jackfield.lock")).expect("made");
    judged.spoil_the_lock();
    judged.is_closed_because("expected sha256 0000", "second");
    put(&judged.path("jackfield.lock"), &lock);
    judged.arrives("third");
    let [key, _] = judged.sign("a");
    judged.configure(&format!("trust = \"signed\"\nkeys = [{key:?}]"));
    wait_until("the swap", || {
        let last = judged.service.telemetry.last_reload().and_then(|last| last.outcome.ok());
        last.is_some_and(|last| last.swapped == closed())
    });
    judged.arrives("fourth");
    fs::remove_file(judged.path("plugins/libfile.so.minisig")).expect("there");
    judged.is_closed_because("no signature", "fifth");
    judged.sign("a");
    judged.arrives("sixth");
    judged.ends_with(&["first", "second", "third", "fourth", "fifth", "sixth"]);
}

#[test]
fn the_target_of_a_linked_lock_is_watched() {
    logs::collect();
    let judged = Judged::new(true, "thread");
    judged.configure("trust = \"pinned\"");
    judged.lock();
    fs::create_dir(judged.path("elsewhere")).expect("writable");
    let target = judged.path("elsewhere/the.lock");
    fs::rename(judged.path("jackfield.lock"), &target).expect("ours");
    std::os::unix::fs::symlink(&target, judged.path("jackfield.lock")).expect("ours");
    judged.arrives("first");
    let lock = fs::read_to_string(&target).expect("there");
    put(&target, "# empty\n");
    judged.is_closed_because("is not in", "second");
    put(&target, &lock);
    judged.arrives("third");
    judged.ends_with(&["first", "second", "third"]);
}
