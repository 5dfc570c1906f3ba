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

use self::project::{File, Lang};
use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    settings::VERSION,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield new acme_lines --lang rust\n  \
         jackfield new acme_lines --lang c --dir plugins/acme",
    notes: "The project sends events as lines over TCP; replace this by the protocol of your platform.\n\
         It has tests against a local server, a README, a script `ci` and a workflow that runs the\n\
         script. Nothing is overwritten. The contract is in the project: the header jackfield.h or,\n\
         for Rust, a copy of the crate jackfield-plugin-api. It builds with the tools of its language:\n\
         cargo; a compiler and make for c and cpp; Go 1.19 and a C compiler; Zig 0.17. Plugins in Go\n\
         and Zig run in processes of their own.\n\n\
         With --json, an object of: name, lang, folder, files, contract, build, test.",
};

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the plugin: lower-case letters, digits and `_`
    name: String,
    /// Language of the project
    #[arg(long, value_enum)]
    lang: Lang,
    /// Folder of the project, new or empty; by default NAME in the current one
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Build a project in Rust with this copy of the contract instead of one of its own: the folder plugin-api
    /// of Jackfield's source, or its parent
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    contract: Option<PathBuf>,
}

pub(crate) fn run(args: &NewArgs, json: bool) -> Result<Exit, CommandError> {
    let (folder, files) = make(args)?;
    let (build, test) = args.lang.commands(&args.name);
    let shown = show_path(&folder);
    if json {
        console::print_json(&json!({
            "name": args.name, "lang": args.lang, "folder": shown, "files": files,
            "contract": VERSION, "build": build, "test": test,
        }))?;
    } else {
        let files: String =
            files.iter().map(|file| format!("  {}\n", show_path(&folder.join(file)))).collect();
        console::print(&format!(
            "{files}Build it with\n  cd {shown} && {build}\nand test it with `{test}`.\n"
        ))?;
    }
    Ok(Exit::Done)
}

fn usage(text: impl Into<String>) -> CommandError {
    CommandError::Usage(text.into())
}

/// Makes the project. Gives its folder, and its files relative to the folder.
fn make(args: &NewArgs) -> Result<(PathBuf, Vec<String>), CommandError> {
    name::check(&args.name)?;
    if args.contract.is_some() && args.lang != Lang::Rust {
        return Err(usage("--contract is for --lang rust: any other project has the header in it"));
    }
    let contract = args.contract.as_deref().map(contract_folder).transpose()?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    take_folder(&folder)?;
    let files = project::files(args.lang, &args.name, contract.as_deref());
    for file in &files {
        write(&folder.join(&file.path), file)?;
    }
    Ok((folder, files.into_iter().map(|file| file.path).collect()))
}

/// The folder of the crate `jackfield-plugin-api`: `path` itself, or `plugin-api` in it. It has to be of this version: the
/// project names it, so that another one would not build.
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
    match version_of(&folder) {
        Some(version) if version == VERSION => {}
        found => {
            return Err(usage(format!(
                "--contract {}: expected jackfield-plugin-api {VERSION}, which is this command's version, found {}",
                show_path(path),
                found.unwrap_or_else(|| "none".to_owned())
            )));
        }
    }
    std::path::absolute(&folder).map_err(CommandError::system(show_path(&folder)))
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
