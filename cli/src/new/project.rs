//! The files of a project, from templates that are embedded in this program.

use std::path::Path;

use jackfield_loader::plugin_api::HEADER;

// The contract and this program have the same version.
use crate::settings::VERSION;

/// The language of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lang {
    /// Rust
    Rust,
    /// C
    C,
}

/// The dependency on the contract in `Cargo.toml`: the crate in this folder, else the one of a registry.
fn dependency(contract: Option<&Path>) -> String {
    match contract {
        None => format!("\"={VERSION}\""),
        Some(folder) => {
            // A string of JSON is one of TOML.
            let path = serde_json::Value::from(folder.to_string_lossy());
            format!("{{ path = {path}, version = \"={VERSION}\" }}")
        }
    }
}

/// A file of a project.
pub(super) struct File {
    /// Relative to the project's folder.
    pub(super) path: &'static str,
    pub(super) text: String,
    pub(super) executable: bool,
}

macro_rules! templates {
    ($($path:literal: $template:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("templates/", $template)))),*]
    };
}

const RUST: &[(&str, &str)] = templates! {
    ".github/workflows/ci.yml": "shared/ci.yml.in",
    ".gitignore": "rust/gitignore.in",
    "Cargo.toml": "rust/Cargo.toml.in",
    "README.md": "rust/README.md.in",
    "ci": "rust/ci.in",
    "config.schema.json": "rust/config.schema.json.in",
    "rustfmt.toml": "rust/rustfmt.toml.in",
    "src/lib.rs": "rust/lib.rs.in",
    "src/wire.rs": "rust/wire.rs.in",
    "src/wire/tests.rs": "rust/tests.rs.in",
};

const C: &[(&str, &str)] = templates! {
    ".github/workflows/ci.yml": "shared/ci.yml.in",
    ".gitignore": "c/gitignore.in",
    "Makefile": "c/Makefile.in",
    "README.md": "c/README.md.in",
    "ci": "c/ci.in",
    "config.c": "c/config.c.in",
    "config.h": "c/config.h.in",
    "plugin.c": "c/plugin.c.in",
    "test.c": "c/test.c.in",
    "wire.c": "c/wire.c.in",
    "wire.h": "c/wire.h.in",
};

/// The files of a project. `contract` is the folder of the crate for a project in Rust.
pub(super) fn files(lang: Lang, name: &str, contract: Option<&Path>) -> Vec<File> {
    let templates = match lang {
        Lang::Rust => RUST,
        Lang::C => C,
    };
    let filled = |template: &str| {
        template
            .replace("@NAME@", name)
            .replace("@VERSION@", VERSION)
            .replace("@CONTRACT@", &dependency(contract))
    };
    let mut files: Vec<_> = templates
        .iter()
        .map(|(path, template)| File { path, text: filled(template), executable: *path == "ci" })
        .collect();
    if lang == Lang::C {
        files.push(File { path: "jackfield.h", text: HEADER.to_owned(), executable: false });
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        for lang in [Lang::Rust, Lang::C] {
            for file in files(lang, "acme", None) {
                let left =
                    ["@NAME@", "@VERSION@", "@CONTRACT@"].into_iter().find(|it| file.text.contains(it));
                assert_eq!(left, None, "{}", file.path);
                assert!(file.text.ends_with('\n'), "{}", file.path);
            }
        }
    }

    #[test]
    fn the_version_of_the_contract_is_pinned() {
        let manifest = |contract| {
            let files = files(Lang::Rust, "acme", contract);
            files.into_iter().find(|file| file.path == "Cargo.toml").expect("a manifest").text
        };
        let by_version = manifest(None);
        assert!(by_version.contains(&format!("jackfield-plugin-api = \"={VERSION}\"\n")), "{by_version}");
        let by_path = manifest(Some(Path::new("/a \"b\"/plugin-api")));
        let expected =
            format!(r#"jackfield-plugin-api = {{ path = "/a \"b\"/plugin-api", version = "={VERSION}" }}"#);
        assert!(by_path.contains(&expected), "{by_path}");
    }
}
