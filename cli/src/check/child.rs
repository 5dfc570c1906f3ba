//! The child: it reads its task from one pipe, runs that check, and writes the finding to another pipe.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    thread,
};

use jackfield_loader::{
    Job,
    conformance::{Made, begin, flush_output, late_uses, log_breaches},
    reexec::Inherited,
};

use super::{
    checks::{CHECKS, EXIT, LEFTOVERS},
    harness::{CheckError, ChildReport, Harness, Task, fail},
    lateness, left,
};

/// The job of such a child.
pub(crate) const JOB: Job = Job { name: NAME, run };

pub(super) const NAME: &str = "check";

/// The exit code of a child that could not read its task or write its finding: `EX_IOERR` of `sysexits.h`.
const NO_TASK: i32 = 74;

fn run(inherited: Inherited) -> i32 {
    let mut files = inherited.files.into_iter();
    let (Some(task), Some(answer)) = (files.next(), files.next()) else {
        return NO_TASK;
    };
    begin();
    perform(File::from(task), File::from(answer)).unwrap_or(NO_TASK)
}

fn perform(task: File, mut answer: File) -> Option<i32> {
    let mut task_pipe = BufReader::new(task);
    let mut text = String::new();
    task_pipe.read_line(&mut text).ok()?;
    let task: Task = serde_json::from_str(&text).ok()?;
    end_with_parent(task_pipe).ok()?;
    let check = CHECKS.iter().find(|check| check.name == task.check)?;
    let (exit_code, folder) = (task.exit_code, task.folder.clone());
    lateness::start().ok()?;
    // It begins before the plugin is loaded, and after the kit's own threads have begun.
    let made = (check.name == LEFTOVERS).then(Made::watch).and_then(Result::ok);
    let checked = Harness::load(task, made).and_then(|harness| {
        let found = (check.run)(&harness)?;
        no_late_use()?;
        valid_records().map(|()| found)
    });
    // What the plugin has printed counts, however little it is.
    flush_output();
    let files = if check.name == EXIT { left::files(&folder) } else { Vec::new() };
    let report = ChildReport { finding: checked.into(), files };
    answer.write_all(serde_json::to_string(&report).ok()?.as_bytes()).ok()?;
    if check.name == EXIT {
        drop(answer);
        std::process::exit(exit_code);
    }
    Some(0)
}

/// The plugin must not use a call that has returned, whatever is checked.
fn no_late_use() -> Result<(), CheckError> {
    match late_uses() {
        0 => Ok(()),
        count => Err(fail(
            format!("calls were used after they had returned: {count} times in all"),
            "the call and its events are borrowed until the function returns: end all work on them before",
        )),
    }
}

/// The log records of the plugin have to be valid, whatever is checked.
fn valid_records() -> Result<(), CheckError> {
    match log_breaches().first() {
        None => Ok(()),
        Some(breach) => Err(fail(
            breach,
            "a level is one of the LEVEL_ numbers, and each text of a record is UTF-8: hosts show users what they get",
        )),
    }
}

/// Ends this process when its parent has ended, which closes the other end of the pipe. Ctrl-C reaches only
/// the parent, so without this a plugin that hangs would stay.
fn end_with_parent(mut task_pipe: BufReader<File>) -> io::Result<()> {
    let wait = move || {
        let _ = io::copy(&mut task_pipe, &mut io::sink());
        jackfield_loader::exit(NO_TASK)
    };
    thread::Builder::new().name("check-parent".to_owned()).spawn(wait).map(drop)
}
