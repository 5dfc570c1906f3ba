//! The parent: it starts a child for each check, and judges how the child ended.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write as _, pipe},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use jackfield_loader::{
    Inspection, Program, in_prose,
    plugin_api::metadata::CAPABILITY_STDOUT,
    reexec::{Child, Ended, OwnedHandle, Spawn, adopt_orphans, kill_descendants, processes_below},
};

use super::{
    checks::{
        CHECKS, Check, EXIT, IN_FOLDER, LENT_MEMORY, LOAD, OPEN, PREVIEW, READ_ONLY, STDOUT, VIEW_ENDS,
        WITH_PLATFORM,
        metadata::{self, FileReport},
    },
    child::NAME,
    child_output::{KEPT, Output, PipeReader},
    fake_platform,
    harness::{CheckError, ChildReport, Finding, OWN_PROCESS, Task, Verdict, fail, skip},
    left,
    options::CheckArgs,
    report::Report,
};

/// A request to end the checks early, and the child that it ends.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<Mutex<(bool, Option<Arc<Child>>)>>);

impl Stop {
    fn lock(&self) -> MutexGuard<'_, (bool, Option<Arc<Child>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_set(&self) -> bool {
        self.lock().0
    }

    pub(super) fn set(&self) {
        let mut state = self.lock();
        state.0 = true;
        if let Some(child) = &state.1 {
            child.kill();
        }
    }

    /// Sets the child that runs. It ends at once if the request has come before.
    fn running(&self, child: Option<&Arc<Child>>) {
        let mut state = self.lock();
        state.1 = child.cloned();
        if let (true, Some(child)) = (state.0, &state.1) {
            child.kill();
        }
    }
}

/// Runs the checks of a file, until `stop` is set. `bar` shows the one that runs.
pub(super) fn all(args: &CheckArgs, config: &str, stop: &Stop, bar: &ProgressBar) -> Report {
    // A daemon that a plugin leaves becomes a child of this process, which kills it.
    adopt_orphans();
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let FileReport { plugin, own_process, findings } = metadata::check_file(args);
    // A plugin with a wrong schema can be loaded.
    let keeps_from_loading =
        |name: &str, finding: &Finding| name != "schema" && finding.verdict == Verdict::Fail;
    let loadable = !findings.iter().any(|(name, finding)| keeps_from_loading(name, finding));
    let mut report = Report::new(&args.file, plugin, own_process);
    for (name, finding) in findings {
        if wanted(name) || keeps_from_loading(name, &finding) {
            report.push(name, finding, Duration::ZERO);
        }
    }
    // An earlier check that has failed is a reason why no check, or no check that needs an instance, can run.
    const UNLOADABLE: &str = "the plugin can't be loaded, see above";
    let (mut unloadable, mut unopenable) = ((!loadable).then_some(UNLOADABLE), None);
    let (mut printed, mut has_run) = (Vec::new(), false);
    for check in &CHECKS {
        bar.inc(1);
        bar.set_message(check.name);
        let stage = check.name == LOAD || check.name == OPEN;
        let needed = stage && unloadable.is_none();
        if stop.is_set() {
            break;
        }
        if !wanted(check.name) && !needed {
            continue;
        }
        let (finding, took) = if let Some(why) = unloadable.or(unopenable.filter(|_| check.needs_open)) {
            (skip(why).into(), Duration::ZERO)
        } else if own_process && check.of_tool {
            (skip(OWN_PROCESS).into(), Duration::ZERO)
        } else {
            let start = Instant::now();
            let (finding, output) = one(check, args, own_process, config, stop);
            has_run = true;
            if !output.is_empty() {
                printed.push((check.name, output));
            }
            (finding, start.elapsed())
        };
        if stage && matches!(finding.verdict, Verdict::Fail | Verdict::Refused) {
            match check.name {
                LOAD => unloadable = Some(UNLOADABLE),
                OPEN => unopenable = Some("no instance can be opened, see above"),
                _ => {}
            }
        }
        // A stage that was not requested is reported if it has failed, because then nothing else is done.
        if wanted(check.name) || matches!(finding.verdict, Verdict::Fail | Verdict::Refused) {
            report.push(check.name, finding, took);
        }
    }
    if wanted(STDOUT) {
        report.push(STDOUT, stdout(&printed, has_run, own_process, &args.file), Duration::ZERO);
    }
    report
}

