//! `jackfield inspect`: what libraries say of themselves. None of their code runs.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use jackfield::Error;
use jackfield_loader::{Candidate, Inspection, Policy};
use serde_json::{Value, json};

use crate::{
    common_args::{CommonArgs, help},
    console::{self, Colour},
    exit::{CommandError, Exit},
    output,
    plugins::{
        language,
        option_table::{self, OptionRow},
    },
    settings,
};

pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield inspect ./librabbitmq.so\n  jackfield inspect dist/*.dll dist/*.dylib --json",
        "\n\nWith --json, a list of: file, compatible, refusal, and of a plugin format, os,\narch, bits, \
         endian, size, slices, needed, exports_descriptor, metadata (as it\nstands in the file), trust (the \
         configuration's policy), trusted, trust_refusal.",
    )
});

/// A library, and what the configuration's trust policy says of it.
struct Seen {
    candidate: Candidate,
    /// The policy; none where the configuration can't be read.
    trust: Option<String>,
    trust_refusal: Option<String>,
}

impl Seen {
    fn open(file: &Path, policy: Result<&Policy, &Error>) -> Result<Self, jackfield_loader::Error> {
        let candidate = Candidate::open(file)?;
        let (trust, trust_refusal) = match policy {
            Ok(policy) => {
                let refusal = candidate.allowed_by(policy).err().map(|refusal| refusal.to_string());
                (Some(policy.trust().to_string()), refusal)
            }
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        Ok(Self { candidate, trust, trust_refusal })
    }
}

pub(crate) fn run(common: &CommonArgs, files: &[PathBuf]) -> Result<Exit, CommandError> {
    // A file can be inspected without a configuration that is right.
    let policy = settings::load(common.config.as_deref()).map(|config| config.plugins.policy());
    let results: Vec<_> = files.iter().map(|file| Seen::open(file, policy.as_ref())).collect();
    let usable =
        results.iter().all(|result| result.as_ref().is_ok_and(|seen| can_run(seen.candidate.inspection())));
    let pairs = files.iter().zip(&results);
    if common.json {
        output::json(&pairs.map(|(file, result)| to_json(file, result.as_ref())).collect::<Vec<_>>())?;
    } else {
        let texts = pairs.map(|(file, result)| to_text(file, result.as_ref()));
        output::text(&texts.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if usable { Exit::Done } else { Exit::Plugin })
}

/// Whether the library can run here, in a thread or in a process of its own.
fn can_run(it: &Inspection) -> bool {
    it.verdict().is_ok() || it.verdict_in_process().is_ok()
}

fn to_json(file: &Path, result: Result<&Seen, &jackfield_loader::Error>) -> Value {
    let file = file.display().to_string();
    match result {
        Err(refusal) => json!({ "file": file, "compatible": false, "refusal": refusal.to_string() }),
        Ok(seen) => {
            let it = seen.candidate.inspection();
            let process_only = it.verdict().is_err() && it.verdict_in_process().is_ok();
            let refusal = it.verdict().err().filter(|_| !process_only).map(|refusal| refusal.to_string());
            // Members that this version does not know are shown as well.
            let metadata: Value = serde_json::from_str(&it.metadata_json).unwrap_or_default();
            json!({
                "file": file, "compatible": refusal.is_none(), "process_only": process_only, "refusal": refusal,
                "format": it.format, "os": it.os, "arch": it.arch, "bits": it.bits, "endian": it.endian,
                "size": it.size, "slices": it.slices, "needed": it.needed,
                "exports_descriptor": it.exports_descriptor, "metadata": metadata,
                "trust": seen.trust, "trusted": seen.trust_refusal.is_none(),
                "trust_refusal": seen.trust_refusal,
            })
        }
    }
}

fn to_text(file: &Path, result: Result<&Seen, &jackfield_loader::Error>) -> String {
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let refused = |refusal: &str| format!("refused: {refusal}");
    let mut rows = vec![row("file", file.display().to_string())];
    match result {
        Err(refusal) => rows.push(row("verdict", refused(&refusal.to_string()))),
        Ok(seen) => {
            let it = seen.candidate.inspection();
            let metadata = &it.metadata;
            let plus = |text: &str| if text.is_empty() { String::new() } else { format!(", {text}") };
            let list = |list: &[String]| if list.is_empty() { "-".to_owned() } else { list.join(", ") };
            let endian = serde_json::to_value(it.endian).unwrap_or_default();
            let endian = endian.as_str().unwrap_or_default();
            let panic = serde_json::to_value(metadata.panic).unwrap_or_default();
            let verdict = match (it.verdict(), it.verdict_in_process()) {
                (Ok(()), _) => "compatible".to_owned(),
                (Err(why), Ok(())) => format!("compatible: {why}"),
                (Err(why), Err(_)) => refused(&why.to_string()),
            };
            let trust = match (&seen.trust, &seen.trust_refusal) {
                (Some(policy), None) => format!("ok ({policy})"),
                (Some(policy), Some(refusal)) => format!("refused ({policy}): {refusal}"),
                (None, refusal) => format!("unknown: {}", refusal.as_deref().unwrap_or_default()),
            };
            rows.extend([
                row("verdict", verdict),
                row("trust", trust),
                row("plugin", format!("{} {}{}", metadata.name, metadata.version, plus(&metadata.vendor))),
                row("description", metadata.description.clone()),
                row("ABI", format!("{}, digest {}", metadata.abi, metadata.digest)),
                row(
                    "platform",
                    format!("{}, {} bits, {endian} endian, target {}", it.os, it.bits, metadata.target),
                ),
                row("library", format!("{} for {}, {} bytes", it.format, it.arch, it.size)),
                row("slices", it.slices.join(", ")),
                row("needs", list(&it.needed)),
                row("requires", list(&metadata.requires)),
                row("offers", list(&metadata.offers)),
                row("calls", if metadata.serial { "one at a time" } else { "several at once" }.to_owned()),
                row("panic", panic.as_str().unwrap_or_default().to_owned()),
                row("language", language::shown(metadata)),
                row("built with", metadata.compiler.clone()),
            ]);
        }
    }
    rows.retain(|row| !row[1].is_empty());
    let mut text = console::table(&rows, |row, column, cell| match (row, column) {
        (1, 1) | (2, 1) if !cell.starts_with("unknown") => {
            console::paint(&cell, if cell.starts_with("refused") { Colour::Red } else { Colour::Green })
        }
        _ => cell,
    });
    let metadata = result.ok().map(|seen| &seen.candidate.inspection().metadata);
    let schema = metadata.and_then(|metadata| metadata.config_schema.as_ref());
    if let Some(options) =
        schema.map(|schema| option_table::rows(schema.get())).filter(|rows| !rows.is_empty())
    {
        text.push('\n');
        text.push_str(&options_table(options));
    }
    text
}

/// What stands in a backend's `[backend.config]`.
fn options_table(options: Vec<OptionRow>) -> String {
    let mut rows = vec![["OPTION", "TYPE", "DEFAULT", "MEANING"].map(str::to_owned).to_vec()];
    for it in options {
        let mut lines = option_table::lines(&it.kind).into_iter();
        rows.push(vec![it.name, lines.next().unwrap_or_default(), it.default, it.meaning]);
        rows.extend(lines.map(|line| vec![String::new(), line]));
    }
    console::table(&rows, |_, _, cell| cell)
}
