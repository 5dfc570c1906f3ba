//! The files of a project, from templates that the build script has packed into this program.

use std::{
    collections::HashMap,
    env,
    io::Read as _,
    path::{Path, PathBuf},
};

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

/// What a project is to be.
pub(super) struct Project<'a> {
    pub(super) lang: Lang,
    /// Whether the plugin's functions are async.
    pub(super) is_async: bool,
    pub(super) name: &'a str,
    /// The folder of the contract for a project in Rust, which otherwise gets a copy of it.
    pub(super) contract: Option<&'a Path>,
}

/// A crate of Jackfield that plugins in Rust are built on.
pub(super) struct Crate {
    pub(super) name: &'static str,
    /// Its folder in Jackfield's source.
    pub(super) folder: &'static str,
    /// The folder of its copy in a project, which is that of its files among the templates, too.
    copy: &'static str,
    /// The template of the copy's manifest.
    manifest: &'static str,
}

pub(super) const CONTRACT: Crate = Crate {
    name: "jackfield-plugin-api",
    folder: "plugin-api",
    copy: "contract",
    manifest: "rust/contract.toml.in",
};

const TOKIO: Crate = Crate {
    name: "jackfield-plugin-tokio",
    folder: "plugin-tokio",
    copy: "plugin-tokio",
    manifest: "rust/plugin-tokio.toml.in",
};

impl Crate {
    /// Its folder beside that of the contract.
    pub(super) fn beside(&self, contract: &Path) -> PathBuf {
        if self.name == CONTRACT.name { contract.to_owned() } else { contract.with_file_name(self.folder) }
    }
}

/// A program that a project needs.
struct Tool {
    /// Its names, any of which will do.
    programs: &'static [&'static str],
    /// The variable of the environment that names another one.
    variable: Option<&'static str>,
}

const fn tool(programs: &'static [&'static str]) -> Tool {
    Tool { programs, variable: None }
}

const CARGO: Tool = tool(&["cargo"]);
const CC: Tool = Tool { programs: &["cc", "gcc", "clang"], variable: Some("CC") };
const CXX: Tool = Tool { programs: &["c++", "g++", "clang++"], variable: Some("CXX") };
const GO: Tool = tool(&["go"]);
/// Of Rust, which finds it elsewhere on Windows.
const LINKER: Tool = tool(&["cc"]);
const MAKE: Tool = tool(&["make"]);
const ZIG: Tool = tool(&["zig"]);

/// A language: its files, and what its tools are told.
struct Language {
    /// The paths of its files in a project, and their templates.
    files: &'static [&'static [(&'static str, &'static str)]],
    /// The crates that it is built on.
    crates: &'static [Crate],
    /// What builds it and its tests.
    tools: &'static [Tool],
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

/// The files of every project in Rust.
const RUST: &[(&str, &str)] = &[
    (".gitignore", "rust/gitignore.in"),
    ("Cargo.toml", "rust/Cargo.toml.in"),
    ("build.rs", "rust/build.rs.in"),
    ("rustfmt.toml", "rust/rustfmt.toml.in"),
    ("src/config.rs", "rust/config.rs.in"),
    ("src/protocol.rs", "rust/protocol.rs.in"),
    ("src/tests.rs", "rust/tests.rs.in"),
    ("README.md", "rust/README.md.in"),
];

const HEADER: (&str, &str) = ("jackfield.h", "contract/include/jackfield.h");

