//! `jackfield new`: makes a plugin project that builds and whose tests pass.
#![expect(
    clippy::disallowed_methods,
    reason = "a project is the user's, with the modes of the user's other files"
)]

mod name;
mod project;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use jackfield_loader::show_path;
use serde_json::json;

use self::project::{CONTRACT, Crate, File, Lang, Project};
use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
    settings::VERSION,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield new acme_lines --lang rust\n  \
         jackfield new acme_lines --lang rust --async\n  \
         jackfield new acme_lines --lang c --dir plugins/acme",
    notes: "The project sends events as lines over TCP; replace this by the protocol of your platform.\n\
         It has tests against a local server, a README, a script `ci` and a workflow that runs the\n\
         script. Nothing is overwritten. The contract is in the project: the header jackfield.h or,\n\
         for Rust, a copy of the crate jackfield-plugin-api, with --async also of the crate\n\
         jackfield-plugin-tokio. It builds with the tools of its language: cargo; a compiler and make\n\
         for c and cpp; Go 1.19 and a C compiler; Zig 0.17. A tool that is not found is a warning.\n\
         Plugins in Go and Zig run in processes of their own.\n\n\
         With --json, an object of: name, lang, async, folder, files, contract, build, test,\n\
         missing_tools.",
};

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the plugin: lower-case letters, digits and `_`
    name: String,
    /// Language of the project
    #[arg(long, value_enum)]
    lang: Lang,
    /// A plugin in Rust whose functions are async, on a runtime of tokio
    #[arg(long = "async")]
    is_async: bool,
    /// Folder of the project, new or empty; by default NAME in the current one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Build a project in Rust with this copy of the contract instead of one of its own: the folder plugin-api
    /// of Jackfield's source, or its parent. With --async, the folder plugin-tokio beside it is used, too
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    contract: Option<PathBuf>,
}

pub(crate) fn run(args: &NewArgs, json: bool) -> Result<Exit, CommandError> {
    name::check(&args.name)?;
    if args.lang != Lang::Rust {
        if args.contract.is_some() {
            return Err(usage("--contract is for --lang rust: any other project has the header in it"));
        }
        if args.is_async {
            return Err(usage("--async is for --lang rust: the functions of any other project block"));
        }
    }
    let contract = args.contract.as_deref().map(contract_folder).transpose()?;
    let NewArgs { name, lang, is_async, .. } = args;
    let project = Project { lang: *lang, is_async: *is_async, name, contract: contract.as_deref() };
    check_crates(&project)?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    take_folder(&folder)?;
    let files = project.files();
    for file in &files {
        write(&folder.join(&file.path), file)?;
    }

    let (build, test) = project.commands();
    let missing = project.missing_tools();
    let shown = show_path(&folder);
    if json {
        let files: Vec<_> = files.iter().map(|file| &file.path).collect();
        console::print_json(&json!({
            "name": name, "lang": lang, "async": is_async, "folder": shown, "files": files,
            "contract": VERSION, "build": build, "test": test, "missing_tools": missing,
        }))?;
    } else {
        let files: String =
            files.iter().map(|file| format!("  {}\n", show_path(&folder.join(&file.path)))).collect();
        console::print(&format!(
            "{files}Build it with\n  cd {shown} && {build}\nand test it with `{test}`.\n"
        ))?;
    }
    for tool in missing {
        log::warn(format!("`{tool}` is not found on PATH: install it, or `{build}` fails"));
    }
    Ok(Exit::Done)
}

fn usage(text: impl Into<String>) -> CommandError {
    CommandError::Usage(text.into())
}

/// The folder of the crate `jackfield-plugin-api`: `path` itself, or `plugin-api` in it.
fn contract_folder(path: &Path) -> Result<PathBuf, CommandError> {
    let folders = [path.to_owned(), path.join(CONTRACT.folder)];
    let folder = folders.into_iter().find(|folder| has_crate(folder, &CONTRACT)).ok_or_else(|| {
        usage(format!(
            "--contract {}: expected the folder of the crate jackfield-plugin-api, or Jackfield's repository",
            show_path(path)
        ))
    })?;
    std::path::absolute(&folder).map_err(CommandError::system(show_path(&folder)))
}

fn has_crate(folder: &Path, of: &Crate) -> bool {
    let name = format!("name = \"{}\"", of.name);
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line == name))
}

/// Checks that the crates which a project names by their folders are there and of this version: the project names it, so
/// that another one would not build.
fn check_crates(project: &Project<'_>) -> Result<(), CommandError> {
    let Some(contract) = project.contract else { return Ok(()) };
    for of in project.crates() {
        let folder = of.beside(contract);
        let found = version_of(&folder).filter(|_| has_crate(&folder, of));
        if found.as_deref() != Some(VERSION) {
            return Err(usage(format!(
                "--contract {}: expected {} {VERSION}, which is this command's version, found {}",
                show_path(&folder),
                of.name,
                found.as_deref().unwrap_or("none")
            )));
        }
    }
    Ok(())
}

/// The version in the manifest of a crate, or in that of the workspace around it.
fn version_of(folder: &Path) -> Option<String> {
    let version = |manifest: PathBuf| {
        let text = fs::read_to_string(manifest).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    version(folder.join("Cargo.toml")).or_else(|| version(folder.parent()?.join("Cargo.toml")))
}

/// Makes the folder, if it does not exist. Otherwise it has to be empty.
fn take_folder(folder: &Path) -> Result<(), CommandError> {
    if let Some(file) = folder.ancestors().find(|path| path.is_file()) {
        return Err(usage(format!(
            "{}: expected a folder, found a file, and nothing is overwritten: choose another one by --dir",
            show_path(file)
        )));
    }
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
