//! What the README and the pages under `docs/` say is so: links lead somewhere, snippets are taken from files that are built
//! and tested, configurations are read, commands are run, and every threat has its test.
//!
//! The info string of a block of code says how it is tried; a block of which it says nothing fails.
//!
//! | info string | the block |
//! | --- | --- |
//! | `LANGUAGE file=PATH` | stands in that file, line by line, but for the indentation |
//! | `LANGUAGE project=PATH`, `sh project` | is the next part of that file of the guide's project, or a command in the folder around it: `jackfield_tests::guide` makes the plugin of them |
//! | `toml config` | is a configuration |
//! | `toml manifest` | is the part of a `Cargo.toml` that makes a plugin |
//! | `json event` | is events, one a line, which fit `event.schema.json` |
//! | `json line` | is lines that `jackfield send` delivers |
//! | `console run`, `console until` | is commands of the first hour with what they say, which `first_hour/mod.rs` tries |
//! | `text help` | stands in `jackfield --help`, which `operating.rs` tries |
//! | `sh run` | is run by `sh -e` in a folder with the plugins and `jackfield` at hand |
//! | `rust`, `rust,no_run` | is compiled and run, or only compiled, as a doctest of a page that `tests/src/lib.rs` includes |
//! | `text` | is not tried |

#![cfg(unix)]

use std::{fs, path::Path, process::Command};

use jackfield::Config;
pub(crate) use jackfield_tests::workspace as root;
use jackfield_tests::{
    cli, guide,
    pages::{Block, blocks, documents, pages, readme},
    plugin,
};

use crate::site::{Site, to_file};

/// Blocks of this language and way to be tried.
pub(crate) fn blocks_of(language: &str, way: &str) -> Vec<Block> {
    let found: Vec<_> =
        blocks().into_iter().filter(|block| block.info == [language, way].map(str::to_owned)).collect();
    assert!(!found.is_empty(), "there is none");
    found
}

#[test]
fn every_block_of_the_guides_says_how_it_is_tried() {
    let doctests = fs::read_to_string(root().join("tests/src/lib.rs")).expect("the doctests");
    for Block { at, page, info, .. } in blocks() {
        let info: Vec<&str> = info.iter().map(String::as_str).collect();
        let known = match info[..] {
            ["text"]
            | ["toml", "config" | "manifest"]
            | ["json", "event" | "line"]
            | ["sh", "run"]
            | ["text", "help"] => true,
            ["console", "run" | "until"] => page == crate::first_hour::PAGE,
            ["rust" | "rust,no_run"] => doctests.contains(&format!("include_str!(\"../../{page}\")")),
            ["sh", "project"] => page == guide::PAGE,
            [_, file] if file.starts_with("project=") => page == guide::PAGE,
            [_, file] => file.starts_with("file="),
            _ => false,
        };
        assert!(known, "{at}: nobody tries a block of {info:?}");
    }
}

#[test]
fn snippets_of_the_guides_are_in_their_files() {
    let mut tried = 0;
    for Block { at, info, lines, .. } in blocks() {
        let Some(file) = info.get(1).and_then(|way| way.strip_prefix("file=")) else { continue };
        let whole =
            fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{at}: {file}: {error}"));
        let trimmed = |text: &str| text.trim().to_owned();
        let whole: Vec<_> = whole.lines().map(trimmed).collect();
        let snippet: Vec<_> = lines.iter().map(|line| trimmed(line)).collect();
        assert!(!snippet.is_empty(), "{at}: empty");
        assert!(
            whole.windows(snippet.len()).any(|window| window == snippet),
            "{at}: this is not what {file} has:\n{}",
            lines.join("\n")
        );
        tried += 1;
    }
    assert!(tried > 5, "{tried} snippets");
}

#[test]
fn configurations_of_the_guides_are_read() {
    for Block { at, lines, .. } in blocks_of("toml", "config") {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        // Variables are the reader's own.
        let text = text.replace("${", "$${");
        if let Err(error) = Config::parse(&text, Path::new("config.toml")) {
            panic!("{at}: {error}");
        }
    }
}

#[test]
fn manifests_of_the_guides_make_plugins() {
    for Block { at, lines, .. } in blocks_of("toml", "manifest") {
        let manifest: toml::Table = lines.join("\n").parse().unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(manifest["lib"]["crate-type"][0].as_str(), Some("cdylib"), "{at}");
        assert!(manifest["dependencies"].get("jackfield-plugin-api").is_some(), "{at}");
    }
}