impl Lang {
    const fn language(self, is_async: bool) -> Language {
        match self {
            Self::Rust if is_async => Language {
                files: &[RUST, &[("src/lib.rs", "rust/async.rs.in")]],
                crates: &[CONTRACT, TOKIO],
                ..Self::CARGO
            },
            Self::Rust => Language {
                files: &[RUST, &[("src/lib.rs", "rust/lib.rs.in"), ("src/wire.rs", "rust/wire.rs.in")]],
                crates: &[CONTRACT],
                ..Self::CARGO
            },
            Self::C => Language {
                files: &[&[
                    HEADER,
                    (".gitignore", "c/gitignore.in"),
                    ("Makefile", "c/Makefile.in"),
                    ("config.c", "c/config.c.in"),
                    ("config.h", "c/config.h.in"),
                    ("net.h", "c/net.h.in"),
                    ("plugin.c", "c/plugin.c.in"),
                    ("test.c", "shared/test.c.in"),
                    ("wire.c", "c/wire.c.in"),
                    ("wire.h", "c/wire.h.in"),
                    ("README.md", "c/README.md.in"),
                ]],
                systems: BOTH,
                ..Self::MAKE
            },
            Self::Cpp => Language {
                files: &[&[
                    HEADER,
                    (".gitignore", "c/gitignore.in"),
                    ("Makefile", "cpp/Makefile.in"),
                    ("plugin.cpp", "cpp/plugin.cpp.in"),
                    ("test.c", "shared/test.c.in"),
                    ("wire.cpp", "cpp/wire.cpp.in"),
                    ("wire.hpp", "cpp/wire.hpp.in"),
                    ("README.md", "cpp/README.md.in"),
                ]],
                // Its tests are in C.
                tools: &[MAKE, CXX, CC],
                systems: BOTH,
                ..Self::MAKE
            },
            Self::Go => Language {
                files: &[&[
                    HEADER,
                    (".gitignore", "go/gitignore.in"),
                    ("boundary.c", "shared/boundary.c.in"),
                    ("boundary.h", "shared/boundary.h.in"),
                    ("go.mod", "go/go.mod.in"),
                    ("plugin.go", "go/plugin.go.in"),
                    ("wire.go", "go/wire.go.in"),
                    ("wire_test.go", "go/wire_test.go.in"),
                    ("README.md", "go/README.md.in"),
                ]],
                crates: &[],
                tools: &[GO, CC],
                build: "go build -buildmode=c-shared -o lib@NAME@.so",
                test: "go test",
                commands: "test -z \"$(gofmt -l .)\"\ngo vet\ngo test\ngo build -buildmode=c-shared -o lib@NAME@.so",
                library: "lib@NAME@",
                systems: LINUX,
                setup: "      - uses: actions/setup-go@v5\n        with: { go-version: stable }\n",
            },
            Self::Zig => Language {
                files: &[&[
                    HEADER,
                    (".gitignore", "zig/gitignore.in"),
                    ("boundary.c", "shared/boundary.c.in"),
                    ("boundary.h", "shared/boundary.h.in"),
                    ("build.zig", "zig/build.zig.in"),
                    ("plugin.zig", "zig/plugin.zig.in"),
                    ("wire.zig", "zig/wire.zig.in"),
                    ("README.md", "zig/README.md.in"),
                ]],
                crates: &[],
                tools: &[ZIG],
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

    const CARGO: Language = Language {
        files: &[],
        crates: &[],
        tools: if cfg!(windows) { &[CARGO] } else { &[CARGO, LINKER] },
        build: "cargo build --release",
        test: "cargo test",
        commands: "cargo fmt --check\ncargo clippy --quiet --all-targets --no-deps -- -D warnings\n\
                   cargo test --quiet\ncargo build --quiet --release",
        library: "target/release/lib@NAME@",
        systems: BOTH,
        setup: "",
    };

    const MAKE: Language = Language {
        files: &[],
        crates: &[],
        tools: &[MAKE, CC],
        build: "make",
        test: "make check",
        commands: "make clean\nmake check",
        library: "lib@NAME@",
        systems: LINUX,
        setup: "",
    };
}

/// The files of every project.
const ALWAYS: &[(&str, &str)] = &[
    ("check.json", "shared/check.json.in"),
    ("ci", "shared/ci.in"),
    (".github/workflows/ci.yml", "shared/ci.yml.in"),
];

/// The templates by their names, and the files of each [`Crate`] below the folder of its copy.
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

impl Project<'_> {
    const fn language(&self) -> Language {
        self.lang.language(self.is_async)
    }

    /// The crates that it is built on.
    pub(super) const fn crates(&self) -> &'static [Crate] {
        self.language().crates
    }

    /// The commands that build the plugin and its tests.
    pub(super) fn commands(&self) -> (String, &'static str) {
        let language = self.language();
        (language.build.replace("@NAME@", self.name), language.test)
    }

    /// The programs that it needs and that the environment does not have.
    pub(super) fn missing_tools(&self) -> Vec<&'static str> {
        let folders: Vec<_> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
        let is_there = |program: &str| {
            let in_folder =
                |folder: &PathBuf| folder.join(program).with_extension(env::consts::EXE_EXTENSION);
            folders.iter().any(|folder| in_folder(folder).is_file())
        };
        let missing = self.language().tools.iter().filter(|tool| {
            // What a variable names is the user's own choice, with arguments.
            let is_chosen = tool.variable.and_then(env::var_os).is_some_and(|chosen| !chosen.is_empty());
            !is_chosen && !tool.programs.iter().any(|program| is_there(program))
        });
        missing.map(|tool| tool.programs[0]).collect()
    }

