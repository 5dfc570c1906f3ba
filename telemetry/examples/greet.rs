//! A tool with telemetry: two commands of its own, and those by which its user rules over what is collected.
//!
//! ```sh
//! cargo run -p jackfield --features clap --example greet -- hello --shout World
//! cargo run -p jackfield --features clap --example greet -- telemetry status
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jackfield::{CommandScope, EventKind, Telemetry, TerminalPrompt, commands::TelemetryCommand};

/// Greets people.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says hello
    Hello {
        /// Whom to greet
        name: String,
        /// Loudly
        #[arg(long)]
        shout: bool,
        /// With respect
        #[arg(long)]
        politely: bool,
    },
    /// Adds numbers
    Add {
        /// What to add
        numbers: Vec<String>,
    },
    /// What is collected, and whether
    #[command(subcommand)]
    Telemetry(TelemetryCommand),
}

fn main() -> ExitCode {
    jackfield::init_with([jackfield_http::PLUGIN]);
    let cli = Cli::parse();
    // Name and version are all that is needed. Where events go is for the configuration to say, or this default, to which
    // the plugin that is built in delivers.
    let telemetry = Telemetry::builder("greet", env!("CARGO_PKG_VERSION"))
        .endpoint("https://telemetry.greet.example/v1/events")
        .metadata("channel", "stable")
        // Arguments and error messages too, which the question on the first run, `enable` and `status` then say.
        .extended_collection(true)
        .help("Questions: privacy@greet.example.")
        .build();
    if let Command::Telemetry(command) = &cli.command {
        return command.run(&telemetry);
    }
    // Asks once, on a terminal only; whatever comes of it is no reason not to greet.
    if let Err(error) = telemetry.first_run(&mut TerminalPrompt) {
        eprintln!("greet: {error}");
    }
    let code = match cli.command {
        Command::Hello { name, shout, politely } => {
            let scope = telemetry.command("hello");
            let greeting = format!("Hello, {}{name}!", if politely { "dear " } else { "" });
            if politely {
                telemetry.track(EventKind::FEATURE_USED, "politeness", &[]);
            }
            if shout {
                telemetry.track(EventKind::FEATURE_USED, "shout", &[]);
            }
            println!("{}", if shout { greeting.to_uppercase() } else { greeting });
            end(scope, Ok(()))
        }
        Command::Add { numbers } => {
            let mut scope = telemetry.command("add");
            scope.add_metadata("count", numbers.len().to_string());
            end(scope, add(&numbers))
        }
        Command::Telemetry(_) => ExitCode::SUCCESS,
    };
    // Nothing is waited for: what was recorded is delivered by a child process, which `init_with` has made possible.
    telemetry.close();
    code
}

fn add(numbers: &[String]) -> Result<(), String> {
    let parse = |text: &String| text.parse::<i64>().map_err(|error| format!("{text:?}: {error}"));
    let numbers: Vec<i64> = numbers.iter().map(parse).collect::<Result<_, _>>()?;
    println!("{}", numbers.iter().sum::<i64>());
    Ok(())
}

/// Ends the command: says what went wrong, to the user and to telemetry.
fn end(mut scope: CommandScope, result: Result<(), String>) -> ExitCode {
    let code = u8::from(result.is_err());
    if let Err(message) = result {
        eprintln!("greet: {message}");
        scope.set_error(message);
    }
    scope.finish(code);
    ExitCode::from(code)
}
