//! Ends servers when this process ends, however it ends.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// A shell that waits for the end of its input, which is the end of this process at the latest, and then kills the process
/// groups that it was told and removes a folder.
pub(crate) struct Leash {
    input: Mutex<ChildStdin>,
    _shell: Child,
}

const SHELL: &str = r#"
groups=" "
while read -r what group; do
    case $what in
    add) groups="$groups$group " ;;
    remove) groups=${groups%% "$group" *}" "${groups#* "$group" } ;;
    esac
done
for group in $groups; do kill -9 "-$group"; done
for try in 1 2 3 4 5; do rm -rf "$0" && exit; sleep 0.2; done
"#;

impl Leash {
    /// A leash that removes `folder` in the end.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SHELL])
            .arg(folder)
            // What interrupts the tests shall not interrupt this.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let input = Mutex::new(shell.stdin.take().expect("piped"));
        Self { input, _shell: shell }
    }

    fn say(&self, what: &str, child: &Child) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(input, "{what} {}", child.id()).expect("the shell lives");
    }

    /// Starts a process as the leader of a group that is on the leash.
    pub(crate) fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        let child = command.process_group(0).spawn()?;
        self.say("add", &child);
        Ok(child)
    }

    /// Kills a process and its group, and waits for the process.
    pub(crate) fn kill(&self, child: &mut Child) {
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        child.wait().expect("a child");
        self.say("remove", child);
    }
}
