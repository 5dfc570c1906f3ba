//! `jackfield doctor`: opens every configured backend and has it find out whether its platform answers.

use jackfield_loader::plugin_api::Probe;

use crate::{
    answers,
    args::{Common, DoctorArgs},
    exit::Exit,
    settings,
};

pub(crate) fn run(common: &Common, args: &DoctorArgs) -> Exit {
    let config = match settings::loaded(common) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // What is asked has been loaded, so the policy has allowed it.
    let trust = config.plugins.trust;
    let answers = answers::of_each(&config, &args.only, |backend, config| {
        let (answer, text) = match backend.probe(config.timeout) {
            Probe::Reachable(text) => ("reachable", text),
            Probe::Unreachable(text) => ("unreachable", text),
            Probe::Refused(text) => ("refused", text),
            Probe::Unsupported(text) => ("unsupported", text),
        };
        (answer, format!("{text} (trust: ok by \"{trust}\")").trim_start().to_owned())
    });
    answers::print(&answers, &["unreachable", "refused"], common.json)
}
