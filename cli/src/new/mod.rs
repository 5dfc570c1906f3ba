//! `jackfield new`: a plugin project that builds, and whose tests pass, as it is.

pub(crate) mod args;
mod name;
mod project;

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    console,
    exit::Exit,
    new::{
        args::{Lang, NewArgs},
        project::{Contract, File},
    },
    output,
};

pub(crate) fn run(args: &NewArgs, json: bool) -> Exit {
    match make(args) {
        Ok(made) => {
            if made.lang == Lang::Rust && args.contract.is_none() {
                console::warn(UNPUBLISHED);
            }
            output::text(&if json { made.to_json() } else { made.to_text() })
        }
        Err(Refusal { exit, text }) => {
            console::error(text);
            exit
        }
    }
}

/// Said of a project that gets the contract from a registry.
const UNPUBLISHED: &str = "jackfield-plugin-api is on no registry yet, so that the project does not build as it is: \
    make it with --contract PATH, a copy of Jackfield's repository, or give that path in its Cargo.toml";

struct Refusal {
    exit: Exit,
    text: String,
}

fn usage(text: impl Into<String>) -> Refusal {
    Refusal { exit: Exit::Usage, text: text.into() }
}

fn io_error(path: &Path, error: &io::Error) -> Refusal {
    Refusal { exit: Exit::Io, text: format!("{}: {error}", path.display()) }
}

/// A project that was written.
struct Made {
    name: String,
    lang: Lang,
    folder: PathBuf,
    files: Vec<&'static str>,
}

fn make(args: &NewArgs) -> Result<Made, Refusal> {
    name::check(&args.name).map_err(usage)?;
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
fn contract_folder(path: &Path) -> Result<PathBuf, Refusal> {
    let is_contract = |folder: &PathBuf| {
        fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line == "name = \"jackfield-plugin-api\""))
    };
    let folder = [path.to_owned(), path.join("plugin-api")].into_iter().find(is_contract).ok_or_else(|| {
        usage(format!(
            "--contract {}: expected the folder of the crate jackfield-plugin-api, or Jackfield's repository",
            path.display()
        ))
    })?;
    std::path::absolute(&folder).map_err(|error| io_error(&folder, &error))
}

/// Makes the folder unless it is there and empty.
fn take_folder(folder: &Path) -> Result<(), Refusal> {
    fs::create_dir_all(folder).map_err(|error| io_error(folder, &error))?;
    let mut entries = fs::read_dir(folder).map_err(|error| io_error(folder, &error))?;
    if entries.next().is_some() {
        return Err(usage(format!(
            "{}: the folder is not empty, and nothing is overwritten: choose another one by --dir",
            folder.display()
        )));
    }
    Ok(())
}

fn write(path: &Path, file: &File) -> Result<(), Refusal> {
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
    attempt().map_err(|error| io_error(path, &error))
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

    fn to_json(&self) -> String {
        let value = json!({
            "name": self.name, "lang": self.lang.name(), "folder": self.folder.display().to_string(),
            "files": self.files, "contract": project::VERSION, "build": self.build(), "test": self.test(),
        });
        format!("{value:#}\n")
    }

    fn to_text(&self) -> String {
        let folder = self.folder.display().to_string();
        let mut text = String::new();
        for file in &self.files {
            text += &format!("  {}\n", console::one_line(&format!("{folder}/{file}")));
        }
        let folder = console::one_line(&folder);
        text + &format!(
            "Build it with\n  cd {folder} && {}\nand test it with `{}`.\n",
            self.build(),
            self.test()
        )
    }
}
