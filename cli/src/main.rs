//! The command `jackfield`: sends events through plugins, which are dynamic libraries, and inspects plugins.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]
#![forbid(unsafe_code)]

mod backends;
mod check;
mod command_line;
mod config;
mod console;
mod dead_letters;
mod environment;
mod exit;
mod gzip;
mod help;
mod leftovers;
mod log;
mod new;
mod plugins;
mod problems;
mod redact;
mod retry;
mod run;
mod run_state;
mod send;
mod settings;
mod signals;
mod status;
mod status_text;
mod trust;

use jackfield::Telemetry;

use crate::{
    command_line::{Cli, Command},
    exit::{CommandError, Exit},
    plugins::{inspect, list, schema},
};

fn main() {
    jackfield_loader::signals::begin_command();
    jackfield::init_with_jobs(&[check::JOB]);
    let (Cli { common, command }, name) = command_line::parse();
    // A `SIGHUP` that comes before `run` has its handler is a request to reload.
    if !matches!(command, Command::Run(_)) {
        jackfield_loader::signals::release_hangup();
    }
    log::start();
    let telemetry = Telemetry::builder(settings::TOOL, settings::VERSION);
    let telemetry = match settings::consent_file() {
        Some(file) => telemetry.consent_file(file),
        None => telemetry,
    };
    let telemetry = telemetry.build();
    if let Command::Telemetry(command) = &command {
        jackfield_loader::exit(i32::from(command.run(&telemetry) != std::process::ExitCode::SUCCESS))
    }
    let scope = telemetry.command(name);
    let done: Result<Exit, CommandError> = match command {
        Command::Send(args) => send::run(&common, &args),
        Command::Run(args) => run::run(&common, &args),
        Command::DeadLetters(command) => dead_letters::run(&common, &command),
        Command::Retry(args) => retry::run(&args, common.json),
        Command::Status(args) => status::run(&common, &args),
        Command::Config(command) => config::run(&common, &command),
        Command::Plugins => list::run(&common),
        Command::Inspect { files } => inspect::run(&common, &files),
        Command::Lock(args) => trust::lock::run(&common, &args),
        Command::Keygen(args) => trust::keygen::run(&args, common.json),
        Command::Sign(args) => trust::sign::run(&args, common.json),
        Command::Verify(args) => trust::verify::run(&common, &args),
        Command::Schema => schema::run(&common),
        Command::Check(args) => check::run(&common, &args),
        Command::Forget(args) => backends::forget(&common, &args),
        Command::Doctor(args) => backends::doctor(&common, &args),
        Command::New(args) => new::run(&args, common.json),
        Command::Redact(args) => redact::run(&args, common.json),
        Command::Telemetry(_) => Ok(Exit::Done),
        Command::Completions { shell } => command_line::print_completions(shell),
        Command::Man { folder } => command_line::write_manual(&folder),
    };
    console::clear_bar();
    let exit = done.unwrap_or_else(|error| {
        log::error_of(error.backend(), &error);
        if common.json {
            console::print_json_error(&error);
        }
        Exit::from(&error)
    });
    // The results are written and the backends are closed. Destructors of the plugins' libraries are not run,
    // because one that hangs would keep the process alive.
    scope.finish(exit.code());
    telemetry.close();
    jackfield_loader::exit(exit.code().into())
}
