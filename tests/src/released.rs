//! The checked-in plugins of `tests/skew/plugins`, which stand for what vendors have shipped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// One library that was built against a released contract.
#[derive(Debug, Clone)]
pub struct Released {
    /// The contract's version.
    pub contract: String,
    /// Name of the file.
    pub name: String,
    /// SHA-256 of the file by the manifest, in hexadecimal digits.
    pub sha256: String,
    /// The file as it is checked in.
    pub file: PathBuf,
}

impl Released {
    /// A copy that is the user's alone, whatever the modes of the working copy are.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn private(&self) -> PathBuf {
        super::once(&format!("released/{}/{}", self.contract, self.name), || {
            let folder = super::target().join("test-plugins/released").join(&self.contract);
            super::private(&folder, &self.name, |path| fs::copy(&self.file, path).map(drop))
                .unwrap_or_else(|error| panic!("{}: {error}", self.file.display()))
        })
    }
}

/// The folder of each released contract, with what its manifest lists.
///
/// # Panics
/// When a manifest is missing or not of its form.
#[must_use]
pub fn released() -> Vec<(PathBuf, Vec<Released>)> {
    let plugins = super::workspace().join("tests/skew/plugins");
    let entries = fs::read_dir(&plugins).unwrap_or_else(|error| panic!("{}: {error}", plugins.display()));
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    folders.sort();
    folders.into_iter().map(|folder| (folder.clone(), manifest(&folder))).collect()
}

fn manifest(folder: &Path) -> Vec<Released> {
    let path = folder.join("manifest.json");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let manifest: Value = serde_json::from_slice(&text).expect("a manifest is JSON");
    let member =
        |value: &Value, name: &str| value[name].as_str().unwrap_or_else(|| panic!("{name}")).to_owned();
    let files = manifest["files"].as_array().expect("a list of files");
    let one = |file: &Value| Released {
        contract: member(&manifest, "contract"),
        name: member(file, "name"),
        sha256: member(file, "sha256"),
        file: folder.join(member(file, "name")),
    };
    files.iter().map(one).collect()
}
