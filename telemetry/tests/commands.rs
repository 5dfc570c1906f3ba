//! What the commands do and say.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod common;

use std::{ffi::OsString, fs, path::Path, time::Duration};

use clap::Parser;
use common::builder;
use jackfield::plugin_api::{Backend, Batch, Call, Error, Host, Outcome, Outcomes, export::NoConfig};
use jackfield::{Deliver, EmailDeletion, MemoryBackend, Telemetry, commands::TelemetryCommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: TelemetryCommand,
}

/// The exit code, standard output and standard error.
fn run(telemetry: &Telemetry, args: &[&str]) -> (i32, String, String) {
    let cli = Cli::parse_from(["tool"].iter().chain(args));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli.command.run_with(telemetry, &mut out, &mut err);
    let code = i32::from(code != std::process::ExitCode::SUCCESS);
    (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
}

fn json(telemetry: &Telemetry, command: &str) -> (i32, serde_json::Value) {
    let (code, out, err) = run(telemetry, &[command, "--json"]);
    assert_eq!(err, "");
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}")))
}

#[test]
fn status_says_that_a_spool_that_was_cut_may_lack_more() {
    let folder = tempfile::tempdir().expect("a folder");
    common::consent(folder.path());
    let consented = || {
        let memory = MemoryBackend::new();
        builder(folder.path()).backend("memory", memory.maker()).deliver(Deliver::ByHand).build()
    };
    let telemetry = consented();
    for name in ["a", "b", "c", "d"] {
        telemetry.track("a", name, &[]);
    }
    telemetry.close();
    let spool = common::spool(folder.path()).folder().to_owned();
    let files = fs::read_dir(spool).expect("there").map(|entry| entry.expect("readable").path());
    let segment =
        files.into_iter().find(|file| file.extension().is_some_and(|it| it == "jsonl")).expect("a segment");
    let text = fs::read(&segment).expect("readable");
    fs::write(&segment, &text[..text.len() / 2 - 20]).expect("writable");
    let telemetry = consented();
    let at_least_one = |telemetry: &Telemetry| {
        let (_, out, _) = run(telemetry, &["status"]);
        assert!(out.contains("\nDropped: at least 1 (damaged line)\n"), "{out}");
    };
    at_least_one(&telemetry);
    assert_eq!(telemetry.status().events, 1, "before a delivery");
    telemetry.flush(Duration::from_secs(60));
    at_least_one(&telemetry);
    assert_eq!(telemetry.status().events, 0, "and once after it");
}

#[test]
fn enable_and_disable_keep_the_other_keys_of_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = builder(folder.path()).backend("memory", memory.maker()).build();
    let (code, out, _) = run(&telemetry, &["status"]);
    assert!(code == 0 && out.starts_with("Telemetry: disabled\n"), "{out}");
    let config = folder.path().join("config.toml");
    fs::write(&config, "# mine\n[ui]\ncolour = true\n").expect("writable");
    let (code, out, _) = run(&telemetry, &["enable"]);
    assert!(code == 0 && out.starts_with("Telemetry enabled"), "{out}");
    assert!(out.contains("No personally identifiable information is collected"), "{out}");
    let (_, out, _) = run(&telemetry, &["status"]);
    assert!(out.starts_with("Telemetry: enabled\n"), "{out}");
    assert!(
        out.contains("\nMachine ID: ") && out.contains("\nBackend: memory (chosen by the tool)\n"),
        "{out}"
    );
    assert!(out.contains("config.toml:"), "which line decided: {out}");

    telemetry.track("a", "b", &[]);
    let (_, status) = json(&telemetry, "status");
    assert_eq!((&status["events"], &status["backends"][0]["waiting"]), (&1.into(), &1.into()));
    let (code, out, _) = run(&telemetry, &["disable"]);
    assert_eq!((code, &*out), (0, "Telemetry disabled.\nAll pending events have been discarded.\n"));
    assert!(fs::read_to_string(&config).expect("there").starts_with("# mine\n[ui]\ncolour = true\n"));
    telemetry.track("a", "b", &[]);
    telemetry.close();
    assert_eq!(json(&telemetry, "status").1["events"], 0);
    assert!(memory.events().is_empty());
}

