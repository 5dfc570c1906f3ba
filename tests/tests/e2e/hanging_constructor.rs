//! A plugin whose static constructor never returns, and the process that has loaded it.

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use jackfield_loader::{
    Backend, BackendOptions, Candidate, Error, Isolation, LoadError, Plugin, ProcessOptions, Program, Trust,
    hanging_load, loaded_images, plugin_api::Outcome,
};
use jackfield_test_support::{LONG, rerun, within};
use jackfield_tests::{c_fixture, cli, fixture};
use serde_json::json;

use crate::common::{batch, one_line, options};

/// What loading may take here.
const LIMIT: Duration = Duration::from_millis(300);
/// More than anything here takes on a busy machine, and less than the limit of who names none.
const SOON: Duration = Duration::from_secs(20);

fn open(path: &Path, options: &BackendOptions) -> Result<Backend, Error> {
    let verified = Candidate::open(path)?.verify_for(&options.isolation, Trust::Owner)?;
    Backend::open_verified(&verified, options)
}

fn delivers(backend: &Backend) {
    assert_eq!(backend.send(&batch(2)).uniform(), Some(&Outcome::Delivered));
}

/// What `open` is refused for, and how long that took.
fn refused(path: &Path) -> (LoadError, String) {
    let started = Instant::now();
    let error = open(path, &options(&json!({})).timeout(LIMIT)).expect_err("it can't be loaded");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let line = one_line(&error, path);
    let Error::Load { reason, .. } = error else { panic!("{line}") };
    (reason, line)
}

/// Names the command and the Rust plugin for the child, whose time is limited: it would wait for other builds.
const BUILT: &str = "JACKFIELD_TEST_BUILT";

/// The process that can't end in the ordinary way, since that takes the dynamic loader's lock.
#[test]
#[ignore = "run by a_hanging_constructor_is_named_and_backends_go_on"]
fn child_loads_a_plugin_whose_constructor_hangs() {
    let (hung, other) = (c_fixture("CONSTRUCTOR_HANGS"), c_fixture("EXTRA_TABLE"));
    let built = std::env::var_os(BUILT).expect("the test names them");
    let built: Vec<_> = std::env::split_paths(&built).collect();
    let [cli, minimal] = &built[..] else { panic!("{built:?}") };
    let apart = Isolation::Process(ProcessOptions::new().program(Program::At(cli.clone())));
    let apart = options(&json!({})).isolation(apart);
    let rust = Plugin::load(minimal, Trust::Owner).expect("it loads");
    let before = [
        Backend::open(&rust, &options(&json!({}))),
        open(&c_fixture("GOOD"), &options(&json!({}))),
        open(&other, &apart),
    ];
    let before = before.map(|opened| opened.expect("it opens"));
    before.iter().for_each(delivers);
    let images = loaded_images();

    let (why, line) = refused(&hung);
    assert!(matches!(why, LoadError::Hangs { .. }), "{line}");
    assert!(line.contains("static constructors") && line.contains("isolation = \"process\""), "{line}");
    for path in [&other, &hung] {
        let (why, line) = refused(path);
        assert!(matches!(&why, LoadError::Blocked { by, .. } if *by == hung), "{line}");
        is_for_the_hung_one(&line);
    }
    println!("nothing else is loaded");
    assert_eq!((loaded_images(), hanging_load().map(|(by, _)| by)), (images, Some(hung.clone())));
    // They need a thread, of which glibc lets none begin.
    for opened in [Backend::open(&rust, &options(&json!({}))), open(&other, &apart)] {
        is_for_the_hung_one(&opened.expect_err("it would never answer").to_string());
    }

    println!("nothing new is opened");

    // What was open before goes on, in this process and in one of its own.
    before.iter().for_each(delivers);
    println!("open backends go on");
    assert!(Command::new("true").status().expect("it starts").success());
    println!("all of it goes on");
    jackfield_loader::exit(0);
}

fn is_for_the_hung_one(line: &str) {
    for part in ["libconstructor_hangs.so", "has been loading for", "isolation = \"process\""] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn a_hanging_constructor_is_named_and_backends_go_on() {
    let built = std::env::join_paths([cli(), fixture("minimal")]).expect("paths");
    let mut child = rerun("hanging_constructor::child_loads_a_plugin_whose_constructor_hangs")
        .env(BUILT, built)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let ended = within(LONG, || child.try_wait().expect("it is ours"), Option::is_some).unwrap_or_default();
    // One that panicked can't end either.
    let _ = child.kill();
    let _ = child.wait();
    let mut said = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert!(said.contains("all of it goes on"), "{ended:?}: {said}");
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {said}");
}
