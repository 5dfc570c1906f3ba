//! The command in a folder of its own.

use std::{path::Path, process::Command};

/// A program, which is `jackfield`, with `folder` as its working folder and home, and with `config.toml` there as its
/// configuration. Nothing of the environment changes what it does.
#[must_use]
pub fn isolated_command(program: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder)
        .env("JACKFIELD_CONFIG", "config.toml");
    for name in ["JACKFIELD_LOG", "JACKFIELD_PLUGIN_PATH", "JACKFIELD_MARK", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    command
}
