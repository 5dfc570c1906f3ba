//! The files of a project, from templates that are part of this program.

use std::path::PathBuf;

use jackfield_loader::plugin_api::HEADER;

use crate::{new::args::Lang, settings};

/// The version of the contract that a project is pinned to. The contract and this program have the same version.
pub(super) const VERSION: &str = settings::VERSION;

/// Where a project in Rust gets the contract from.
pub(super) enum Contract {
    /// From a registry, by [`VERSION`].
    Version,
    /// From this folder.
    Path(PathBuf),
}

impl Contract {
    /// As a dependency in `Cargo.toml`.
    fn dependency(&self) -> String {
        match self {
            Self::Version => format!("\"={VERSION}\""),
            // A string of JSON is one of TOML.
            Self::Path(folder) => {
                let path = serde_json::Value::from(folder.to_string_lossy());
                format!("{{ path = {path}, version = \"={VERSION}\" }}")
            }
        }
    }
}

/// A file of a project.
pub(super) struct File {
    /// Below the project's folder.
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

/// The files of a project.
pub(super) fn files(lang: Lang, name: &str, contract: &Contract) -> Vec<File> {
    let templates = match lang {
        Lang::Rust => RUST,
        Lang::C => C,
    };
    let filled = |template: &str| {
        template
            .replace("@NAME@", name)
            .replace("@VERSION@", VERSION)
            .replace("@CONTRACT@", &contract.dependency())
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
    fn nothing_is_left_to_fill_in() {
        for lang in [Lang::Rust, Lang::C] {
            for file in files(lang, "acme", &Contract::Version) {
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
            let files = files(Lang::Rust, "acme", &contract);
            files.into_iter().find(|file| file.path == "Cargo.toml").expect("a manifest").text
        };
        let by_version = manifest(Contract::Version);
        assert!(by_version.contains(&format!("jackfield-plugin-api = \"={VERSION}\"\n")), "{by_version}");
        let by_path = manifest(Contract::Path("/a \"b\"/plugin-api".into()));
        let expected =
            format!(r#"jackfield-plugin-api = {{ path = "/a \"b\"/plugin-api", version = "={VERSION}" }}"#);
        assert!(by_path.contains(&expected), "{by_path}");
    }
}
