//! Writes events to standard output: pretty JSON, or one line each.
//!
//! - Pretty JSON is indented by two spaces a level, at most 16 levels: a byte of an event becomes at most 34 bytes.
//! - When the reader goes away, as `head` does, the process does not end. The events that were not written are not
//!   rejected, because they are not wrong: they may be sent again, a day later at the earliest, because standard output
//!   does not come back within a run. A host that does not wait that long gives these events up at once.
#![forbid(unsafe_code)]

mod output;
mod pretty;

use std::sync::{Mutex, PoisonError};

use jackfield_plugin_api::{Backend, Batch, Call, Diagnoses, Error, Host, Outcomes, Probe, plugin};

use crate::output::Output;

/// Options of the backend `stdout`: events on the tool's standard output.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Config {
    /// How an event is written.
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
enum Format {
    /// Indented by two spaces, down to the 16th level, for people.
    #[default]
    Pretty,
    /// One event a line (JSON Lines), for programs.
    Lines,
}

struct Stdout {
    format: Format,
    output: Mutex<Output>,
}

impl Stdout {
    fn output(&self) -> std::sync::MutexGuard<'_, Output> {
        // A panic can only leave data in a buffer, which every batch empties first.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, batch: &Batch<'_>, output: &mut Output) {
        for event in batch {
            match self.format {
                Format::Pretty => output.push(|buffer| pretty::write(event.json(), buffer)),
                Format::Lines => output.push(|buffer| buffer.extend_from_slice(event.json().as_bytes())),
            }
        }
    }
}

impl Backend for Stdout {
    type Config = Config;

    /// There is one standard output, and batches must be in the order in which they were sent.
    const SERIAL: bool = true;

    fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        output::check()?;
        Ok(Self { format: config.format, output: Mutex::default() })
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        let mut output = self.output();
        self.push(batch, &mut output);
        output::with_stdout(|stdout| output.write_to(stdout, || !call.remaining().is_zero()))
    }
}

impl Diagnoses for Stdout {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        _call: &Call<'_>,
    ) -> Result<(), Error> {
        let mut output = self.output().after();
        self.push(batch, &mut output);
        if !batch.is_empty() {
            sink("write to standard output", output.pushed());
        }
        Ok(())
    }

    /// Whether the process has a standard output. Only a write shows whether it has a reader.
    fn probe(&self, _call: &Call<'_>) -> Probe {
        match output::check() {
            Ok(()) => Probe::Reachable("the process has a standard output".to_owned()),
            Err(error) => Probe::Unreachable(error.to_string()),
        }
    }
}

plugin! {
    backend: Stdout,
    name: "stdout",
    vendor: "Jackfield",
    description: "events on standard output",
    requires: &["stdout"],
    offers: [diagnostics],
    config_schema: include_str!("../config.schema.json"),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn pretty_is_the_default_and_lines_is_by_option() {
        assert_eq!(parse("{}").expect("valid").format, Format::Pretty);
        assert_eq!(parse(r#"{"format":"pretty"}"#).expect("valid").format, Format::Pretty);
        assert_eq!(parse(r#"{"format":"lines"}"#).expect("valid").format, Format::Lines);
        let refusal = parse(r#"{"format":"xml"}"#).expect_err("no such format").to_string();
        assert!(refusal.contains("expected `pretty` or `lines`"), "{refusal}");
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
