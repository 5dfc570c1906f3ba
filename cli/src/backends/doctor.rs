//! `jackfield doctor`: opens every configured backend and has it find out whether its platform answers.

use clap::Args;
use jackfield_loader::plugin_api::Probe;

use crate::{
    backends::answers,
    common_args::{CommonArgs, Help},
    exit::{CommandError, Exit},
    settings,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield doctor\n  jackfield doctor --only main --json",
    notes: "Says of each backend: reachable, unreachable, refused (by its platform), unsupported\n(it can't find out), or \
         unusable (it could not be opened).\n\nWith --json, a list of: name, answer, text.",
};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask the backend of this name only; may be given several times
    #[arg(long, value_name = "BACKEND")]
    pub(crate) only: Vec<String>,
}

pub(crate) fn run(common: &CommonArgs, args: &DoctorArgs) -> Result<Exit, CommandError> {
    let config = settings::load(common.config.as_deref())?;
    // The backend is open, so the policy has allowed its plugin.
    let trust = config.plugins.trust;
    let answers = answers::of_each(&config, &args.only, |backend, config| {
        let (answer, text) = match backend.probe(config.timeout) {
            Probe::Reachable(text) => ("reachable", text),
            Probe::Unreachable(text) => ("unreachable", text),
            Probe::Refused(text) => ("refused", text),
            Probe::Unsupported(text) => ("unsupported", text),
        };
        (answer, format!("{text} (trust: ok by \"{trust}\")").trim_start().to_owned())
    })?;
    answers::print(&answers, &["unreachable", "refused"], common.json)
}