#[test]
fn what_can_not_be_done_is_not_said_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let do_not_track = |name: &str| (name == "DO_NOT_TRACK").then(|| OsString::from("1"));
    let telemetry = builder(folder.path()).environment(do_not_track).build();
    let (code, out, _) = run(&telemetry, &["enable"]);
    assert_eq!((code, &*out), (1, "Your consent is stored, but telemetry stays off: DO_NOT_TRACK=1.\n"));

    let forced = builder(folder.path()).force_enabled(true).build();
    let (code, out, _) = run(&forced, &["disable"]);
    assert!(code == 1 && out.contains("enforced by your organisation"), "{out}");
    assert_eq!(json(&forced, "status").1["telemetry"], "enabled");

    fs::write(folder.path().join("config.toml"), "telemetry = [").expect("writable");
    let (code, out, err) = run(&builder(folder.path()).build(), &["disable"]);
    assert!(
        code == 1 && out.is_empty() && err.starts_with("error: ") && err.contains("config.toml"),
        "{err}"
    );
}

#[test]
fn reset_prints_receipts_and_forgets_the_id_when_none_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let memory = MemoryBackend::new();
    let telemetry = |failing: bool| {
        let deletion = move |_: &str| match failing {
            true => jackfield::Deletion::Failed("no route to host".to_owned()),
            false => jackfield::Deletion::Sent("ticket 7".to_owned()),
        };
        builder(folder.path())
            .backend("memory", memory.maker())
            .deletion_requestor("e-mail", EmailDeletion::new("privacy@tool.example", "tool"))
            .deletion_requestor("desk", deletion)
            .help("Ask privacy@tool.example.")
            .build()
    };
    let first = telemetry(true);
    first.track("a", "b", &[]);
    fs::write(folder.path().join("data/events.jsonl"), "{}\n").expect("writable");
    let id = first.status().machine_id;
    let (code, out, _) = run(&first, &["reset"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&format!("Deletion request for machine ID {id}:\n  memory: unsupported")), "{out}");
    assert!(
        out.contains("e-mail: unsupported: send this e-mail yourself: mailto:privacy@tool.example?"),
        "{out}"
    );
    assert!(
        out.contains("  desk: failed: no route to host\n") && out.contains("Ask privacy@tool.example."),
        "{out}"
    );
    assert!(out.ends_with("Local telemetry data cleared. Telemetry disabled.\n"), "{out}");
    assert!(!folder.path().join("data/events.jsonl").exists());
    assert_eq!((first.status().machine_id, first.status().events), (id.clone(), 0));

    let second = telemetry(false);
    let (code, reset) = json(&second, "reset");
    assert_eq!((code, &reset["machine_id"]), (0, &id.clone().into()));
    assert_eq!(reset["receipts"][2]["outcome"], "sent");
    assert_ne!(second.status().machine_id, id);
    assert_eq!(reset["next_machine_id"], second.status().machine_id);
    assert_eq!((&reset["machine_id_changed"], &reset["machine_id_kept"]), (&true.into(), &().into()));
}

#[test]
fn reset_keeps_the_machine_id_until_somebody_has_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let asked = builder(folder.path()).backend("memory", MemoryBackend::new().maker()).build();
    let id = asked.status().machine_id;
    let (code, out, _) = run(&asked, &["reset"]);
    assert!(
        code == 0 && out.contains("The machine ID is kept: nobody has acknowledged the request"),
        "{out}"
    );
    let reset = json(&asked, "reset").1;
    assert_eq!(
        (&reset["machine_id_changed"], &reset["next_machine_id"]),
        (&false.into(), &id.clone().into())
    );
    assert!(reset["machine_id_kept"].as_str().expect("why").contains("acknowledged"), "{reset}");
    assert_eq!(asked.status().machine_id, id);
    // With nobody to ask, nobody else knows the id.
    let nobody = builder(folder.path()).build();
    let (code, out, _) = run(&nobody, &["reset"]);
    assert!(code == 0 && out.contains("The machine ID is another one from now on"), "{out}");
    assert_ne!(nobody.status().machine_id, id);
}

