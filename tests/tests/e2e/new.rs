//! `jackfield new`: what it writes builds, passes its own tests, and delivers.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use jackfield_tests::{cargo_in, cli, contract, guide, passes_its_tests, project_target, succeeds, zig};
use serde_json::Value;

use crate::{
    common::lines,
    site::{Site, backend, start},
};

/// A server of the projects' protocol: appends what it is sent to a file, and delivers it, but for the last `refused` events
/// of each batch. A backend that has left is no matter: some tests are about that.
pub(crate) fn server(seen: &Path, refused: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let seen = seen.to_owned();
    let serve = move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines: Vec<_> = BufReader::new(&stream).lines().map_while(Result::ok).collect();
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&seen).expect("writable");
            for line in &lines {
                writeln!(file, "{line}").expect("writable");
            }
            let delivered = lines.len().saturating_sub(refused);
            let answers = "ok\n".repeat(delivered) + &"no not today\n".repeat(lines.len() - delivered);
            drop(stream.write_all(answers.as_bytes()));
        }
    };
    thread::Builder::new().name("server".to_owned()).spawn(serve).expect("a thread");
    address
}

/// Passes the conformance kit.
fn conforms(site: &Site, plugin: &Path) {
    let address = server(&site.path("checked.jsonl"), 0);
    let config = serde_json::json!({ "address": address }).to_string();
    let plugin = plugin.to_str().expect("UTF-8");
    let ended = site.run(&["check", plugin, "--config-json", &config]).with_code(0);
    assert!(ended.stdout.contains(" 0 failed"), "{}", ended.stdout);
}

/// Sends events by the command through the library of the plugin `name`.
fn delivers(name: &str, library: &Path) {
    let site = Site::new(&[]);
    // In a folder of the user's alone, so that it is trusted whatever the umask is.
    let plugin = site.path(&format!("lib{name}.so"));
    fs::copy(library, &plugin).expect("copied");
    let seen = site.path("seen.jsonl");
    let address = server(&seen, 1);
    let config = |rest: &str| backend("acme", &plugin, &format!("[backend.config]\n{rest}"));
    site.write("config.toml", config(&format!("address = {address:?}")));

    let inspected: Value = serde_json::from_str(
        &site.run(&["inspect", "--json", plugin.to_str().expect("UTF-8")]).with_code(0).stdout,
    )
    .expect("JSON");
    assert_eq!(inspected[0]["metadata"]["name"], name);
    assert_eq!(inspected[0]["metadata"]["config_schema"]["required"], serde_json::json!(["address"]));

    let events: String = (0..50)
        .map(|n| format!("{{\"id\":\"{n}\",\"type\":\"feature.used\",\"name\":\"n{n}\"}}\n"))
        .collect();
    let ended = site.send(events, &[]).with_code(6);
    let summary: Value = serde_json::from_str(ended.stdout.lines().last().expect("a summary")).expect("JSON");
    assert_eq!(summary["backends"][0]["delivered"], 49, "{summary}");
    assert_eq!(summary["backends"][0]["rejected"], 1, "{summary}");
    let reasons = summary["backends"][0]["reasons"].to_string();
    assert!(reasons.contains("not today"), "{reasons}");
    let seen = lines(&seen);
    assert_eq!(seen.len(), 50);
    for (n, line) in seen.iter().enumerate() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["id"], n.to_string());
    }

    conforms(&site, &plugin);

    for (wrong, said) in
        [("adress = 'h:1'", "adress"), ("address = 5", "address"), ("address = 'h'", "HOST:PORT")]
    {
        site.write("config.toml", config(wrong));
        let ended = site.send("{\"type\":\"t\",\"name\":\"n\"}\n", &[]);
        assert!(matches!(ended.code, Some(3 | 4)), "{wrong}: {ended:?}");
        assert!(ended.stderr.contains(said), "{wrong}: {}", ended.stderr);
    }
}

/// Makes a project in Rust, runs its tests, and delivers by its library. It has all that it needs, without a copy of this
/// repository.
fn rust_made_and_delivers(name: &str, kind: &[&str]) {
    let site = Site::new(&[]);
    let arguments = [&["new", name, "--lang", "rust", "--dir", "made"], kind].concat();
    let made = site.run(&arguments).with_code(0);
    assert_eq!(made.stderr, "");
    assert!(made.stdout.contains("cd made && cargo build --release"), "{}", made.stdout);
    let folder = site.path("made");
    passes_its_tests(&folder);
    succeeds(cargo_in(&folder).args(["build", "--quiet"]));
    let library = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    delivers(name, &project_target().join("debug").join(library));
}

