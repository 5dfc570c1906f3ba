//! The parent: it starts a child for each check, and judges how the child ended.

#![cfg_attr(not(unix), allow(dead_code, unused_imports, reason = "there are no such children"))]

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write as _, pipe},
    path::Path,
    time::{Duration, Instant},
};

use jackfield_loader::{
    Inspection, Program,
    plugin_api::metadata::CAPABILITY_STDOUT,
    reexec::{Ended, Spawn, adopt_orphans, kill_descendants},
};

use super::{
    checks::{
        CHECKS, Check, EXIT, LEFTOVERS, LOAD, OPEN, PREVIEW, READ_ONLY, STDOUT,
        metadata::{self, FileReport},
    },
    child::NAME,
    child_output::{KEPT, Output, PipeReader},
    harness::{CheckError, Finding, OWN_PROCESS, Task, Verdict, fail, skip},
    options::CheckArgs,
    report::Report,
};

/// Runs the checks of a file.
pub(super) fn all(args: &CheckArgs, config: &str) -> Report {
    // A daemon that a plugin leaves becomes a child of this process, which kills it.
    adopt_orphans();
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let FileReport { plugin, own_process, findings } = metadata::check_file(args);
    let loadable =
        findings.iter().all(|(name, finding)| *name == "schema" || finding.verdict != Verdict::Fail);
    let mut report = Report::new(&args.file, plugin, own_process);
    for (name, finding) in findings {
        if wanted(name) {
            report.push(name, finding, Duration::ZERO);
        }
    }
    // An earlier check that has failed is a reason why no check, or no check that needs an instance, can run.
    const UNLOADABLE: &str = "the plugin can't be loaded, see above";
    let (mut unloadable, mut unopenable) = ((!loadable).then_some(UNLOADABLE), None);
    let (mut printed, mut has_run) = (Vec::new(), false);
    for check in &CHECKS {
        let stage = check.name == LOAD || check.name == OPEN;
        let needed = stage && unloadable.is_none();
        if !wanted(check.name) && !needed {
            continue;
        }
        let (finding, took) = if let Some(why) = unloadable.or(unopenable.filter(|_| check.needs_open)) {
            (skip(why).into(), Duration::ZERO)
        } else if own_process && check.of_tool {
            (skip(OWN_PROCESS).into(), Duration::ZERO)
        } else {
            let start = Instant::now();
            let (finding, output) = one(check, args, own_process, config);
            has_run = true;
            if !output.is_empty() {
                printed.push((check.name, output));
            }
            (finding, start.elapsed())
        };
        if finding.verdict == Verdict::Fail {
            match check.name {
                LOAD => unloadable = Some(UNLOADABLE),
                OPEN => unopenable = Some("no instance can be opened, see above"),
                _ => {}
            }
        }
        // A stage that was not requested is reported if it has failed, because then nothing else is done.
        if wanted(check.name) || finding.verdict == Verdict::Fail {
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

/// The numbers of the signals of a forbidden access to memory.
const BUS: i32 = if cfg!(target_os = "linux") { 7 } else { 10 };
const SEGV: i32 = 11;

/// Runs one check in a child.
fn one(check: &Check, args: &CheckArgs, own_process: bool, config: &str) -> (Finding, Output) {
    match start(check, args, own_process, config) {
        Ok((mut finding, output)) => {
            if check.name == PREVIEW && !own_process && !output.is_empty() && finding.verdict == Verdict::Pass
            {
                let found = format!("{} bytes went to standard output: {:?}", output.bytes, output.start(60));
                finding = fail(found, "a preview shows the requests of `send`, and sends nothing").into();
            }
            (finding, output)
        }
        Err(error) => {
            let advice = "a check needs a child process, which it can start only on Unix";
            (fail(format!("no child could be started: {error}"), advice).into(), Output::default())
        }
    }
}

#[cfg(unix)]
fn start(check: &Check, args: &CheckArgs, own_process: bool, config: &str) -> io::Result<(Finding, Output)> {
    use std::os::fd::OwnedFd;

    let limit = args.limit * check.patience;
    // What a plugin ends the process with would be 0, or a number of its own.
    let exit_code = if check.name == EXIT { 100 + (std::process::id() % 20).cast_signed() } else { 0 };
    let folder = tempfile::Builder::new().prefix("jackfield-check-").tempdir()?;
    let task = Task {
        check: check.name.to_owned(),
        file: std::path::absolute(&args.file)?,
        config: config.to_owned(),
        own_process,
        endpoint: args.endpoint.clone(),
        cycles: args.cycles,
        // The rest of the limit is for the end of the check and for its answer.
        budget_s: (limit * 4 / 5).as_secs(),
        exit_code,
        folder: folder.path().to_owned(),
    };
    let mut task = serde_json::to_vec(&task)?;
    task.push(b'\n');
    let ((task_reader, mut task_writer), (answer_reader, answer_writer)) = (pipe()?, pipe()?);
    let ((output_reader, output_writer), (error_reader, error_writer)) = (pipe()?, pipe()?);
    let mut spawn = Spawn::new(Program::Own, NAME).title(format!("check {}", check.name));
    if check.name == LEFTOVERS {
        let is_other = |(name, _): &(OsString, OsString)| name != "TMPDIR";
        let environment = env::vars_os().filter(is_other).chain([("TMPDIR".into(), folder.path().into())]);
        spawn = spawn.environment(environment.collect());
    }
    let child = spawn
        .files([OwnedFd::from(task_reader), answer_writer.into(), output_writer.into()].into())
        .stderr(File::from(OwnedFd::from(error_writer)))
        .start()?;
    let answer = PipeReader::start(answer_reader, ANSWER)?;
    let (output, errors) = (PipeReader::start(output_reader, KEPT)?, PipeReader::start(error_reader, KEPT)?);
    // If the child has already ended, this fails, and the end is reported below. The pipe stays open, because
    // the child ends when it is closed.
    let _ = task_writer.write_all(&task);

    let ended = child.wait(limit);
    child.kill();
    kill_descendants();
    drop(task_writer);
    let (answer, output, errors) = (answer.finish(), output.finish(), errors.finish());
    let finding = match (ended, serde_json::from_slice::<Finding>(&answer.first)) {
        (Some(Ended::Code(code)), Ok(finding)) if code == exit_code => finding,
        // The check had failed before the child ended in another way.
        (_, Ok(finding)) if finding.verdict == Verdict::Fail => finding,
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
        (Some(Ended::Signal(SEGV | BUS)), _) if check.name == READ_ONLY => fail(
            "crashed where the configuration and the events can't be written",
            "they belong to the host, and other threads read them: copy what you change",
        )
        .into(),
        (ended, _) => broken(ended, limit, &errors).into(),
    };
    Ok((finding, output))
}

#[cfg(not(unix))]
fn start(_: &Check, _: &CheckArgs, _: bool, _: &str) -> io::Result<(Finding, Output)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The failure of a child that did not answer.
fn broken(ended: Option<Ended>, limit: Duration, errors: &Output) -> CheckError {
    let said = errors.end();
    let said = if said.is_empty() { said } else { format!("; its last line: {said}") };
    match ended {
        None => fail(
            format!("hung: no end after {} s{said}", limit.as_secs()),
            "every function returns by its call's timeout, and `free` at once: look where the plugin waits",
        ),
        #[cfg(unix)]
        Some(Ended::Signal(signal)) => fail(
            format!("crashed by signal {signal}{said}"),
            "run the plugin's own tests under a debugger or a sanitizer; a panic must not leave an exported function",
        ),
        #[cfg(unix)]
        Some(Ended::Code(code)) => fail(
            format!("the process ended with exit code {code}{said}"),
            "no function of a plugin may end the process",
        ),
        Some(_) => fail(format!("the child ended in an unknown way{said}"), "run it again"),
    }
}
