//! `jackfield plugins`: lists the plugins on the search path.

use std::path::Path;

use jackfield::{PluginsConfig, forward::accepted_plugin_name};
use jackfield_loader::{Abi, ForeignText, Policy, show_path};
use serde::Serialize;

use crate::{
    common_args::{CommonArgs, Help},
    console::{self, Colour},
    exit::{CommandError, Exit},
    log, output,
    plugins::{language, library::Library},
    settings,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield plugins\n  JACKFIELD_PLUGIN_PATH=/opt/vendor jackfield plugins --json",
    notes: "NAME is what a configuration's `plugin` accepts; in brackets what the plugin calls\nitself, if that leads \
         elsewhere or nowhere.\n\nWith --json, a list of: file, name, metadata_name (what it calls itself), version,\n\
         abi (major, minor), trust (the policy), trusted, trust_refusal, compatible, refusal.",
};

/// A file on the search path.
#[derive(Serialize)]
struct Row {
    file: ForeignText,
    /// The name for a configuration.
    name: ForeignText,
    /// The name in its metadata.
    metadata_name: Option<ForeignText>,
    version: Option<ForeignText>,
    abi: Option<Abi>,
    /// The language, and how the layout is compared.
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
    let config = settings::load(common.config.as_deref())?;
    let files = jackfield_loader::list(&config.plugins.path);
    let policy = config.plugins.policy();
    let rows: Vec<_> = files.iter().map(|file| row(file, &config.plugins, &policy)).collect();
    if common.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        let folders: Vec<_> =
            config.plugins.path.iter().map(|folder| show_path(folder).to_string()).collect();
        log::say(&format!("no plugin in {}", folders.join(", ")));
    } else {
        output::text(&render(&rows))?;
    }
    Ok(Exit::Done)
}

fn row(file: &Path, plugins: &PluginsConfig, policy: &Policy) -> Row {
    let result = Library::open(file, Ok(policy));
    let library = result.as_ref().ok();
    let metadata = library.map(|library| &library.inspection().metadata);
    Row {
        file: show_path(file),
        name: accepted_plugin_name(file, metadata.map(|it| it.name.as_raw()), &plugins.path).into(),
        metadata_name: metadata.map(|it| it.name.clone()),
        version: metadata.map(|it| it.version.clone()),
        abi: metadata.map(|it| it.abi),
        language: metadata.map(language::shown),
        trust: policy.trust().to_string(),
        trusted: library.is_some_and(|library| library.trust_refusal.is_none()),
        trust_refusal: library.and_then(|library| library.trust_refusal.clone()),
        compatible: library.is_some_and(|library| library.refusal().is_none()),
        process_only: library.is_some_and(Library::process_only),
        refusal: result.as_ref().map_or_else(|refusal| Some(refusal.to_string()), Library::refusal),
    }
}

const TRUST_COLUMN: usize = 4;
const VERDICT_COLUMN: usize = 5;

fn render(rows: &[Row]) -> String {
    let mut table =
        vec![["NAME", "VERSION", "ABI", "LANGUAGE", "TRUST", "VERDICT", "FILE"].map(str::to_owned).to_vec()];
    let or_dash =
        |text: &Option<ForeignText>| text.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
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
            or_dash(&row.version),
            row.abi.map_or_else(|| "-".to_owned(), |abi| abi.to_string()),
            or_dash(&row.language),
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
    // Reasons are long, so they stand below the table.
    for row in rows {
        for refusal in [&row.refusal, &row.trust_refusal].into_iter().flatten() {
            // The refusal of a file that can't be read as a plugin has the file's name.
            let name = row.metadata_name.as_ref().map(|_| format!("{}: ", row.name)).unwrap_or_default();
            out.push_str(&format!("{}\n", console::one_line(format_args!("{name}{refusal}"))));
        }
    }
    out
}