#[test]
fn commands_of_the_guides_do_what_they_say() {
    let plugins = tempfile::tempdir().expect("a folder");
    for name in ["stdout", "file", "http"] {
        let built = plugin(name);
        fs::copy(&built, plugins.path().join(built.file_name().expect("a name"))).expect("copied");
    }
    let path = guide::search_path(&cli());
    for Block { at, lines, .. } in blocks_of("sh", "run") {
        let home = tempfile::tempdir().expect("a folder");
        let output = Command::new("sh")
            .args(["-e", "-u", "-c", &lines.join("\n")])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", &path)
            .env("HOME", home.path())
            .env("PLUGINS", plugins.path())
            .env("JACKFIELD_PLUGIN_PATH", plugins.path())
            .output()
            .expect("sh");
        assert!(
            output.status.success(),
            "{at}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// An inline link's target: `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split_once(')').map(|(target, _)| target))
        .collect()
}

/// A heading's anchor.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn links_in_the_guides_lead_to_files_and_headings() {
    let mut tried = 0;
    let mut all = documents();
    for name in ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "fuzz/README.md"] {
        let path = root().join(name);
        all.push((path.clone(), fs::read_to_string(path).expect("readable")));
    }
    for (path, text) in &all {
        for link in links(text).into_iter().filter(|link| !link.contains("://")) {
            let (file, heading) =
                link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if let Some(heading) = heading {
                let there = fs::read_to_string(&target).expect("readable");
                let mut anchors = there.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(
                    anchors.any(|anchor| anchor == heading),
                    "{}: {link}: no such heading",
                    path.display()
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried} links");
}

/// Folders of the repository by which a word in backquotes is known as a path.
const FOLDERS: &[&str] =
    &["cli/", "docs/", "fuzz/", "loader/", "plugin-api/", "plugins/", "scripts/", "telemetry/", "tests/"];

#[test]
fn files_that_the_documents_name_are_there() {
    let mut tried = 0;
    let mut all = documents();
    for name in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let path = root().join(name);
        all.push((path.clone(), fs::read_to_string(path).expect("readable")));
    }
    for (path, text) in &all {
        for word in text.split('`').skip(1).step_by(2).filter(|word| !word.contains(['\n', ' ', '*'])) {
            // A new thing has no file yet.
            if FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains("NAME") {
                assert!(root().join(word).exists(), "{}: {word} is not there", path.display());
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried} files");
}

#[test]
fn the_map_in_the_readme_has_every_page() {
    let readme = readme();
    let (_, map) = readme.split_once("\n## Documentation\n").expect("the map");
    let map = links(map.split("\n## ").next().expect("a section"));
    let operating = fs::read_to_string(root().join("docs/operating.md")).expect("docs/operating.md");
    let operating = links(&operating);
    for (path, text) in pages() {
        let page = path.strip_prefix(root()).expect("in the repository").display().to_string();
        if let Some(of_a_question) = page.strip_prefix("docs/").filter(|page| page.starts_with("operating/"))
        {
            assert!(operating.contains(&of_a_question), "{page} is not in docs/operating.md");
            let title = text.lines().next().unwrap_or_default();
            assert!(title.starts_with("# ") && title.ends_with('?'), "{page}: {title} is no question");
            continue;
        }
        assert!(page == "docs/README.md" || map.contains(&page.as_str()), "{page} is not in the map");
    }
    let other = fs::read_to_string(root().join("docs/README.md")).expect("docs/README.md");
    assert_eq!(links(&other), ["../README.md#documentation"], "there is one map");
}

#[test]
fn the_readme_has_at_most_200_lines() {
    let lines = readme().lines().count();
    assert!(lines <= 200, "{lines} lines");
}

/// The sources of the repository.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// The names of the tests in a source that run with `scripts/test` or `scripts/test --attack`: functions with the attribute of
/// a test, and those of a list for the harness of `tests/support`.
fn tests_in(source: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        let code = ["pub ", "async "].iter().fold(line, |code, word| code.trim_start_matches(word));
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") && !line.contains("scripts/test --attack") {
            is_test = false;
        } else if let Some(function) = code.strip_prefix("fn ") {
            tests.extend(is_test.then(|| function.split(['(', '<']).next().unwrap_or_default()));
            is_test = false;
        }
    }
    let lists = source.split("tests![").skip(1).filter_map(|list| list.split_once(']'));
    tests.extend(lists.flat_map(|(list, _)| list.split(',').map(str::trim)));
    tests
}

#[test]
fn tests_are_told_from_helpers_and_ignored_tests() {
    let source = "#[test]\nfn one() {}\nfn helper() {}\n#[test]\n#[ignore = \"run by one\"]\nfn child() {}\n\
                  #[tokio::test(start_paused = true)]\n#[cfg(unix)]\nasync fn two() {}\n    #[test]\n    fn inner() {}\n\
                  #[test]\n#[ignore = \"scripts/test --attack runs it\"]\nfn long() {}\nconst TESTS: &[Test] = tests![\n    listed,\n];\n";
    assert_eq!(tests_in(source), ["one", "two", "inner", "long", "listed", ""]);
}

/// The tables of a page: for each the cells of its heading, and those of its rows.
pub(crate) fn tables(page: &str) -> Vec<Vec<Vec<&str>>> {
    let mut tables = Vec::new();
    let mut open: Vec<Vec<&str>> = Vec::new();
    for line in page.lines().chain([""]) {
        if line.starts_with('|') {
            open.push(line.trim_matches('|').split('|').map(str::trim).collect());
        } else if !open.is_empty() {
            tables.push(std::mem::take(&mut open));
        }
    }
    tables
}

#[test]
fn every_threat_names_a_test_that_is_there() {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md");
    let mut all = Vec::new();
    sources(root(), &mut all);
    let tests: std::collections::HashSet<&str> = all.iter().flat_map(|source| tests_in(source)).collect();
    let mut rows = 0;
    for table in tables(&text) {
        let heading = table[0].join(" | ");
        // The other tables list system calls, which `attack/calls.rs` compares.
        if heading != "who | wants to | what stops them | shown by" {
            assert!(["why", "which", "when"].contains(&table[0][1]), "an unknown table: {heading}");
            continue;
        }
        for cells in &table[2..] {
            assert_eq!(cells.len(), 4, "{cells:?}");
            let named: Vec<_> = cells[3].split('`').skip(1).step_by(2).collect();
            assert!(!named.is_empty(), "no test is named: {cells:?}");
            for test in named {
                assert!(tests.contains(test), "{test} is no test that runs: {cells:?}");
            }
            rows += 1;
        }
    }
    assert!(rows > 60, "{rows} threats");
    // Tests that are named in the text.
    let prose = text.lines().filter(|line| !line.starts_with('|')).collect::<Vec<_>>().join("\n");
    for word in prose.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 3) {
        assert!(tests.contains(word), "{word} is no test that runs");
    }
}

fn event_schema() -> jsonschema::Validator {
    let text = fs::read_to_string(root().join("docs/event.schema.json")).expect("the schema");
    jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
}

#[test]
fn events_of_the_guides_fit_the_schema() {
    let schema = event_schema();
    for Block { at, lines, .. } in blocks_of("json", "event") {
        for line in lines {
            let event = serde_json::from_str(&line).expect("JSON");
            if let Err(error) = schema.validate(&event) {
                panic!("{at}: {error}");
            }
        }
    }
}

#[test]
fn lines_of_the_guides_are_delivered() {
    let site = Site::new(&[to_file("file", "out.jsonl")]);
    let lines: Vec<String> = blocks_of("json", "line").into_iter().flat_map(|block| block.lines).collect();
    site.send(lines.join("\n"), &[]).with_code(0);
    assert_eq!(site.read("out.jsonl").lines().count(), lines.len());
}

#[test]
fn what_backends_are_handed_fits_the_schema_of_events() {
    let schema = event_schema();
    let site = Site::new(&[to_file("file", "out.jsonl")]);
    let lines = [
        r#"{"type":"a","name":"b"}"#,
        r#"{"type":"a","name":"b","id":"x","timestamp":"2026-01-02T03:04:05+01:00","machine_id":null}"#,
        r#"{"type":"a","name":"b","duration_ms":18446744073709551615,"exit_code":-9223372036854775808}"#,
        r#"{"type":"a","name":"b","args":["", "ü"],"error":"","metadata":{"n":-1,"f":0.5,"b":true,"t":"x"},"more":[{"x":1.5}]}"#,
    ];
    site.send(lines.join("\n"), &[]).with_code(0);
    let sent = site.read("out.jsonl");
    let mut properties = std::collections::BTreeSet::new();
    assert_eq!(sent.lines().count(), lines.len());
    for line in sent.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Err(error) = schema.validate(&event) {
            panic!("{line}: {error}");
        }
        properties.extend(event.as_object().expect("an object").keys().cloned());
    }
    let text = fs::read_to_string(root().join("docs/event.schema.json")).expect("the schema");
    let text: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for property in text["properties"].as_object().expect("properties").keys() {
        assert!(properties.contains(property), "{property} is in no event that was sent");
    }
    assert!(
        !schema.is_valid(&serde_json::json!({ "type": "a", "name": "b" })),
        "what is filled in is required"
    );
}
