//! The commands by which a user rules over telemetry, to be mounted in a tool's own command line.
//!
//! ```
//! use clap::Parser;
//! use jackfield::{Telemetry, commands::TelemetryCommand};
//!
//! #[derive(Parser)]
//! enum Cli {
//!     /// Says hello.
//!     Hello,
//!     /// What is collected, and whether.
//!     #[command(subcommand)]
//!     Telemetry(TelemetryCommand),
//! }
//!
//! let telemetry = Telemetry::builder("mytool", "1.4.0").build();
//! let _code = match Cli::parse_from(["mytool", "hello"]) {
//!     Cli::Hello => std::process::ExitCode::SUCCESS,
//!     Cli::Telemetry(command) => command.run(&telemetry),
//! };
//! ```
//!
//! # Exit codes
//! 0: what was asked for is so now. 1: it is not. Either the command failed, with the reason on standard error; or the answer
//! itself says what is in the way: `enable` has stored the consent, but an opt-out such as `DO_NOT_TRACK` keeps telemetry off;
//! `disable` has stored the opt-out, but it is forced on; a backend has failed to take a request of `reset`; `doctor` found
//! something wrong; `resend` left dead letters. (Clap ends with 2 when the command line is wrong.)

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use jackfield_loader::{ForeignText, count, to_json};
use serde::Serialize;
use serde_json::json;

use crate::api::telemetry::Telemetry;
use crate::consent::consent::Collection;
use crate::consent::prompt::taken_out;
use crate::error::Error;
use crate::identity::deletion::ReceiptOutcome;
use crate::user::doctor::Verdict;
use crate::user::opt_out::{Discarded, UnconfirmedEvents};

/// The time for each backend to answer a request for deletion.
const DELETION: Duration = Duration::from_secs(10);
/// The time for all of `resend`.
const RESEND: Duration = Duration::from_secs(60);

