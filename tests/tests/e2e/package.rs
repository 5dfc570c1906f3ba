//! The Debian package, in a scratch root: this machine below a layer that is thrown away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use jackfield_tests::{without_own_package, workspace};

use crate::site::events;

/// Makes the package of the profile `dev`, and gives its path.
pub(crate) fn package() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> PathBuf {
    let mut command = Command::new(workspace().join("scripts/package"));
    without_own_package(&mut command);
    let out = command.args(["--profile", "dev"]).stderr(Stdio::inherit()).output().expect("a shell");
    assert!(out.status.success(), "scripts/package failed, see above");
    let path = String::from_utf8(out.stdout).expect("UTF-8");
    PathBuf::from(path.lines().last().expect("a path"))
}

/// A shell's script as root of a scratch root with a network of its own. `prepare` is run before by a shell in the folder
/// that becomes the root. All is gone when the script has ended.
pub(crate) fn scratch_root(prepare: &str, script: &str) -> Command {
    // What is mounted is seen by these processes alone.
    let outer = format!(
        "mount -t tmpfs -o mode=755 tmpfs /mnt
         mkdir /mnt/upper /mnt/work /mnt/root
         mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
         cd /mnt/root
         mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp && mount -t proc proc proc && mount --bind /dev dev
         ip link set lo up
         {prepare}
         exec chroot . sh -euc \"$0\""
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", &outer, script])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Runs a shell's script as root of the scratch root, which has the package as `/jackfield.deb`.
fn in_scratch_root(package: &Path, script: &str) -> String {
    let mut command = scratch_root(&format!("cp {} jackfield.deb", package.display()), script);
    let out = command.output().expect("unshare runs");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "as root, with the right to mount: {said}");
    said
}

#[test]
fn the_debian_package_is_installed_upgraded_and_purged() {
    let package = package();
    let events = events(0..3).replace('\'', "");
    let script = format!(
        "dpkg --install /jackfield.deb
         echo == installed
         jackfield --version
         stat --format '%n %U:%G %a' /etc/jackfield/config.toml /run/jackfield/events /var/lib/jackfield
         ls /usr/lib/jackfield
         man_pages=$(ls /usr/share/man/man1 | grep -c '^jackfield')
         echo pages $man_pages
         test -s /usr/share/doc/jackfield/docs/operating/reload.md
         test -s /usr/share/bash-completion/completions/jackfield
         test -s /lib/systemd/system/jackfield.service || test -s /usr/lib/systemd/system/jackfield.service
         jackfield config check
         as_user() {{ exec setpriv --reuid jackfield --regid jackfield --clear-groups env HOME=/var/lib/jackfield \"$@\"; }}
         as_user jackfield run --state /var/lib/jackfield /run/jackfield/events 2> /said &
         run=$!
         printf '%s' '{events}' > /run/jackfield/events
         until [ -s /var/lib/jackfield/events.jsonl ] && [ $(wc -l < /var/lib/jackfield/events.jsonl) = 3 ]; do sleep 0.05; done
         kill $run
         wait $run
         echo == ran
         echo '# changed' >> /etc/jackfield/config.toml
         dpkg --install /jackfield.deb
         tail -n 1 /etc/jackfield/config.toml
         wc -l < /var/lib/jackfield/events.jsonl
         stat --format '%n %U:%G %a' /etc/jackfield/config.toml
         echo == upgraded
         dpkg --remove jackfield
         for kept in /etc/jackfield/config.toml /var/lib/jackfield/events.jsonl; do
             if ! [ -e $kept ]; then echo not kept: $kept; fi
         done
         dpkg --purge jackfield
         for left in /etc/jackfield /var/lib/jackfield /run/jackfield /usr/lib/jackfield /usr/bin/jackfield; do
             if [ -e $left ]; then echo left behind: $left; fi
         done
         echo == purged"
    );
    let said = in_scratch_root(&package, &script);
    let part = |from: &str, to: &str| {
        let (_, rest) = said.split_once(from).unwrap_or_else(|| panic!("{from}: {said}"));
        rest.split_once(to).unwrap_or_else(|| panic!("{to}: {said}")).0
    };
    let installed = part("== installed\n", "== ran");
    assert!(installed.contains("/etc/jackfield/config.toml root:jackfield 640"), "{installed}");
    assert!(installed.contains("/run/jackfield/events jackfield:jackfield 620"), "{installed}");
    assert!(installed.contains("/var/lib/jackfield jackfield:jackfield 700"), "{installed}");
    assert!(installed.contains("config.toml: 1 backend, no mistake found"), "{installed}");
    for plugin in ["stdout", "file", "http", "otlp", "rabbitmq", "datadog", "posthog", "syslog"] {
        assert!(installed.contains(&format!("lib{plugin}.so\n")), "{installed}");
    }
    let upgraded = part("== ran\n", "== upgraded");
    assert!(upgraded.contains("# changed\n3\n"), "{upgraded}");
    assert!(upgraded.contains("/etc/jackfield/config.toml root:jackfield 640"), "{upgraded}");
    let purged = part("== upgraded\n", "== purged");
    assert!(!purged.contains("left behind") && !purged.contains("not kept"), "{said}");
}

#[test]
fn the_containerfile_copies_what_is_there_and_runs_as_a_user() {
    let text = fs::read_to_string(workspace().join("packaging/Containerfile")).expect("a file");
    assert!(text.lines().any(|line| line.starts_with("USER ") && line != "USER root"), "{text}");
    let copied =
        text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    for line in copied {
        let mut words: Vec<_> = line.split_whitespace().collect();
        words.pop();
        for file in words {
            assert!(workspace().join(file).exists(), "{line}");
        }
    }
}
