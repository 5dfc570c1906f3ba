//! The files of a project, from templates that the build script has packed into this program.

use std::{collections::HashMap, io::Read as _, path::Path};

use crate::{gzip, settings::VERSION};

/// The language of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lang {
    /// Rust
    Rust,
    /// C
    C,
    /// C++
    Cpp,
    /// Go
    Go,
    /// Zig
    Zig,
}

/// A file of a project.
pub(super) struct File {
    /// Relative to the project's folder.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) executable: bool,
}

/// A language: its files, and what its tools are told.
struct Language {
    /// The paths of its files in a project, and their templates.
    files: &'static [(&'static str, &'static str)],
    /// Builds the library.
    build: &'static str,
    /// Builds and runs the tests.
    test: &'static str,
    /// All that has to pass, after which there is the library.
    commands: &'static str,
    /// The path of the library, without its ending.
    library: &'static str,
    /// The systems of the workflow, and the step that installs the tools which these lack.
    systems: &'static str,
    setup: &'static str,
}

const BOTH: &str = "ubuntu-latest, macos-latest";

/// Where hosts have processes for plugins.
const LINUX: &str = "ubuntu-latest";

const HEADER: (&str, &str) = ("jackfield.h", "contract/include/jackfield.h");

impl Lang {
    const fn language(self) -> Language {
        match self {
            Self::Rust => Language {
                files: &[
                    (".gitignore", "rust/gitignore.in"),
                    ("Cargo.toml", "rust/Cargo.toml.in"),
                    ("config.schema.json", "rust/config.schema.json.in"),
                    ("rustfmt.toml", "rust/rustfmt.toml.in"),
                    ("src/lib.rs", "rust/lib.rs.in"),
                    ("src/wire.rs", "rust/wire.rs.in"),
                    ("src/wire/tests.rs", "rust/tests.rs.in"),
                    ("README.md", "rust/README.md.in"),
                ],
                build: "cargo build --release",
                test: "cargo test",
                commands: "cargo fmt --check\ncargo clippy --quiet --all-targets --no-deps -- -D warnings\n\
                           cargo test --quiet\ncargo build --quiet --release",
                library: "target/release/lib@NAME@",
                systems: BOTH,
                setup: "",
            },
            Self::C => Language {
                files: &[
                    HEADER,
                    (".gitignore", "c/gitignore.in"),
                    ("Makefile", "c/Makefile.in"),
                    ("config.c", "c/config.c.in"),
                    ("config.h", "c/config.h.in"),
                    ("plugin.c", "c/plugin.c.in"),
                    ("test.c", "shared/test.c.in"),
                    ("wire.c", "c/wire.c.in"),
                    ("wire.h", "c/wire.h.in"),
                    ("README.md", "c/README.md.in"),
                ],
                systems: BOTH,
                ..Self::MAKE
            },
            Self::Cpp => Language {
                files: &[
                    HEADER,
                    (".gitignore", "c/gitignore.in"),
                    ("Makefile", "cpp/Makefile.in"),
                    ("plugin.cpp", "cpp/plugin.cpp.in"),
                    ("test.c", "shared/test.c.in"),
                    ("wire.cpp", "cpp/wire.cpp.in"),
                    ("wire.hpp", "cpp/wire.hpp.in"),
                    ("README.md", "cpp/README.md.in"),
                ],
                systems: BOTH,
                ..Self::MAKE
            },
            Self::Go => Language {
                files: &[
                    HEADER,
                    (".gitignore", "go/gitignore.in"),
                    ("boundary.c", "shared/boundary.c.in"),
                    ("boundary.h", "shared/boundary.h.in"),
                    ("go.mod", "go/go.mod.in"),
                    ("plugin.go", "go/plugin.go.in"),
                    ("wire.go", "go/wire.go.in"),
                    ("wire_test.go", "go/wire_test.go.in"),
                    ("README.md", "go/README.md.in"),
                ],
                build: "go build -buildmode=c-shared -o lib@NAME@.so",
                test: "go test",
                commands: "test -z \"$(gofmt -l .)\"\ngo vet\ngo test\ngo build -buildmode=c-shared -o lib@NAME@.so",
                library: "lib@NAME@",
                systems: LINUX,
                setup: "      - uses: actions/setup-go@v5\n        with: { go-version: stable }\n",
            },
            Self::Zig => Language {
                files: &[
                    HEADER,
                    (".gitignore", "zig/gitignore.in"),
                    ("boundary.c", "shared/boundary.c.in"),
                    ("boundary.h", "shared/boundary.h.in"),
                    ("build.zig", "zig/build.zig.in"),
                    ("plugin.zig", "zig/plugin.zig.in"),
                    ("wire.zig", "zig/wire.zig.in"),
                    ("README.md", "zig/README.md.in"),
                ],
                build: "zig build",
                test: "zig build test",
                commands: "zig fmt --check *.zig\nzig build test\nzig build",
                library: "zig-out/lib/lib@NAME@",
                systems: LINUX,
                setup: "      - run: pip install ziglang==0.17.0 && ln -s \"$(python3 -c 'import ziglang; \
                        print(ziglang.__path__[0])')/zig\" /usr/local/bin/zig\n",
            },
        }
    }

    const MAKE: Language = Language {
        files: &[],
        build: "make",
        test: "make check",
        commands: "make clean\nmake check",
        library: "lib@NAME@",
        systems: LINUX,
        setup: "",
    };

