//! `jackfield completions`: a script for a shell.

use std::sync::LazyLock;

use clap::Command;
use clap_complete::Shell;

use crate::{
    common_args::help,
    exit::{CommandError, Exit},
    output,
};

pub(crate) static HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "  jackfield completions bash > ~/.local/share/bash-completion/completions/jackfield\n  \
         jackfield completions zsh > ~/.zfunc/_jackfield",
        "",
    )
});

pub(crate) fn run(shell: Shell, command: &mut Command) -> Result<Exit, CommandError> {
    // Into memory first: the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "jackfield", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
