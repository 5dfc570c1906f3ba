//! `jackfield new`: makes a plugin project that builds, and whose tests pass, without a change.
#![expect(
    clippy::disallowed_methods,
    reason = "a project is the user's, with the modes of the user's other files"
)]

pub(crate) mod args;
mod name;
mod project;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use jackfield_loader::show_path;
use serde_json::{Value, json};

use crate::{
    exit::{CommandError, Exit},
    log,
    new::{
        args::{Lang, NewArgs},
        project::{Contract, File},
    },
    output,
};

pub(crate) fn run(args: &NewArgs, json: bool) -> Result<Exit, CommandError> {
    let made = make(args)?;
    if made.lang == Lang::Rust && args.contract.is_none() {
        log::warn(UNPUBLISHED);
    }
    if json { output::json(&made.to_json()) } else { output::text(&made.to_text()) }?;
    Ok(Exit::Done)
}

/// The warning about a project that gets the contract from a registry.
const UNPUBLISHED: &str = "jackfield-plugin-api is on no registry yet, so that the project does not build as it is: \
    make it with --contract PATH, a copy of Jackfield's repository, or give that path in its Cargo.toml";

fn usage(text: impl Into<String>) -> CommandError {
    CommandError::Usage(text.into())
}

/// A project that was written.
struct Made {
    name: String,
    lang: Lang,
    folder: PathBuf,
    files: Vec<&'static str>,
}

fn make(args: &NewArgs) -> Result<Made, CommandError> {
    name::check(&args.name)?;
    let contract = match (&args.contract, args.lang) {
        (None, _) => Contract::Version,
        (Some(path), Lang::Rust) => Contract::Path(contract_folder(path)?),
        (Some(_), Lang::C) => {
            return Err(usage("--contract is for --lang rust: a project in C has the header in it"));
        }
    };
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = project::files(args.lang, &args.name, &contract);
    take_folder(&folder)?;
    for file in &files {
        write(&folder.join(file.path), file)?;
    }
    let files = files.iter().map(|file| file.path).collect();
    Ok(Made { name: args.name.clone(), lang: args.lang, folder, files })
}

/// The folder of the crate `jackfield-plugin-api` at `path`, or below it in Jackfield's repository.
fn contract_folder(path: &Path) -> Result<PathBuf, CommandError> {
    let is_contract = |folder: &PathBuf| {
        fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line == "name = \"jackfield-plugin-api\""))
    };
    let folder = [path.to_owned(), path.join("plugin-api")].into_iter().find(is_contract).ok_or_else(|| {
        usage(format!(
            "--contract {}: expected the folder of the crate jackfield-plugin-api, or Jackfield's repository",
            show_path(path)
        ))
    })?;
    std::path::absolute(&folder).map_err(CommandError::system(show_path(&folder)))
}

/// Makes the folder. A folder that exists has to be empty.
fn take_folder(folder: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(folder).map_err(CommandError::system(show_path(folder)))?;
    let mut entries = fs::read_dir(folder).map_err(CommandError::system(show_path(folder)))?;
    if entries.next().is_some() {
        return Err(usage(format!(
            "{}: the folder is not empty, and nothing is overwritten: choose another one by --dir",
            show_path(folder)
        )));
    }
    Ok(())
}

fn write(path: &Path, file: &File) -> Result<(), CommandError> {
    let attempt = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if file.executable {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o777);
        }
        options.open(path)?.write_all(file.text.as_bytes())
    };
    attempt().map_err(CommandError::system(show_path(path)))
}

impl Made {
    const fn build(&self) -> &'static str {
        match self.lang {
            Lang::Rust => "cargo build --release",
            Lang::C => "make",
        }
    }

    const fn test(&self) -> &'static str {
        match self.lang {
            Lang::Rust => "cargo test",
            Lang::C => "make check",
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "lang": self.lang.name(), "folder": show_path(&self.folder).to_string(),
            "files": self.files, "contract": project::VERSION, "build": self.build(), "test": self.test(),
        })
    }

    fn to_text(&self) -> String {
        let folder = show_path(&self.folder);
        let mut text = String::new();
        for file in &self.files {
            text += &format!("  {}\n", show_path(&self.folder.join(file)));
        }
        text + &format!(
            "Build it with\n  cd {folder} && {}\nand test it with `{}`.\n",
            self.build(),
            self.test()
        )
    }
}