/// `enable`, `disable`, `status`, `reset`, `show`, `resend` and `doctor`.
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum TelemetryCommand {
    /// Allow usage data to be collected and sent
    Enable(Form),
    /// Stop it, and discard what has not been sent
    Disable(Form),
    /// Say whether it is collected, where it goes, and what waits
    Status(Form),
    /// Disable, delete all local data, and ask for the deletion of what was sent
    Reset(Form),
    /// Print exactly what is stored, and what would be sent
    Show(Form),
    /// Send again what backends have refused, once what was wrong is mended
    Resend(Form),
    /// Find out whether events arrive
    Doctor(Form),
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Form {
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

impl TelemetryCommand {
    /// Runs the command with the standard streams of the process. `main` returns the exit code.
    #[must_use]
    pub fn run(&self, telemetry: &Telemetry) -> ExitCode {
        self.run_with(telemetry, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    /// Runs the command with other streams.
    pub fn run_with(&self, telemetry: &Telemetry, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
        let done = match self {
            Self::Enable(form) => enable(telemetry, *form, out),
            Self::Disable(form) => disable(telemetry, *form, out),
            Self::Status(form) => status(telemetry, *form, out),
            Self::Reset(form) => reset(telemetry, *form, out),
            Self::Show(form) => show(telemetry, *form, out),
            Self::Resend(form) => resend(telemetry, *form, out),
            Self::Doctor(form) => doctor(telemetry, *form, out),
        };
        match done.and_then(|done| out.flush().map(|()| done).map_err(Failure::Output)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            // The reader has closed the pipe.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(failure) => {
                let text = match failure {
                    Failure::Telemetry(error) => error.to_string(),
                    Failure::Output(error) => format!("can't write the answer: {error}"),
                };
                // An error of standard error can't be reported.
                let _ = writeln!(err, "error: {}", ForeignText::from(text));
                ExitCode::FAILURE
            }
        }
    }
}

enum Failure {
    Telemetry(Error),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Telemetry(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn write_json(out: &mut dyn Write, answer: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", to_json(answer)?)
}

fn write_report(out: &mut dyn Write, form: Form, report: &(impl Serialize + Display)) -> io::Result<()> {
    if form.json { write_json(out, report) } else { writeln!(out, "{report}") }
}

/// Whether everything was done as requested.
type Done = Result<bool, Failure>;

fn enable(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let consent = telemetry.enable()?;
    let by_author = telemetry.is_offered();
    let enabled = consent.is_enabled() && by_author;
    let because = if by_author { consent.why.to_string() } else { "this tool collects nothing".to_owned() };
    if form.json {
        let object = json!({ "enabled": enabled, "because": because, "extended": telemetry.is_extended() });
        write_json(out, &object)?;
    } else if enabled {
        let except = match telemetry.context().settings.extended() {
            Some(personal_data) => format!(
                ", except for what stands in arguments and error messages:\n\
                 they are collected too, {},\n\
                 and may contain names of files.",
                taken_out(personal_data)
            ),
            None => ".".to_owned(),
        };
        let local = if consent.collection == Collection::LocalOnly { " (local-only)" } else { "" };
        writeln!(
            out,
            "Telemetry enabled{local}. Thank you.\n\
             No personally identifiable information is collected{except}\n\
             Events carry a pseudonymous machine ID."
        )?;
    } else {
        writeln!(out, "Your consent is stored, but telemetry stays off: {because}.")?;
    }
    Ok(enabled)
}

fn disable(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let disabled = telemetry.disable()?;
    let enforced = disabled.consent.is_enabled();
    let not_discarded = not_discarded(&disabled.pending);
    if form.json {
        let object = json!({
            "disabled": !enforced, "because": disabled.consent.why.to_string(),
            "still_sending": disabled.pending == Discarded::StillSending, "not_discarded": not_discarded,
            "unconfirmed": disabled.unconfirmed,
        });
        write_json(out, &object)?;
    } else if enforced {
        writeln!(
            out,
            "Telemetry stays on: it is {}. Your opt-out is stored, for when that ends.",
            disabled.consent.why
        )?;
    } else {
        writeln!(out, "Telemetry disabled.")?;
        match &disabled.pending {
            Discarded::All => writeln!(out, "All pending events have been discarded.")?,
            Discarded::Failed(reason) => writeln!(out, "{NOT_DISCARDED}: {reason}")?,
            _ => writeln!(out, "The events that waited have been discarded.")?,
        }
        write_unconfirmed(out, &disabled.pending, &disabled.unconfirmed)?;
    }
    Ok(!enforced && not_discarded.is_none())
}

fn not_discarded(pending: &Discarded) -> Option<&str> {
    match pending {
        Discarded::Failed(reason) => Some(reason),
        _ => None,
    }
}

/// Says which events may arrive although everything that waited is discarded.
fn write_unconfirmed(
    out: &mut dyn Write,
    pending: &Discarded,
    unconfirmed: &[UnconfirmedEvents],
) -> io::Result<()> {
    if !unconfirmed.is_empty() {
        writeln!(
            out,
            "These events had been given to a backend, which has not confirmed them.\n\
             They may have arrived, or still arrive:"
        )?;
        for UnconfirmedEvents { backend, events } in unconfirmed {
            writeln!(out, "  {backend}: {}", count(*events, "event"))?;
        }
    } else if *pending == Discarded::ExceptUnconfirmed {
        writeln!(
            out,
            "The record of what backends were given can't be read, so some events may have arrived, or still arrive."
        )?;
    }
    if *pending == Discarded::StillSending {
        writeln!(
            out,
            "A call of a backend that had begun before has not come back yet: its events may still arrive.\n\
             No call follows it."
        )?;
    }
    Ok(())
}

const NOT_DISCARDED: &str = "Not all of what is stored on this machine could be discarded; none of it is sent without \
                             consent. Mend this and run the command again";

fn status(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    write_report(out, form, &telemetry.status())?;
    Ok(true)
}

fn reset(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let reset = telemetry.reset(DELETION)?;
    let failed = reset.receipts.iter().any(|receipt| receipt.outcome == ReceiptOutcome::Failed);
    let sent = reset.receipts.iter().any(|receipt| receipt.outcome == ReceiptOutcome::Sent);
    let enforced = reset.consent.is_enabled();
    let not_discarded = not_discarded(&reset.pending);
    let done = !failed && not_discarded.is_none();
    if form.json {
        let object = json!({
            "machine_id": reset.machine_id, "receipts": reset.receipts, "next_machine_id": reset.next_machine_id,
            "machine_id_changed": reset.id_kept.is_none(), "machine_id_kept": reset.id_kept,
            "disabled": !enforced, "still_sending": reset.pending == Discarded::StillSending,
            "not_discarded": not_discarded, "unconfirmed": reset.unconfirmed,
        });
        write_json(out, &object)?;
        return Ok(done);
    }
    if reset.receipts.is_empty() {
        writeln!(
            out,
            "No deletion is requested for machine ID {}: no backend is configured.",
            reset.machine_id
        )?;
    } else {
        writeln!(out, "Deletion request for machine ID {}:", reset.machine_id)?;
    }
    for receipt in &reset.receipts {
        writeln!(out, "  {receipt}")?;
    }
    match &reset.id_kept {
        None => writeln!(out, "The machine ID is another one from now on: {}.", reset.next_machine_id)?,
        Some(reason) => writeln!(out, "The machine ID is kept: {reason}.")?,
    }
    if failed || (sent && reset.pending.may_arrive()) {
        writeln!(out, "Run this again to repeat the request.")?;
    }
    if let Some(help) = telemetry.help().filter(|_| !sent || failed) {
        writeln!(out, "{help}")?;
    }
    if let Some(reason) = not_discarded {
        writeln!(out, "{NOT_DISCARDED}: {reason}")?;
    } else {
        write!(out, "Local telemetry data cleared. ")?;
    }
    writeln!(out, "{}", if enforced { "Telemetry stays on." } else { "Telemetry disabled." })?;
    if enforced {
        writeln!(out, "It is {}.", reset.consent.why)?;
    }
    write_unconfirmed(out, &reset.pending, &reset.unconfirmed)?;
    Ok(done)
}

fn show(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let shown = telemetry.show()?;
    if form.json {
        writeln!(out, "{}", shown.to_json())?;
    } else {
        shown.write_text(out)?;
    }
    Ok(true)
}

fn resend(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let resent = telemetry.resend_rejected(RESEND)?;
    write_report(out, form, &resent)?;
    Ok(resent.is_complete())
}

fn doctor(telemetry: &Telemetry, form: Form, out: &mut dyn Write) -> Done {
    let findings = telemetry.doctor();
    if form.json {
        write_json(out, &json!({ "findings": findings }))?;
    } else {
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
    }
    Ok(findings.iter().all(|finding| finding.verdict != Verdict::Wrong))
}