#[test]
fn a_project_in_rust_passes_its_tests_and_delivers() {
    rust_made_and_delivers("acme_lines", &[]);
}

#[test]
fn an_async_project_in_rust_passes_its_tests_and_delivers() {
    rust_made_and_delivers("acme_async", &["--async"]);
}

/// Makes a project in this language, runs all that has to pass in it, and delivers by its library. `tools` have the folder of
/// its compiler and what it needs of the environment.
fn made_and_delivers(
    lang: &str,
    commands: (&str, &str),
    library: &str,
    tools: Option<(&Path, &[(&str, PathBuf)])>,
) {
    let site = Site::new(&[]);
    let made = site.run(&["new", "acme_lines", "--lang", lang, "--json"]).with_code(0);
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!((made["build"].as_str(), made["test"].as_str()), (Some(commands.0), Some(commands.1)));
    let folder = site.path(made["folder"].as_str().expect("a folder"));
    for file in made["files"].as_array().expect("a list") {
        assert!(folder.join(file.as_str().expect("a path")).is_file(), "{file}");
    }
    let mut ci = Command::new(folder.join("ci"));
    // With the command, so that the script runs the kit, too.
    let mut path = guide::search_path(&cli());
    if let Some((compiler, environment)) = tools {
        let folders = [compiler.to_owned()].into_iter().chain(std::env::split_paths(&path));
        path = std::env::join_paths(folders).expect("a path");
        ci.envs(environment.iter().map(|(name, value)| (*name, value)));
    }
    ci.current_dir(site.path("")).env("PATH", path);
    let said = succeeds(&mut ci);
    assert!(said.contains(" 0 failed"), "{said}");
    delivers("acme_lines", &folder.join(format!("{library}{}", std::env::consts::DLL_SUFFIX)));
}

#[test]
fn a_project_in_c_passes_its_tests_and_delivers() {
    made_and_delivers("c", ("make", "make check"), "libacme_lines", None);
}

#[test]
fn a_project_in_cpp_passes_its_tests_and_delivers() {
    made_and_delivers("cpp", ("make", "make check"), "libacme_lines", None);
}

/// Its metadata asks for a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_project_in_go_passes_its_tests_and_delivers() {
    assert!(Command::new("go").arg("version").output().is_ok(), "no Go: scripts/setup installs it");
    let cache = project_target().join("go");
    let environment = [("GOCACHE", cache), ("GOFLAGS", "-mod=mod".into()), ("GOPROXY", "off".into())];
    let commands = ("go build -buildmode=c-shared -o libacme_lines.so", "go test");
    made_and_delivers("go", commands, "libacme_lines", Some((Path::new("/usr/lib/go/bin"), &environment)));
}

/// Its metadata asks for a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_project_in_zig_passes_its_tests_and_delivers() {
    let zig = zig();
    let environment = [("ZIG_GLOBAL_CACHE_DIR", project_target().join("zig"))];
    made_and_delivers(
        "zig",
        ("zig build", "zig build test"),
        "zig-out/lib/libacme_lines",
        Some((&zig, &environment)),
    );
}

#[test]
fn nothing_is_overwritten_and_a_wrong_name_makes_nothing() {
    let site = Site::new(&[]);
    let refused = |arguments: &[&str], said: &str| {
        let ended = site.run(&[&["new"], arguments].concat()).with_code(2);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    };
    refused(&["acme-lines", "--lang", "c"], "did you mean \"acme_lines\"?");
    refused(&["../acme", "--lang", "c"], "did you mean \"acme\"?");
    refused(&["acme", "--lang", "cobol"], "possible values: rust, c, cpp, go, zig");
    refused(&["acme", "--lang", "c", "--contract", "."], "--contract is for --lang rust");
    refused(&["acme", "--lang", "c", "--async"], "--async is for --lang rust");
    refused(
        &["acme", "--lang", "rust", "--contract", "."],
        "expected the folder of the crate jackfield-plugin-api",
    );
    assert!(!site.path("acme").exists() && !site.path("acme-lines").exists());

    fs::create_dir(site.path("full")).expect("made");
    site.write("full/README.md", "mine");
    refused(&["acme", "--lang", "c", "--dir", "full"], "the folder is not empty");
    assert_eq!(site.read("full/README.md"), "mine");
    assert_eq!(fs::read_dir(site.path("full")).expect("readable").count(), 1);

    fs::create_dir(site.path("empty")).expect("made");
    site.run(&["new", "acme", "--lang", "rust", "--dir", "empty"]).with_code(0);
    assert!(site.read("empty/contract/Cargo.toml").contains("name = \"jackfield-plugin-api\""));
    let file = "config.toml: expected a folder, found a file, and nothing is overwritten: choose another one by --dir";
    refused(&["acme", "--lang", "c", "--dir", "config.toml"], file);
    refused(&["acme", "--lang", "c", "--dir", "config.toml/below"], file);
}

