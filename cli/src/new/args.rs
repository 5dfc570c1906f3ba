//! The command line of `jackfield new`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::common_args::Help;

pub(crate) const HELP: Help = Help {
    examples: "  jackfield new acme_lines --lang rust --contract ~/src/jackfield\n  \
         jackfield new acme_lines --lang c --dir plugins/acme",
    notes: "The project sends events as lines over TCP; put your platform's protocol in that place.\nIt has tests against \
         a local server, a README, a script `ci` and a workflow that runs it.\nNothing is overwritten. In C it needs a \
         compiler and make, and nothing of Jackfield but\nthe header that is in it. In Rust it is pinned to this version \
         of the crate\njackfield-plugin-api, which is on no registry yet: until it is, give --contract.\n\n\
         With --json, an object of: name, lang, folder, files, contract, build, test.",
};

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What the plugin is called: lower-case letters, digits and `_`
    pub(crate) name: String,
    /// Language of the project
    #[arg(long, value_enum)]
    pub(crate) lang: Lang,
    /// Folder of the project, new or empty; by default NAME in the current one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Build a project in Rust against this copy of the contract instead of a registry's: the folder plugin-api of
    /// Jackfield's source, or the one around it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) contract: Option<PathBuf>,
}

/// A language that there are templates for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lang {
    /// Rust
    Rust,
    /// C
    C,
}

impl Lang {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
        }
    }
}
