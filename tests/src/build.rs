//! Builds by cargo.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// One build of a package of this workspace.
#[derive(Clone, Debug)]
pub struct Build {
    package: String,
    toolchain: Option<String>,
    panic_abort: bool,
    release: bool,
}

impl Build {
    /// The package as `cargo test` builds it: by the toolchain that runs now, in the profile `dev` unless
    /// [`is_release`](super::is_release) says otherwise.
    #[must_use]
    pub fn package(name: &str) -> Self {
        Self { package: name.to_owned(), toolchain: None, panic_abort: false, release: super::is_release() }
    }

    /// The library of one of the Rust plugins that Jackfield ships, such as `stdout`.
    #[must_use]
    pub fn plugin(name: &str) -> Self {
        Self::package(&format!("jackfield-{name}-library"))
    }

    /// By the toolchain of this name, in a target folder of its own.
    #[must_use]
    pub fn toolchain(mut self, name: &str) -> Self {
        self.toolchain = Some(name.to_owned());
        self
    }

    /// With `panic = "abort"`, in a target folder of its own.
    #[must_use]
    pub fn panic_abort(mut self) -> Self {
        self.panic_abort = true;
        self
    }

    /// In the profile `release`.
    #[must_use]
    pub fn release(mut self) -> Self {
        self.release = true;
        self
    }

    /// Builds the package's library, and gives the path of a copy that is the user's alone.
    ///
    /// # Panics
    /// When the build fails.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        let variant = self.variant();
        super::once(&format!("{variant}/{}", self.package), || {
            let built = self.run("cdylib", "filenames");
            let name = built.file_name().expect("cargo names a file").to_string_lossy().into_owned();
            let folder = super::target().join("test-plugins").join(&variant);
            super::private(&folder, &name, |path| fs::copy(&built, path).map(drop))
                .unwrap_or_else(|error| panic!("{}: {error}", built.display()))
        })
    }

    /// Builds the package's binary of this name, and gives its path.
    ///
    /// # Panics
    /// When the build fails.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        super::once(&format!("{}/{}/bin/{name}", self.variant(), self.package), || {
            let built = self.run_with(&["--bin", name], "bin", "executable");
            assert_eq!(built.file_stem(), Some(name.as_ref()), "the binary of {}", self.package);
            built
        })
    }

    /// Builds the package's example of this name with a feature of the package, and gives its path.
    ///
    /// # Panics
    /// When the build fails.
    #[must_use]
    pub fn example(&self, name: &str, feature: &str) -> PathBuf {
        super::once(&format!("{}/{}/example/{name}", self.variant(), self.package), || {
            self.run_with(&["--example", name, "--features", feature], "example", "executable")
        })
    }

    /// What tells this build from others of the package.
    fn variant(&self) -> String {
        let mut variant = self.toolchain.clone().unwrap_or_else(|| "host".to_owned());
        for (set, suffix) in [(self.panic_abort, "-abort"), (self.release, "-release")] {
            if set {
                variant.push_str(suffix);
            }
        }
        variant
    }

    /// Runs cargo, and finds the artefact of `kind` in what it says under the key `files`.
    fn run(&self, kind: &str, files: &str) -> PathBuf {
        self.run_with(&[], kind, files)
    }

    fn run_with(&self, arguments: &[&str], kind: &str, files: &str) -> PathBuf {
        let mut command = self.cargo();
        command.current_dir(super::workspace()).args([
            "build",
            "--quiet",
            "--message-format=json-render-diagnostics",
            "-p",
            &self.package,
        ]);
        command.args(arguments);
        if self.release {
            command.arg("--release");
        }
        if self.panic_abort {
            let profile = if self.release { "RELEASE" } else { "DEV" };
            command.env(format!("CARGO_PROFILE_{profile}_PANIC"), "abort");
        }
        if self.panic_abort || self.toolchain.is_some() {
            // Under the default folder these would push out what the other tests have built.
            command
                .arg("--target-dir")
                .arg(super::target().join("test-plugins").join("build").join(self.variant()));
        }
        super::without_own_package(&mut command);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}{command:?}: {}\n{said}", self.hint(), output.status);
        artefact(&output.stdout, kind, files)
            .unwrap_or_else(|| panic!("{} has no {kind}:\n{command:?}\n{said}", self.package))
    }

    fn cargo(&self) -> Command {
        match &self.toolchain {
            None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))),
            Some(toolchain) => {
                let mut command = Command::new("rustup");
                command.args(["run", toolchain, "cargo"]);
                // `cargo test` sets these for the toolchain that it belongs to.
                for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
                    command.env_remove(name);
                }
                command
            }
        }
    }

    fn hint(&self) -> String {
        self.toolchain.as_ref().map_or_else(String::new, |toolchain| {
            format!("toolchain {toolchain} (scripts/setup installs it): ")
        })
    }
}

/// The last artefact of `kind`: cargo builds the package itself after all that it depends on.
fn artefact(messages: &[u8], kind: &str, files: &str) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
        })
        .filter_map(|message| match &message[files] {
            Value::String(file) => Some(PathBuf::from(file)),
            Value::Array(files) => {
                files.iter().filter_map(Value::as_str).map(Path::new).find(is_library).map(Path::to_owned)
            }
            _ => None,
        })
        .next_back()
}

fn is_library(path: &&Path) -> bool {
    path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
}