#[test]
fn a_tool_that_is_missing_is_named_and_the_project_is_written() {
    let site = Site::new(&[]);
    let new = |name: &str, lang: &str, json: &[&str]| {
        let arguments = [&["new", name, "--lang", lang], json].concat();
        let mut command = site.command(&arguments);
        command.env("PATH", site.path("")).env_remove("CC").env_remove("CXX").stdin(Stdio::null());
        start(&mut command).end().with_code(0)
    };
    let missing = |programs: &[&str], lang: &str| {
        let made: Value = serde_json::from_str(&new(lang, lang, &["--json"]).stdout).expect("JSON");
        assert_eq!(made["missing_tools"], serde_json::json!(programs), "{lang}");
        assert!(site.path(lang).join("ci").is_file());
    };
    missing(&["cargo", "cc"], "rust");
    missing(&["make", "cc"], "c");
    missing(&["make", "c++", "cc"], "cpp");
    missing(&["go", "cc"], "go");
    missing(&["zig"], "zig");
    let said = new("acme", "zig", &[]).stderr;
    assert_eq!(said, "warning: `zig` is not found on PATH: install it, or `zig build` fails\n");
}

#[test]
fn a_contract_of_another_version_is_refused_before_anything_is_written() {
    let site = Site::new(&[]);
    let contract = contract();
    let with = ["new", "b", "--lang", "rust", "--contract", contract.to_str().expect("UTF-8")];
    assert_eq!(site.run(&with).with_code(0).stderr, "");
    assert!(
        !site.path("b/contract").exists()
            && site.read("b/Cargo.toml").contains("plugin-api\", version = \"=")
    );

    fs::create_dir(site.path("old")).expect("made");
    site.write("old/Cargo.toml", "[package]\nname = \"jackfield-plugin-api\"\nversion = \"0.0.9\"\n");
    let refused = site.run(&["new", "c", "--lang", "rust", "--contract", "old"]).with_code(2);
    assert!(refused.stderr.contains("this command's version, found 0.0.9"), "{refused:?}");
    assert!(!site.path("c").exists());

    let contract = contract.to_str().expect("UTF-8");
    site.run(&["new", "d", "--lang", "rust", "--async", "--contract", contract]).with_code(0);
    assert!(site.read("d/Cargo.toml").contains("plugin-tokio\", version = \"="));
    site.run(&["new", "e", "--lang", "rust"]).with_code(0);
    // A contract that has no crate for async plugins beside it.
    let alone = ["new", "f", "--lang", "rust", "--async", "--contract", "e/contract"];
    let refused = site.run(&alone).with_code(2);
    assert!(refused.stderr.contains("expected jackfield-plugin-tokio"), "{refused:?}");
    assert!(!site.path("f").exists());
}

#[test]
fn a_project_below_another_workspace_is_none_of_its_members() {
    let site = Site::new(&[]);
    site.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = []\n");
    let contract = contract();
    let made = ["new", "acme", "--lang", "rust", "--contract", contract.to_str().expect("UTF-8")];
    site.run(&made).with_code(0);
    let folder = site.path("acme");
    let metadata = succeeds(cargo_in(&folder).args(["metadata", "--no-deps", "--format-version", "1", "-q"]));
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let root = metadata["workspace_root"].as_str().expect("a path");
    assert_eq!(
        fs::canonicalize(root).expect("there"),
        fs::canonicalize(&folder).expect("there"),
        "{metadata}"
    );
}
