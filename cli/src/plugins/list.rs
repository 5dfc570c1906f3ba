//! `jackfield plugins`: lists the plugins on the search path.

use std::path::Path;

use jackfield::{PluginsConfig, forward::accepted_plugin_name};
use jackfield_loader::{Abi, ForeignText, Policy, in_prose, show_path};
use serde::Serialize;

use super::{Library, language};
use crate::{
    console::{self, Colour},
    exit::{CommandError, Exit},
    help::Help,
    log,
    settings::CommonArgs,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield plugins\n  JACKFIELD_PLUGIN_PATH=/opt/vendor jackfield plugins --json",
    notes: "NAME is the value for `plugin` in a configuration. The name in the metadata of the plugin\n\
         follows in brackets if it does not lead to this file.\n\n\
         With --json, a list of: file, name, metadata_name, version, abi (major, minor), language,\n\
         trust (the policy), trusted, trust_refusal, compatible, process_only, refusal.",
};

/// A file on the search path.
#[derive(Serialize)]
struct Row {
    file: ForeignText,
    /// The value for `plugin` in a configuration.
    name: ForeignText,
    metadata_name: Option<ForeignText>,
    version: Option<ForeignText>,
    abi: Option<Abi>,
    language: Option<ForeignText>,
    /// The policy.
    trust: String,
    trusted: bool,
    trust_refusal: Option<String>,
    compatible: bool,
    /// Compatible only in a process of its own.
    process_only: bool,
    refusal: Option<String>,
}

pub(crate) fn run(common: &CommonArgs) -> Result<Exit, CommandError> {
    let config = common.configuration()?;
    let files = jackfield_loader::list(&config.plugins.path);
    let policy = config.plugins.policy();
    let rows: Vec<_> = files.iter().map(|file| row(file, &config.plugins, &policy)).collect();
    if common.json {
        console::print_json(&rows)?;
    } else if rows.is_empty() {
        let folders = in_prose(config.plugins.path.iter().map(|folder| show_path(folder)));
        log::say(format_args!("no plugin in {folders}"));
    } else {
        console::print(&render(&rows))?;
    }
    Ok(Exit::Done)
}

fn row(file: &Path, plugins: &PluginsConfig, policy: &Policy) -> Row {
    let result = Library::open(file, Ok(policy));
    let library = result.as_ref().ok();
    let metadata = library.map(|library| &library.inspection().metadata);
    Row {
        file: show_path(file),
        // No configuration can name a file whose name is not UTF-8.
        name: match file.to_str() {
            Some(_) => accepted_plugin_name(file, metadata.map(|it| it.name.as_raw()), &plugins.path).into(),
            None => show_path(file),
        },
        metadata_name: metadata.map(|it| it.name.clone()),
        version: metadata.map(|it| it.version.clone()),
        abi: metadata.map(|it| it.abi),
        language: metadata.map(language),
        trust: policy.trust().to_string(),
        trusted: library.is_some_and(|library| library.trust_refusal.is_none()),
        trust_refusal: library.and_then(|library| library.trust_refusal.clone()),
        compatible: library.is_some_and(|library| library.refusal().is_none()),
        process_only: library.is_some_and(Library::process_only),
        refusal: result.as_ref().map_or_else(|refusal| Some(refusal.to_string()), Library::refusal),
    }
}

fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

const TRUST_COLUMN: usize = 4;
const VERDICT_COLUMN: usize = 5;

fn render(rows: &[Row]) -> String {
    let mut table =
        vec![["NAME", "VERSION", "ABI", "LANGUAGE", "TRUST", "VERDICT", "FILE"].map(str::to_owned).to_vec()];
    for row in rows {
        let trust = match (&row.abi, row.trusted) {
            (None, _) => "-".to_owned(),
            (_, true) => format!("ok ({})", row.trust),
            (_, false) => format!("refused ({})", row.trust),
        };
        table.push(vec![
            match &row.metadata_name {
                Some(own) if *own != row.name => format!("{} ({own})", row.name),
                _ => row.name.to_string(),
            },
            or_dash(row.version.as_ref()),
            or_dash(row.abi.as_ref()),
            or_dash(row.language.as_ref()),
            trust,
            match (row.compatible, row.process_only) {
                (true, true) => "process isolation only",
                (true, false) => "compatible",
                (false, _) => "refused",
            }
            .to_owned(),
            row.file.to_string(),
        ]);
    }
    let mut out = console::table(&table, |row, column, cell| match column {
        TRUST_COLUMN | VERDICT_COLUMN if row > 0 => {
            let colour = if cell.starts_with("refused") { Colour::Red } else { Colour::Green };
            console::paint(&cell, colour)
        }
        _ => cell,
    });
    // Reasons are long, so they are below the table.
    for row in rows {
        for refusal in [&row.refusal, &row.trust_refusal].into_iter().flatten() {
            // The refusal of a file without metadata names the file itself.
            let name = row.metadata_name.as_ref().map(|_| format!("{}: ", row.name)).unwrap_or_default();
            out.push_str(&format!("{}\n", console::one_line(format_args!("{name}{refusal}"))));
        }
    }
    out
}
