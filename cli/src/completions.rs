//! `jackfield completions`: a script for a shell.

use clap::Command;
use clap_complete::Shell;

use crate::{
    common_args::Help,
    exit::{CommandError, Exit},
    output,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield completions bash > ~/.local/share/bash-completion/completions/jackfield\n  \
         jackfield completions zsh > ~/.zfunc/_jackfield",
    notes: "",
};

pub(crate) fn run(shell: Shell, command: &mut Command) -> Result<Exit, CommandError> {
    // The generator panics when it can't write, so it writes to memory first.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "jackfield", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
