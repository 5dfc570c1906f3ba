//! The plugin of the guide for Rust, made as a reader makes it: by the commands and the blocks of the page, in order.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cli,
    pages::{Block, blocks_of_page},
    project::{cargo_in, project_target, succeeds},
};

/// The guide.
pub const PAGE: &str = "docs/backend-in-rust.md";

/// The plugin that it writes.
pub const NAME: &str = "acme";

/// `PATH`, with the folder of this command before all others.
#[must_use]
pub fn search_path(command: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = command.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("no folder has a separator")
}

/// Makes the guide's project in an empty folder, and gives the project's folder. `jackfield` is the command that the guide
/// calls.
///
/// # Panics
/// When a block does not do what the guide says.
#[must_use]
pub fn make(folder: &Path, jackfield: &Path) -> PathBuf {
    let project = folder.join(NAME);
    let mut begun = HashSet::new();
    for Block { at, info, lines, .. } in blocks_of_page(PAGE) {
        let text = lines.join("\n") + "\n";
        if info == ["sh", "project"] {
            let mut shell = Command::new("sh");
            shell.args(["-e", "-u", "-c", &text]).current_dir(folder).env("PATH", search_path(jackfield));
            succeeds(&mut shell);
        } else if let Some(path) = info.get(1).and_then(|way| way.strip_prefix("project=")) {
            let is_first = begun.insert(path.to_owned());
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(is_first).append(!is_first);
            let text = if is_first { text } else { format!("\n{text}") };
            let written =
                options.open(project.join(path)).and_then(|mut file| file.write_all(text.as_bytes()));
            written.unwrap_or_else(|error| panic!("{at}: {path}: {error}"));
        }
    }
    project
}

/// The guide's project, made once a process.
///
/// # Panics
/// As [`make`].
#[must_use]
pub fn project() -> PathBuf {
    let jackfield = cli();
    super::once("guide/project", || {
        // Always the same folder: cargo keeps what it has built of another one.
        let folder = super::target().join("test-plugins/build/guide");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("writable");
        // Ends clippy's search for rules, which are those of this repository in a folder above.
        fs::write(folder.join("clippy.toml"), "").expect("writable");
        make(&folder, &jackfield)
    })
}

/// The library of the guide's project.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn library() -> PathBuf {
    let project = project();
    super::made("guide", NAME, |path| {
        succeeds(cargo_in(&project).args(["build", "--quiet"]));
        let built = format!("{}{NAME}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        fs::copy(project_target().join("debug").join(built), path).map(drop)
    })
}
