//! The command and plugins for Windows, in Wine. `scripts/test --windows` builds them, and names their folder by the variable
//! `JACKFIELD_WINDOWS`. All happens in a folder on Wine's drive C whose name has a space and a letter beyond ASCII.

mod delivery;
mod isolation;
mod paths;
mod tool;
mod trust;
mod vendor;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::site::{Ended, Running, Site, start};

/// The programs and libraries.
fn built() -> PathBuf {
    env::var_os("JACKFIELD_WINDOWS").expect("scripts/test --windows sets it").into()
}

/// The folder with Wine's drives.
fn prefix() -> PathBuf {
    env::var_os("JACKFIELD_WINE_PREFIX").expect("scripts/test --windows sets it").into()
}

/// What runs a program of Windows.
fn wine() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/wine")
}

/// A folder on drive C with a configuration, and runs of `jackfield.exe` in it.
struct Windows(Site);

impl std::ops::Deref for Windows {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl Windows {
    /// With these plugins, by their names, and a configuration of these backends.
    fn new(plugins: &[&str], backends: &[String]) -> Self {
        let base = prefix().join("drive_c/tests");
        fs::create_dir_all(&base).expect("writable");
        let folder = tempfile::Builder::new().prefix("Program Dateïen ").tempdir_in(base).expect("writable");
        let site = Self(Site::within(folder, &[]));
        site.configure("", backends);
        fs::create_dir(site.path("plugins")).expect("writable");
        for name in plugins {
            site.put(&built().join(format!("{name}.dll")), name);
        }
        site
    }

    /// Replaces the configuration: lines of the table `plugins`, and backends.
    fn configure(&self, plugins: &str, backends: &[String]) {
        let text = format!("[plugins]\npath = [\"plugins\"]\n{plugins}\n{}", backends.concat());
        self.write("half.toml", text);
        fs::rename(self.path("half.toml"), self.path("config.toml")).expect("writable");
    }

    /// Puts a library into the folder of plugins, as `NAME.dll`.
    fn put(&self, library: &Path, name: &str) -> PathBuf {
        let path = self.path(&format!("plugins/{name}.dll"));
        fs::copy(library, &path).expect("built by scripts/test --windows");
        path
    }

    /// The command with these arguments.
    fn jackfield(&self, arguments: &[&str]) -> Command {
        let program = built().join("jackfield.exe");
        self.wine(&[&[program.to_str().expect("UTF-8")], arguments].concat())
    }

    /// A program of Windows, with its arguments.
    fn wine(&self, words: &[&str]) -> Command {
        let mut command = self.command_of(&wine(), words);
        // Wine's own drive C is the home.
        command.env_remove("HOME").env_remove("XDG_CONFIG_HOME");
        command
    }

    /// The path of a file in this folder, as programs of Windows have it.
    fn on_drive_c(&self, name: &str) -> String {
        let path = self.path(name).display().to_string();
        format!("C:{}", path.split_once("drive_c").expect("on drive C").1.replace('/', "\\"))
    }

    /// A program and its arguments, with folders of its own for what Windows keeps for a user and for all. Wine takes these
    /// variables from its registry, and not from its environment.
    fn with_own_folders(&self, program: &Path, arguments: &[&str]) -> Command {
        let set = ["APPDATA", "LOCALAPPDATA", "ProgramData"]
            .map(|name| format!("set {name}={}&&", self.on_drive_c(&name.to_lowercase())));
        let line = format!("{}{} {}", set.concat(), on_drive_z(program), arguments.join(" "));
        self.wine(&["cmd", "/c", &line])
    }

    /// Runs the command to its end, without input.
    fn run(&self, arguments: &[&str]) -> Ended {
        start(self.jackfield(arguments).stdin(Stdio::null())).end()
    }

    /// Sends lines through standard input, with a summary in JSON.
    fn send(&self, input: &str, arguments: &[&str]) -> Ended {
        let mut running =
            start(self.jackfield(&[&["send", "--json"], arguments].concat()).stdin(Stdio::piped()));
        running.feed(input.into());
        running.end()
    }

    /// Starts `jackfield run` with the state folder `state`.
    fn runs(&self, arguments: &[&str]) -> Running {
        start(self.jackfield(&[&["run", "--state", "state"], arguments].concat()).stdin(Stdio::piped()))
    }
}

/// The table of a backend of the plugin with this name.
fn backend(plugin: &str, rest: &str) -> String {
    format!("[[backend]]\nplugin = {plugin:?}\n{rest}\n")
}

/// The path of a file of this machine, as programs of Windows have it.
fn on_drive_z(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

/// The numbers of the processes whose command line has all these words. Wine starts a process of Linux for each of Windows,
/// with the same arguments.
fn processes(words: &[&str]) -> Vec<u32> {
    let found = fs::read_dir("/proc").expect("Linux").flatten();
    let number = |entry: fs::DirEntry| -> Option<u32> {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        let is_one = words.iter().all(|word| line.contains(word));
        is_one.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    };
    found.filter_map(number).collect()
}
