//! The processes that this one is left with.

use std::{fs, path::Path, process};

use jackfield_test_support::wait_for;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

/// From here on the children of a tool that is gone are this process's, as they would be those of init: none is missed,
/// however soon it ends.
pub(crate) fn adopt_orphans() {
    set_child_subreaper(Some(Pid::from_raw(1).expect("not 0"))).expect("Linux has it since 3.4");
}

/// A process, as `/proc` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) is_zombie: bool,
    /// In bytes.
    pub(crate) resident: u64,
}

impl Process {
    /// A file of its folder, empty when it is gone.
    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        fs::read(format!("/proc/{}/{name}", self.id)).unwrap_or_default()
    }

    /// The fields of its `stat` from its state on, which is the third by the kernel's numbers; none when it is gone.
    pub(crate) fn stat(&self) -> Vec<String> {
        let stat = String::from_utf8_lossy(&self.file("stat")).into_owned();
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// Whether it delivers: whether it has the lock that it was handed.
    pub(crate) fn has_the_turn(&self) -> bool {
        String::from_utf8_lossy(&self.file("fdinfo/4")).contains("FLOCK")
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id.cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it is ours");
    }
}

/// The children of a process.
pub(crate) fn children_of(parent: u32) -> Vec<Process> {
    all().filter(|(of, _)| *of == parent).map(|(_, process)| process).collect()
}

/// Every process that delivers for tools with this home.
pub(crate) fn delivering_for(home: &Path) -> Vec<Process> {
    let home = home.to_str().expect("text").trim_end_matches('/').as_bytes();
    let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part == word);
    all()
        .map(|(_, process)| process)
        .filter(|process| {
            has(&process.file("cmdline"), b"jackfield:deliver") && has(&process.file("environ"), home)
        })
        .collect()
}

/// Every process, with its parent's number.
fn all() -> impl Iterator<Item = (u32, Process)> {
    const PAGE: u64 = 4096;
    let numbers = fs::read_dir("/proc").expect("Linux").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(|id| {
        let mut process = Process { id, is_zombie: false, resident: 0 };
        let stat = process.stat();
        // Empty when it is gone.
        let [state, parent] = stat.get(..2)? else { return None };
        process.is_zombie = state == "Z";
        process.resident = stat[21].parse::<u64>().ok()? * PAGE;
        Some((parent.parse().ok()?, process))
    })
}

/// What tools that are gone have left to us, the dead included. No tool may run.
pub(crate) fn left_behind() -> Vec<Process> {
    children_of(process::id())
}

/// Waits until none lives and buries the dead, as init does. Gives how many there were.
pub(crate) fn wait_for_the_end() -> usize {
    let mut buried = 0;
    let bury = || {
        let all = left_behind();
        for dead in all.iter().filter(|process| process.is_zombie) {
            let pid = Pid::from_raw(dead.id.cast_signed());
            buried += usize::from(waitpid(pid, WaitOptions::NOHANG).is_ok_and(|ended| ended.is_some()));
        }
        all
    };
    wait_for("no process is left", bury, Vec::is_empty);
    buried
}

/// What a test that failed has left.
pub(crate) fn end_all() {
    left_behind().iter().filter(|process| !process.is_zombie).for_each(Process::kill);
    let _ = wait_for_the_end();
}