    /// Its files.
    pub(super) fn files(&self) -> Vec<File> {
        let templates = templates();
        let language = self.language();
        let dependency = |of: &Crate, features: &str| {
            let path = self.contract.map_or_else(|| of.copy.into(), |contract| of.beside(contract));
            // A string of JSON is one of TOML.
            let path = serde_json::Value::from(path.to_string_lossy());
            format!("{{ path = {path}, version = \"={VERSION}\"{features} }}")
        };
        let tokio = if self.is_async {
            format!(
                "jackfield-plugin-tokio = {}\n\
                 tokio = {{ version = \"1\", default-features = false, features = [\"io-util\", \"net\"] }}\n",
                dependency(&TOKIO, "")
            )
        } else {
            String::new()
        };
        let each = |quote: &str, part: fn(&Crate) -> &'static str, between: &str| {
            let all = language.crates.iter().map(|of| format!("{quote}{}{quote}", part(of)));
            all.collect::<Vec<_>>().join(between)
        };
        let origin = match self.contract {
            None => format!(
                "copied into {}: nothing else of Jackfield is needed",
                each("`", |of| of.copy, " and ")
            ),
            Some(_) => "by path: see `Cargo.toml`".to_owned(),
        };
        let (word, panic) = match self.lang {
            Lang::Go => ("go", "unwind"),
            _ => ("zig", "abort"),
        };
        let filled = |template: &str| {
            template
                .replace("@USING@\n", &templates["shared/using.md.in"])
                .replace("@COMMANDS@", language.commands)
                .replace("@LIBRARY@", language.library)
                .replace("@SYSTEMS@", language.systems)
                .replace("@SETUP@", language.setup)
                .replace("@LANGUAGE@", word)
                .replace("@PANIC@", panic)
                .replace("@CRATES@", &each("`", |of| of.name, " and "))
                .replace("@ORIGIN@", &origin)
                .replace("@COPIES@", &each("\"", |of| of.copy, ", "))
                .replace("@CONTRACT@", &dependency(&CONTRACT, ""))
                .replace("@CONTRACT_FOR_TESTS@", &dependency(&CONTRACT, ", features = [\"test-host\"]"))
                .replace("@TOKIO@\n", &tokio)
                .replace("@BACKEND@", if self.is_async { "Tokio<Lines>" } else { "Lines" })
                .replace("@VERSION@", VERSION)
                .replace("@NAME@", self.name)
        };
        let named = language.files.iter().copied().flatten().chain(ALWAYS).map(|(path, template)| File {
            path: (*path).to_owned(),
            text: filled(&templates[*template]),
            executable: *path == "ci",
        });
        let mut files: Vec<_> = named.collect();
        let copied = language.crates.iter().filter(|_| self.contract.is_none());
        for Crate { copy, manifest, .. } in copied {
            let below = format!("{copy}/");
            let file = |path, text| File { path, text, executable: false };
            files.push(file(format!("{below}Cargo.toml"), filled(&templates[*manifest])));
            let source = templates.iter().filter(|(name, _)| name.starts_with(&below));
            files.extend(source.map(|(name, text)| file(name.clone(), text.clone())));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn project(lang: Lang, is_async: bool, contract: Option<&Path>) -> Project<'_> {
        Project { lang, is_async, name: "acme", contract }
    }

    fn file_of(project: &Project<'_>, path: &str) -> String {
        let files = project.files();
        files.into_iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
    }

    #[test]
    fn no_placeholder_is_left_and_each_project_has_a_readme_tests_and_a_ci_file() {
        let kinds = Lang::value_variants().iter().map(|lang| (*lang, false)).chain([(Lang::Rust, true)]);
        for (lang, is_async) in kinds {
            let project = project(lang, is_async, None);
            let files = project.files();
            let is_copied = |path: &str| project.crates().iter().any(|of| path.starts_with(of.copy));
            for file in files.iter().filter(|file| !is_copied(&file.path)) {
                let left = file.text.match_indices('@').find(|(at, _)| {
                    let word = file.text[at + 1..].split('@').next().unwrap_or_default();
                    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
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

    /// Go takes a path without a dot for one of its own, such as `net`.
    #[test]
    fn a_module_in_go_has_a_path_that_no_package_of_the_language_has() {
        let module = file_of(&project(Lang::Go, false, None), "go.mod");
        assert!(module.starts_with("module example.com/acme\n"), "{module}");
    }

    #[test]
    fn a_project_in_rust_has_its_crates_or_names_their_folders() {
        let contract = PathBuf::from("/a \"b\"/plugin-api");
        for (is_async, crates) in [(false, vec![CONTRACT]), (true, vec![CONTRACT, TOKIO])] {
            let own = project(Lang::Rust, is_async, None);
            let by_path = project(Lang::Rust, is_async, Some(&contract));
            for Crate { name, folder, copy, .. } in crates {
                let manifest = file_of(&own, "Cargo.toml");
                let expected = format!("{name} = {{ path = \"{copy}\", version = \"={VERSION}\" }}\n");
                assert!(manifest.contains(&expected), "{manifest}");
                let copied = file_of(&own, &format!("{copy}/Cargo.toml"));
                assert!(copied.contains(&format!("name = \"{name}\"\nversion = \"{VERSION}\"")), "{copied}");
                assert!(!file_of(&own, &format!("{copy}/src/lib.rs")).is_empty());
                let manifest = file_of(&by_path, "Cargo.toml");
                let expected =
                    format!(r#"{name} = {{ path = "/a \"b\"/{folder}", version = "={VERSION}" }}"#);
                assert!(manifest.contains(&expected), "{manifest}");
                assert!(!by_path.files().iter().any(|file| file.path.starts_with(copy)));
            }
        }
    }
}