#[test]
fn reset_fails_without_a_usable_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ops.toml"), "[[backend]]\nplugn = 1\n").expect("writable");
    let telemetry = builder(folder.path()).build();
    let id = telemetry.status().machine_id;
    let (code, out, _) = run(&telemetry, &["reset"]);
    assert!(
        code == 1 && out.contains("  backends: failed: configuration ") && out.contains("ops.toml:2"),
        "{out}"
    );
    assert!(out.contains("The machine ID is kept: ") && !out.contains("no backend is configured"), "{out}");
    assert_eq!(telemetry.status().machine_id, id);
}

#[test]
fn extended_collection_shows_in_enable_and_status() {
    for extended in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let telemetry = builder(folder.path()).extended_collection(extended).build();
        let (code, out, _) = run(&telemetry, &["enable"]);
        assert!(code == 0 && out.contains("No personally identifiable information is collected"), "{out}");
        assert_eq!(out.contains("except for what stands in arguments and error messages"), extended, "{out}");
        assert_eq!(json(&telemetry, "enable").1["extended"], extended);
        let (_, out, _) = run(&telemetry, &["status"]);
        assert_eq!(out.contains("\nCollects: usage, and arguments and error messages"), extended, "{out}");
        assert_eq!(out.contains("; no arguments, no error messages\n"), !extended, "{out}");
    }
}

#[cfg(unix)]
#[test]
fn events_that_can_not_be_discarded_are_reported() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let desk = |_: &str| jackfield::Deletion::Sent("ticket 7".to_owned());
    let telemetry = builder(folder.path())
        .backend("memory", MemoryBackend::new().maker())
        .deletion_requestor("desk", desk)
        .build();
    telemetry.enable().expect("writable");
    telemetry.track("a", "b", &[]);
    let spool = folder.path().join("data/spool");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o777)).expect("ours");
    let (code, out, _) = run(&telemetry, &["disable"]);
    assert!(code == 1 && out.starts_with("Telemetry disabled.\nNot all "), "{out}");
    assert!(out.contains("mode 0777: chmod go-w") && !out.contains("have been discarded"), "{out}");
    let (code, answer) = json(&telemetry, "disable");
    assert_eq!((code, &answer["disabled"]), (1, &true.into()));
    assert!(answer["not_discarded"].as_str().expect("a reason").contains("0777"), "{answer}");
    assert!(!telemetry.is_enabled());

    let (code, out, _) = run(&telemetry, &["reset"]);
    assert!(code == 1 && out.contains("  desk: sent: ticket 7\n") && out.contains("0777"), "{out}");
    assert!(out.ends_with("Telemetry disabled.\n") && !out.contains("cleared"), "{out}");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o700)).expect("ours");
    let (code, out, _) = run(&telemetry, &["reset"]);
    assert!(code == 0 && out.ends_with("Local telemetry data cleared. Telemetry disabled.\n"), "{out}");
}

