//! `jackfield inspect`: what libraries say of themselves. None of their code runs.

use std::path::{Path, PathBuf};

use jackfield_loader::Inspection;
use serde_json::{Value, json};

use crate::{
    console::{self, Colour},
    exit::Exit,
    language,
    options::{self, OptionRow},
};

pub(crate) fn run(files: &[PathBuf], json: bool) -> Exit {
    let results: Vec<_> =
        files.iter().map(|file| jackfield_loader::inspect(file).map_err(|e| e.to_string())).collect();
    let usable = results.iter().all(|result| result.as_ref().is_ok_and(|it| it.verdict_in_process().is_ok()));
    let pairs = files.iter().zip(&results);
    let text = if json {
        let list: Vec<_> = pairs.map(|(file, result)| to_json(file, result.as_ref())).collect();
        format!("{:#}\n", Value::from(list))
    } else {
        pairs.map(|(file, result)| to_text(file, result.as_ref())).collect::<Vec<_>>().join("\n")
    };
    crate::print(&text).max(if usable { Exit::Done } else { Exit::Plugin })
}

fn to_json(file: &Path, result: Result<&Inspection, &String>) -> Value {
    let file = file.display().to_string();
    match result {
        Err(refusal) => json!({ "file": file, "compatible": false, "refusal": refusal }),
        Ok(it) => {
            let process_only = it.verdict().is_err() && it.verdict_in_process().is_ok();
            let refusal = it.verdict_in_process().err().map(|refusal| refusal.to_string());
            // Members that this version does not know are shown as well.
            let metadata: Value = serde_json::from_str(&it.metadata_json).unwrap_or_default();
            json!({
                "file": file, "compatible": refusal.is_none(), "process_only": process_only, "refusal": refusal,
                "format": it.format, "os": it.os, "arch": it.arch, "bits": it.bits, "endian": it.endian,
                "size": it.size, "slices": it.slices, "needed": it.needed,
                "exports_descriptor": it.exports_descriptor, "metadata": metadata,
            })
        }
    }
}

fn to_text(file: &Path, result: Result<&Inspection, &String>) -> String {
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let refused = |refusal: &str| format!("refused: {refusal}");
    let mut rows = vec![row("file", file.display().to_string())];
    match result {
        Err(refusal) => rows.push(row("verdict", refused(refusal))),
        Ok(it) => {
            let metadata = &it.metadata;
            let plus = |text: &str| if text.is_empty() { String::new() } else { format!(", {text}") };
            let list = |list: &[String]| if list.is_empty() { "-".to_owned() } else { list.join(", ") };
            let endian = serde_json::to_value(it.endian).unwrap_or_default();
            let endian = endian.as_str().unwrap_or_default();
            let panic = serde_json::to_value(metadata.panic).unwrap_or_default();
            let verdict = match (it.verdict(), it.verdict_in_process()) {
                (Ok(()), _) => "compatible".to_owned(),
                (Err(why), Ok(())) => format!("compatible: {why}"),
                (_, Err(why)) => refused(&why.to_string()),
            };
            rows.extend([
                row("verdict", verdict),
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
        (1, 1) => {
            console::paint(&cell, if cell.starts_with("refused") { Colour::Red } else { Colour::Green })
        }
        _ => cell,
    });
    let schema = result.ok().and_then(|it| it.metadata.config_schema.as_ref());
    if let Some(options) = schema.map(|schema| options::rows(schema.get())).filter(|rows| !rows.is_empty()) {
        text.push('\n');
        text.push_str(&options_table(options));
    }
    text
}

/// What stands in a backend's `[backend.config]`.
fn options_table(options: Vec<OptionRow>) -> String {
    let mut rows = vec![["OPTION", "TYPE", "DEFAULT", "MEANING"].map(str::to_owned).to_vec()];
    rows.extend(options.into_iter().map(|it| vec![it.name, it.kind, it.default, it.meaning]));
    console::table(&rows, |_, _, cell| cell)
}