/// Judges the output of the children, which have to print nothing.
fn stdout(printed: &[(&'static str, Output)], has_run: bool, own_process: bool, file: &Path) -> Finding {
    let is_stdout = |it: Inspection| it.metadata.requires.iter().any(|it| it == CAPABILITY_STDOUT);
    let bytes: usize = printed.iter().map(|(_, output)| output.bytes).sum();
    Finding::from(match printed {
        _ if !has_run => Err(skip("no check has run the plugin")),
        [] => Ok("nothing was printed".to_owned()),
        _ if own_process => Err(skip(OWN_PROCESS)),
        _ if jackfield_loader::inspect(file).is_ok_and(is_stdout) => {
            Err(skip(format!("{bytes} bytes were printed: that is the purpose of the plugin")))
        }
        [(name, first), ..] => Err(fail(
            format!("{bytes} bytes were printed, first by the check `{name}`: {:?}", first.start(60)),
            "standard output belongs to the tool: log through the host's services; a backend whose purpose is standard output says so: `requires` \"stdout\" in its metadata",
        )),
    })
}

/// Largest size of an answer, in bytes.
const ANSWER: usize = 1 << 20;

/// Whether a forbidden access to memory has ended a child.
fn has_touched_memory(ended: Option<Ended>) -> bool {
    const BUS: i32 = if cfg!(target_os = "linux") { 7 } else { 10 };
    const SEGV: i32 = 11;
    const ACCESS_VIOLATION: u32 = 0xC000_0005;
    matches!(ended, Some(Ended::Signal(SEGV | BUS) | Ended::Exception(ACCESS_VIOLATION)))
}

/// The variables with the folder of temporary files.
const TEMPORARY: &[&str] = if cfg!(windows) { &["TEMP", "TMP"] } else { &["TMPDIR"] };

/// Runs one check in a child.
fn one(check: &Check, args: &CheckArgs, own_process: bool, config: &str, stop: &Stop) -> (Finding, Output) {
    match start(check, args, own_process, config, stop) {
        Ok((mut finding, output)) => {
            if check.name == PREVIEW && !own_process && !output.is_empty() && finding.verdict == Verdict::Pass
            {
                let found = format!("{} bytes went to standard output: {:?}", output.bytes, output.start(60));
                finding = fail(found, "a preview shows the requests of `send`, and sends nothing").into();
            }
            (finding, output)
        }
        Err(error) => {
            let advice = "a check needs a child process";
            (fail(format!("no child could be started: {error}"), advice).into(), Output::default())
        }
    }
}

fn start(
    check: &Check,
    args: &CheckArgs,
    own_process: bool,
    config: &str,
    stop: &Stop,
) -> io::Result<(Finding, Output)> {
    let limit = args.limit;
    // What a plugin ends the process with would be 0, or a number of its own.
    let exit_code = if check.name == EXIT { 100 + (std::process::id() % 20).cast_signed() } else { 0 };
    let folder = tempfile::Builder::new().prefix("jackfield-check-").tempdir()?;
    let platform = |start: fn() -> Result<SocketAddr, CheckError>| {
        WITH_PLATFORM.contains(&check.name).then(start).and_then(Result::ok)
    };
    let task = Task {
        check: check.name.to_owned(),
        file: std::path::absolute(&args.file)?,
        config: config.to_owned(),
        own_process,
        endpoint: args.endpoint.clone(),
        kept_threads: args.kept_threads,
        cycles: args.cycles,
        // The rest of the limit is for the end of the check and for its answer.
        budget_s: (limit * 4 / 5).as_secs(),
        answering: platform(fake_platform::start_answering),
        slow: platform(fake_platform::start_slow),
        exit_code,
        folder: folder.path().to_owned(),
    };
    let mut task = serde_json::to_vec(&task)?;
    task.push(b'\n');
    let ((task_reader, mut task_writer), (answer_reader, answer_writer)) = (pipe()?, pipe()?);
    let ((output_reader, output_writer), (error_reader, error_writer)) = (pipe()?, pipe()?);
    let mut spawn = Spawn::new(Program::Own, NAME).title(format!("check {}", check.name));
    if IN_FOLDER.contains(&check.name) {
        let is_temporary =
            |name: &OsString| TEMPORARY.iter().any(|variable| name.eq_ignore_ascii_case(variable));
        let others = env::vars_os().filter(|(name, _)| !is_temporary(name));
        let ours = TEMPORARY.iter().map(|name| (name.into(), folder.path().into()));
        spawn = spawn.environment(others.chain(ours).collect());
    }
    let child = spawn
        .files([OwnedHandle::from(task_reader), answer_writer.into()].into())
        .stdout(File::from(OwnedHandle::from(output_writer)))
        .stderr(File::from(OwnedHandle::from(error_writer)))
        .start()?;
    let child = Arc::new(child);
    stop.running(Some(&child));
    let answer = PipeReader::start(answer_reader, ANSWER)?;
    let (output, errors) = (PipeReader::start(output_reader, KEPT)?, PipeReader::start(error_reader, KEPT)?);
    // If the child has already ended, this fails, and the end is reported below. The pipe stays open, because
    // the child ends when it is closed.
    let _ = task_writer.write_all(&task);

    let ended = child.wait(limit);
    let processes = match ended {
        Some(_) if check.name == EXIT => left::processes(processes_below, false),
        _ => Vec::new(),
    };
    child.kill();
    kill_descendants();
    stop.running(None);
    drop(task_writer);
    let (answer, output, errors) = (answer.finish(), output.finish(), errors.finish());
    let finding = match (ended, serde_json::from_slice::<ChildReport>(&answer.first)) {
        // The check has failed, however the child ended.
        (_, Ok(report)) if report.finding.verdict == Verdict::Fail => report.finding,
        (Some(Ended::Code(code)), Ok(_)) if code == exit_code && !processes.is_empty() => fail(
            format!("processes are left by the end of the process: {}", in_prose(&processes)),
            "a plugin starts no process that outlives the tool, also not in a destructor or a function registered with `atexit`",
        )
        .into(),
        (Some(Ended::Code(code)), Ok(report)) if code == exit_code => {
            let mut files = if check.name == EXIT { left::files(folder.path()) } else { Vec::new() };
            files.retain(|file| !report.files.contains(file));
            let options = serde_json::from_str(config).unwrap_or_default();
            match left::files_in_words(&files, &options, folder.path()) {
                None => report.finding,
                Some(found) => fail(
                    format!("by the end of the process {found}"),
                    "a destructor of the library, or a function registered with `atexit`, makes no file: the tool has ended",
                )
                .into(),
            }
        }
        (None, Ok(_)) if check.name == EXIT => fail(
            format!("the process does not end: it is still running after {} s", limit.as_secs()),
            "a destructor of the library, or a function registered with `atexit`, waits: it must not wait",
        )
        .into(),
        (Some(Ended::Code(_)), Ok(_)) if check.name == EXIT => fail(
            "the process ended before its `main` and the destructors of other libraries had: something called `_exit`",
            "a destructor of the library, or a function registered with `atexit`, must return",
        )
        .into(),
        (ended, _) if has_touched_memory(ended) && check.name == READ_ONLY => fail(
            "crashed where the host's tables, the configuration, the batch, its events and the call can't be written",
            "they belong to the host, and other threads read them: copy what you change",
        )
        .into(),
        (ended, _) if has_touched_memory(ended) && check.name == VIEW_ENDS => fail(
            "crashed where memory ends behind each text and list",
            "a view has a length, and no character ends its text: read no more than `len` bytes or items",
        )
        .into(),
        (ended, _) if has_touched_memory(ended) && check.name == LENT_MEMORY => fail(
            "crashed where the configuration, the batch, its events and a call can't be read after the call has returned",
            "they are borrowed until the function returns: copy what a later call, or a thread, needs",
        )
        .into(),
        (ended, _) => broken(ended, limit, &errors).into(),
    };
    Ok((finding, output))
}

/// The failure of a child that did not answer.
fn broken(ended: Option<Ended>, limit: Duration, errors: &Output) -> CheckError {
    let said = errors.end();
    let said = if said.is_empty() { said } else { format!("; its last line: {said}") };
    let crashed = |by: String| {
        fail(
            format!("crashed by {by}"),
            "run the plugin's own tests under a debugger or a sanitizer; a panic must not leave an exported function",
        )
    };
    match ended {
        None => fail(
            format!("hung: no end after {} s{said}", limit.as_secs()),
            "every function returns by its call's timeout, and `free` at once: look where the plugin waits",
        ),
        // The words of a runtime of C++ or Rust that finds a foreign exception.
        Some(Ended::Signal(_) | Ended::Exception(_))
            if ["foreign exception", "terminate called"].iter().any(|it| said.contains(it)) =>
        {
            fail(
                "an exception left an exported function, and ended the process",
                "catch it at the boundary: in C++ the macro `JACKFIELD_CATCH` of jackfield.h makes it the answer of the call",
            )
        }
        Some(Ended::Signal(signal)) => crashed(format!("signal {signal}{said}")),
        Some(Ended::Exception(number)) => crashed(format!("the exception {number:#010X}{said}")),
        Some(Ended::Code(code)) => fail(
            format!("the process ended with exit code {code}{said}"),
            "no function of a plugin may end the process",
        ),
        Some(_) => fail(format!("the child ended in an unknown way{said}"), "run it again"),
    }
}