#[cfg(unix)]
#[test]
fn a_data_folder_that_everybody_can_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("room");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("ours");
    let memory = MemoryBackend::new();
    let telemetry = builder(folder.path()).backend("memory", memory.maker()).build();
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    // Not even believed where it can be read.
    fs::write(data.join("machine-id"), "0123456789abcdef0123456789abcdef\n").expect("writable");
    telemetry.track("a", "b", &[]);
    telemetry.flush(Duration::from_secs(10));
    let (code, status) = json(&telemetry, "status");
    let problem = status["problems"][0].as_str().expect("one").to_owned();
    assert!(code == 0 && problem.contains("data folder") && problem.contains("mode 0777"), "{status}");
    assert_eq!(
        (&status["problems"][1], &status["dropped"]["folder refused"]),
        (&().into(), &1.into()),
        "{status}"
    );
    assert_ne!(status["machine_id"], "0123456789abcdef0123456789abcdef");
    assert!(memory.events().is_empty());
    assert_eq!(fs::read_dir(&data).expect("there").count(), 1, "nothing is made in it");
    assert!(run(&telemetry, &["doctor"]).1.contains("WRONG folder: "));

    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("ours");
    let mended = builder(folder.path()).backend("memory", memory.maker()).build();
    mended.track("a", "c", &[]);
    mended.flush(Duration::from_secs(10));
    assert_eq!(memory.events()[0]["machine_id"], "0123456789abcdef0123456789abcdef");
}

#[test]
fn a_file_that_the_variable_names_must_exist_with_backends() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let memory = MemoryBackend::new();
    let telemetry = |file: &Path| {
        let file = file.to_owned();
        let environment = move |name: &str| (name == "TOOL_TELEMETRY_CONFIG").then(|| file.clone().into());
        Telemetry::builder("tool", "1")
            .environment(environment)
            .consent_file(folder.path().join("config.toml"))
            .data_folder(folder.path().join("data"))
            .backend("author", memory.maker())
            .build()
    };
    let empty = folder.path().join("empty.toml");
    fs::write(&empty, "[plugins]\n").expect("writable");
    let gone = folder.path().join("gone.toml");
    for (file, why) in [
        (&*gone, "TOOL_TELEMETRY_CONFIG names it, and it is not there"),
        (&*empty, "TOOL_TELEMETRY_CONFIG names it, and it has no [[backend]] table"),
        (Path::new("relative.toml"), "TOOL_TELEMETRY_CONFIG names it, and expected an absolute path"),
    ] {
        let telemetry = telemetry(file);
        telemetry.track("a", "b", &[]);
        telemetry.flush(Duration::from_secs(1));
        assert!(memory.events().is_empty(), "{file:?}");
        let (_, out, _) = run(&telemetry, &["status"]);
        assert!(out.contains("Backend: none (events wait: ") && out.contains(why), "{out}");
        let (code, out, _) = run(&telemetry, &["doctor"]);
        assert!(code == 1 && out.contains("WRONG backends: none (events wait: "), "{out}");
    }
    let ordinary = builder(folder.path()).backend("author", memory.maker()).build();
    assert_eq!(ordinary.status().events, 3, "none is lost");
    ordinary.flush(Duration::from_secs(10));
    assert_eq!(memory.events().len(), 3, "the file of the builder may still be missing");
}

#[test]
fn after_a_reset_events_have_the_new_machine_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBackend::new();
    let telemetry = builder(folder.path())
        .backend("memory", memory.maker())
        .deletion_requestor("desk", |_: &str| jackfield::Deletion::Sent(String::new()))
        .build();
    for _ in 0..2 {
        telemetry.enable().expect("writable");
        telemetry.track("a", "b", &[]);
        telemetry.flush(Duration::from_secs(10));
        telemetry.reset(Duration::from_secs(1)).expect("possible");
    }
    let events = memory.events();
    assert_eq!(events.len(), 2);
    assert_ne!(events[0]["machine_id"], events[1]["machine_id"]);
}

#[test]
fn show_prints_the_stored_lines_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let telemetry = builder(folder.path()).backend("memory", MemoryBackend::new().maker()).build();
    telemetry.track("a", "b", &[("token", "abc")]);
    let spooled: Vec<_> = fs::read_dir(folder.path().join("data/spool"))
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    let line = fs::read_to_string(&spooled[0]).expect("there");
    let (code, out, _) = run(&telemetry, &["show"]);
    assert!(code == 0 && out.starts_with(&format!("Stored: 1 event\n{line}\n")), "{out}");
    assert!(out.contains("\nTo memory, of 1 event (nothing is sent now):\n"), "{out}");
    assert!(!out.contains("abc"), "{out}");
    let (_, shown) = json(&telemetry, "show");
    assert_eq!(shown["stored"][0], serde_json::from_str::<serde_json::Value>(&line).expect("JSON"));
}

