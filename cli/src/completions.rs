//! `jackfield completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{args::Cli, exit::Exit};

pub(crate) fn run(shell: Shell) -> Exit {
    // Into memory first: the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jackfield", &mut script);
    crate::print(&String::from_utf8_lossy(&script))
}