    /// The commands that build a plugin of this name, and its tests.
    pub(super) fn commands(self, name: &str) -> (String, &'static str) {
        let language = self.language();
        (language.build.replace("@NAME@", name), language.test)
    }
}

/// The files of every project.
const ALWAYS: &[(&str, &str)] = &[("ci", "shared/ci.in"), (".github/workflows/ci.yml", "shared/ci.yml.in")];

/// The folder of the contract in a project in Rust.
const CONTRACT: &str = "contract/";

/// The templates by their names, and the files of the contract's crate below [`CONTRACT`].
fn templates() -> HashMap<String, String> {
    let mut all = String::new();
    let packed: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/templates.gz"));
    gzip::decompressed(packed).read_to_string(&mut all).expect("the build script has packed them");
    let mut parts = all.split('\0').map(str::to_owned);
    let mut found = HashMap::new();
    while let (Some(name), Some(text)) = (parts.next(), parts.next()) {
        found.insert(name, text);
    }
    found
}

/// The files of a project. `contract` is a folder of the crate for a project in Rust, which otherwise gets a copy of it.
pub(super) fn files(lang: Lang, name: &str, contract: Option<&Path>) -> Vec<File> {
    let templates = templates();
    let language = lang.language();
    // A string of JSON is one of TOML.
    let path = contract.map_or_else(|| "contract".into(), Path::to_string_lossy);
    let path = serde_json::Value::from(path);
    let dependency = format!("{{ path = {path}, version = \"={VERSION}\" }}");
    let for_tests =
        format!("{{ path = {path}, version = \"={VERSION}\", features = [\"schema\", \"test-host\"] }}");
    let origin = match contract {
        None => {
            "the folder `contract` is a copy of that crate, which nothing else of Jackfield has to stand beside"
        }
        Some(_) => "`Cargo.toml` has the path of that crate",
    };
    let word = match lang {
        Lang::Go => "go",
        _ => "zig",
    };
    let panic = if lang == Lang::Go { "unwind" } else { "abort" };
    let filled = |template: &str| {
        template
            .replace("@USING@\n", &templates["shared/using.md.in"])
            .replace("@COMMANDS@", language.commands)
            .replace("@LIBRARY@", language.library)
            .replace("@SYSTEMS@", language.systems)
            .replace("@SETUP@", language.setup)
            .replace("@LANGUAGE@", word)
            .replace("@PANIC@", panic)
            .replace("@ORIGIN@", origin)
            .replace("@CONTRACT@", &dependency)
            .replace("@CONTRACT_FOR_TESTS@", &for_tests)
            .replace("@VERSION@", VERSION)
            .replace("@NAME@", name)
    };
    let named = language.files.iter().chain(ALWAYS).map(|(path, template)| File {
        path: (*path).to_owned(),
        text: filled(&templates[*template]),
        executable: *path == "ci",
    });
    let mut files: Vec<_> = named.collect();
    if lang == Lang::Rust && contract.is_none() {
        let manifest = filled(&templates["rust/contract.toml.in"]);
        files.push(File { path: format!("{CONTRACT}Cargo.toml"), text: manifest, executable: false });
        let source = templates.iter().filter(|(name, _)| name.starts_with(CONTRACT));
        files.extend(source.map(|(name, text)| File {
            path: name.clone(),
            text: text.clone(),
            executable: false,
        }));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn file_of(lang: Lang, path: &str, contract: Option<&Path>) -> String {
        let files = files(lang, "acme", contract);
        files.into_iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
    }

    #[test]
    fn no_placeholder_is_left_and_each_project_has_a_readme_tests_and_a_ci_file() {
        for lang in Lang::value_variants() {
            let files = files(*lang, "acme", None);
            for file in files.iter().filter(|file| !file.path.starts_with(CONTRACT)) {
                let left = file.text.match_indices('@').find(|(at, _)| {
                    let word = file.text[at + 1..].split('@').next().unwrap_or_default();
                    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
                });
                assert_eq!(left, None, "{lang:?}: {}", file.path);
                assert!(file.text.ends_with('\n'), "{}", file.path);
            }
            let has = |part: &str| files.iter().any(|file| file.path.contains(part));
            assert!(
                has("README.md") && has("test") | has("wire.zig") && has(".github/workflows/ci.yml"),
                "{lang:?}"
            );
        }
    }

    #[test]
    fn a_project_in_rust_has_the_contract_or_names_its_folder() {
        let own = file_of(Lang::Rust, "Cargo.toml", None);
        assert!(
            own.contains(&format!(
                "jackfield-plugin-api = {{ path = \"contract\", version = \"={VERSION}\" }}\n"
            )),
            "{own}"
        );
        assert!(file_of(Lang::Rust, "contract/src/lib.rs", None).contains("The contract between"));
        let by_path = file_of(Lang::Rust, "Cargo.toml", Some(Path::new("/a \"b\"/plugin-api")));
        let expected =
            format!(r#"jackfield-plugin-api = {{ path = "/a \"b\"/plugin-api", version = "={VERSION}" }}"#);
        assert!(by_path.contains(&expected), "{by_path}");
        let files = files(Lang::Rust, "acme", Some(Path::new("/x")));
        assert!(!files.iter().any(|file| file.path.starts_with(CONTRACT)));
    }
}