#[test]
fn doctor_finds_a_missing_backend_and_a_file_without_use() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let fine = builder(folder.path()).backend("memory", MemoryBackend::new().maker()).build();
    let (code, out, _) = run(&fine, &["doctor"]);
    assert!(code == 0 && out.contains("ok    consent: enabled: "), "{out}");

    let ops = folder.path().join("ops.toml");
    fs::write(&ops, "[plugins]\npath = [\"none\"]\n[[backend]]\nplugin = \"gone\"\n").expect("writable");
    let (code, out, _) = run(&fine, &["doctor"]);
    assert!(code == 1 && out.contains("WRONG backend gone: "), "{out}");
    fs::write(&ops, "[[backend]]\nplugn = \"gone\"\n").expect("writable");
    let (code, doctor) = json(&fine, "doctor");
    let findings = doctor["findings"].as_array().expect("a list");
    let wrong = findings.iter().find(|finding| finding["verdict"] == "wrong").expect("one");
    assert!(code == 1 && wrong["detail"].as_str().expect("text").contains("ops.toml:2"), "{wrong}");
}

#[test]
fn doctor_reports_a_folder_that_it_can_not_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let telemetry = builder(folder.path()).backend("memory", MemoryBackend::new().maker()).build();
    run(&telemetry, &["doctor"]);
    assert!(!folder.path().join("data").exists(), "made without consent");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let spool = folder.path().join("data/spool");
    let (code, out, _) = run(&telemetry, &["doctor"]);
    assert!(code == 0 && out.contains("ok    folder: "), "{out}");
    assert_eq!(fs::read_dir(&spool).expect("made").count(), 0, "what was written is removed");

    // No folder can be made in here, whoever one is.
    #[cfg(target_os = "linux")]
    {
        let nowhere = builder(folder.path()).data_folder("/proc/jackfield");
        let nowhere = nowhere.backend("memory", MemoryBackend::new().maker()).build();
        let (code, out, _) = run(&nowhere, &["doctor"]);
        assert!(code == 1 && out.contains("WRONG folder: ") && !out.contains("ok    folder"), "{out}");
        assert!(out.contains("/proc/jackfield/spool") && out.contains("new events are lost"), "{out}");
    }
}

#[test]
fn resend_ends_with_1_while_dead_letters_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
    let telemetry = builder(folder.path()).backend("picky", || Picky).build();
    let (code, out, _) = run(&telemetry, &["resend"]);
    assert_eq!((code, &*out), (0, "Delivered: 0 events\nDead letters: 0 events\n"));
    telemetry.track("a", "b", &[]);
    telemetry.flush(Duration::from_secs(10));
    let (code, out, err) = run(&telemetry, &["resend"]);
    assert_eq!(
        (code, &*out, &*err),
        (
            1,
            "Delivered: 0 events\n  picky: 0 delivered, 1 rejected again: not b\nDead letters: 1 event\n",
            ""
        )
    );
    let memory = MemoryBackend::new();
    let mended = builder(folder.path()).backend("picky", memory.maker()).build();
    let (code, resent) = json(&mended, "resend");
    assert_eq!((code, &resent["backends"][0]["delivered"], &resent["of_others"]), (0, &1.into(), &0.into()));
    assert_eq!((memory.events().len(), mended.status().dead_letters), (1, 0));
}

/// Refuses all.
struct Picky;

impl Backend for Picky {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Err(Error::failed("made by the test"))
    }

    fn send(&self, _: &Batch<'_>, _: &Call<'_>) -> Outcomes {
        Outcome::rejected("not b").into()
    }
}
