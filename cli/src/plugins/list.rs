//! `jackfield plugins`: what is on the search path.

use std::{path::Path, sync::LazyLock};

use jackfield::PluginsConfig;
use jackfield::forward::accepted_plugin_name;
use jackfield_loader::{Abi, Candidate, Policy};
use serde::Serialize;

use crate::{
    common_args::{CommonArgs, help},
    console::{self, Colour},
    exit::{CommandError, Exit},
    output,
    plugins::language,
    settings,
};

pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield plugins\n  JACKFIELD_PLUGIN_PATH=/opt/vendor jackfield plugins --json",
        "\n\nNAME is what a configuration's `plugin` accepts; in brackets what the plugin calls\nitself, if that leads \
         elsewhere or nowhere.\n\nWith --json, a list of: file, name, metadata_name (what it calls itself), version,\n\
         abi (major, minor), trust (the policy), trusted, trust_refusal, compatible, refusal.",
    )
});

/// A file on the search path.
#[derive(Serialize)]
struct Row {
    file: String,
    /// What a configuration calls it.
    name: String,
    /// What it calls itself.
    metadata_name: Option<String>,
    version: Option<String>,
    abi: Option<Abi>,
    /// And how its layout is judged.
    language: Option<String>,
    /// The policy.
    trust: String,
    trusted: bool,
    trust_refusal: Option<String>,
    compatible: bool,
    /// Compatible where it has a process of its own, and nowhere else.
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
        let folders: Vec<_> = config.plugins.path.iter().map(|folder| folder.display().to_string()).collect();
        console::say(&console::one_line(&format!("no plugin in {}", folders.join(", "))));
    } else {
        output::text(&render(&rows))?;
    }
    Ok(Exit::Done)
}

fn row(file: &Path, plugins: &PluginsConfig, policy: &Policy) -> Row {
    let mut row = Row {
        file: file.display().to_string(),
        name: String::new(),
        metadata_name: None,
        version: None,
        abi: None,
        language: None,
        trust: policy.trust().to_string(),
        trusted: false,
        trust_refusal: None,
        compatible: false,
        process_only: false,
        refusal: None,
    };
    match Candidate::open(file) {
        Ok(candidate) => {
            let inspection = candidate.inspection();
            row.metadata_name = Some(inspection.metadata.name.clone());
            row.version = Some(inspection.metadata.version.clone());
            row.abi = Some(inspection.metadata.abi);
            row.language = Some(language::shown(&inspection.metadata));
            let refusal = inspection.verdict().err();
            row.process_only = refusal.is_some() && inspection.verdict_in_process().is_ok();
            row.refusal = refusal.filter(|_| !row.process_only).map(|refusal| refusal.to_string());
            row.compatible = row.refusal.is_none();
            row.trust_refusal = candidate.allowed_by(policy).err().map(|refusal| refusal.to_string());
            row.trusted = row.trust_refusal.is_none();
        }
        Err(refusal) => row.refusal = Some(refusal.to_string()),
    }
    row.name = accepted_plugin_name(file, row.metadata_name.as_deref(), &plugins.path);
    row
}

const TRUST_COLUMN: usize = 4;
const VERDICT_COLUMN: usize = 5;

fn render(rows: &[Row]) -> String {
    let mut table =
        vec![["NAME", "VERSION", "ABI", "LANGUAGE", "TRUST", "VERDICT", "FILE"].map(str::to_owned).to_vec()];
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let trust = match (&row.abi, row.trusted) {
            (None, _) => "-".to_owned(),
            (_, true) => format!("ok ({})", row.trust),
            (_, false) => format!("refused ({})", row.trust),
        };
        table.push(vec![
            match &row.metadata_name {
                Some(own) if *own != row.name => format!("{} ({own})", row.name),
                _ => row.name.clone(),
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
            row.file.clone(),
        ]);
    }
    let mut out = console::table(&table, |row, column, cell| match column {
        TRUST_COLUMN | VERDICT_COLUMN if row > 0 => {
            let colour = if cell.starts_with("refused") { Colour::Red } else { Colour::Green };
            console::paint(&cell, colour)
        }
        _ => cell,
    });
    // Why not, below the table: a reason is a long line.
    for row in rows {
        for refusal in [&row.refusal, &row.trust_refusal].into_iter().flatten() {
            // A file that could not even be read as a plugin is named by its refusal.
            let name = row.metadata_name.as_ref().map(|_| format!("{}: ", row.name)).unwrap_or_default();
            out.push_str(&console::one_line(&format!("{name}{refusal}")));
            out.push('\n');
        }
    }
    out
}
