//! `jackfield inspect`: shows the metadata of libraries, and whether they can be used. It runs none of them.

use std::path::{Path, PathBuf};

use jackfield::forward::OptionsSchema;
use jackfield_loader::{Error, ForeignText, IsolationNeed, Metadata, Refusal, in_prose, show_path};
use serde_json::{Value, json};

use super::{Library, language, option_table};
use crate::{
    console::{self, Colour},
    exit::{CommandError, Exit},
    help::Help,
    settings::CommonArgs,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield inspect ./librabbitmq.so\n  jackfield inspect dist/*.dll dist/*.dylib --json",
    notes: "With --json, a list of: file, compatible, refusal; for a plugin also process_only, format,\n\
         os, arch, bits, endian, size, slices, needed, exports_descriptor, metadata (as in the file),\n\
         trust (the policy of the configuration), trusted, trust_refusal, options_unchecked (what of the\n\
         plugin's schema the host does not check options by).",
};

pub(crate) fn run(common: &CommonArgs, files: &[PathBuf]) -> Result<Exit, CommandError> {
    // A file can be inspected while the configuration is wrong.
    let policy = common.configuration().map(|config| config.plugins.policy());
    let results: Vec<_> = files.iter().map(|file| Library::open(file, policy.as_ref())).collect();
    let usable = |library: &Library| library.refusal().is_none();
    let usable = results.iter().all(|result| result.as_ref().is_ok_and(usable));
    let pairs = files.iter().zip(&results);
    if common.json {
        console::print_json(&pairs.map(|(file, result)| to_json(file, result.as_ref())).collect::<Vec<_>>())?;
    } else {
        let texts = pairs.map(|(file, result)| to_text(file, result.as_ref()));
        console::print(&texts.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(if usable { Exit::Done } else { Exit::Plugin })
}

fn to_json(file: &Path, result: Result<&Library, &Error>) -> Value {
    let file = show_path(file).to_string();
    match result {
        Err(refusal) => json!({ "file": file, "compatible": false, "refusal": refusal.to_string() }),
        Ok(library) => {
            let it = library.inspection();
            let refusal = library.refusal();
            // This shows also members that this version does not know.
            let metadata: Value = serde_json::from_str(&it.metadata_json).unwrap_or_default();
            json!({
                "file": file, "compatible": refusal.is_none(), "process_only": library.process_only(), "refusal": refusal,
                "format": it.format, "os": it.os, "arch": it.arch, "bits": it.bits, "endian": it.endian,
                "size": it.size, "slices": it.slices, "needed": it.needed,
                "exports_descriptor": it.exports_descriptor, "metadata": metadata,
                "trust": library.trust, "trusted": library.trust_refusal.is_none(),
                "trust_refusal": library.trust_refusal, "options_unchecked": unchecked(&it.metadata),
            })
        }
    }
}

fn to_text(file: &Path, result: Result<&Library, &Error>) -> String {
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let refused = |refusal: &str| format!("refused: {refusal}");
    let mut rows = vec![row("file", show_path(file).to_string())];
    match result {
        Err(refusal) => rows.push(row("verdict", refused(&refusal.to_string()))),
        Ok(library) => {
            let it = library.inspection();
            let metadata = &it.metadata;
            let plus = |text: &ForeignText| if text.is_empty() { String::new() } else { format!(", {text}") };
            let list = |list: &[ForeignText]| if list.is_empty() { "-".to_owned() } else { in_prose(list) };
            let endian = serde_json::to_value(it.endian).unwrap_or_default();
            let endian = endian.as_str().unwrap_or_default();
            let panic = serde_json::to_value(metadata.panic).unwrap_or_default();
            let verdict = match (it.verdict(), it.verdict_in_process()) {
                (Ok(()), _) => "compatible".to_owned(),
                (Err(Refusal::NeedsProcess), Ok(())) => "compatible, in a process of its own".to_owned(),
                (Err(why), Ok(())) => format!("compatible: {why}"),
                (Err(why), Err(_)) => refused(&why.to_string()),
            };
            let trust = match (&library.trust, &library.trust_refusal) {
                (Some(policy), None) => format!("ok ({policy})"),
                (Some(policy), Some(refusal)) => format!("refused ({policy}): {refusal}"),
                (None, refusal) => format!("unknown: {}", refusal.as_deref().unwrap_or_default()),
            };
            rows.extend([
                row("verdict", verdict),
                row("trust", trust),
                row("plugin", format!("{} {}{}", metadata.name, metadata.version, plus(&metadata.vendor))),
                row("description", metadata.description.to_string()),
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
                row("delivered", no_acknowledgement(metadata).to_owned()),
                row("calls", if metadata.serial { "one at a time" } else { "several at once" }.to_owned()),
                row("isolation", isolation(metadata).to_owned()),
                row("panic", panic.as_str().unwrap_or_default().to_owned()),
                row("language", language(metadata).to_string()),
                row("built with", metadata.compiler.to_string()),
                row("options", unchecked(metadata).unwrap_or_default()),
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
    let schema = result.ok().and_then(|library| library.inspection().metadata.config_schema.as_ref());
    if let Some(options) = schema.and_then(|schema| option_table::table(schema.get())) {
        text.push('\n');
        text.push_str(&options);
    }
    text
}

/// What "delivered" means for a plugin that can't know whether an event has arrived; empty for one that does.
fn no_acknowledgement(metadata: &Metadata) -> &'static str {
    if metadata.acknowledges { "" } else { "means sent: the platform does not acknowledge events" }
}

/// The process that a plugin has to run in; empty for any.
fn isolation(metadata: &Metadata) -> &'static str {
    if metadata.isolation == IsolationNeed::Process { "process" } else { "" }
}

/// What of the plugin's schema the host does not check options by.
fn unchecked(metadata: &Metadata) -> Option<String> {
    match OptionsSchema::parse(metadata.config_schema.as_ref()?.get()) {
        Ok(schema) => schema.unchecked().map(|unchecked| unchecked.to_string()),
        Err(error) => Some(format!("not checked, since the plugin's schema is none: {error}")),
    }
}
