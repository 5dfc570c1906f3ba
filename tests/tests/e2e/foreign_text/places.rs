//! Each place in which a text of others may be, with the commands that read it.

use super::*;

/// A place in which a text of others may be, and the commands that read it. In their words `HOSTILE` stands for it. A
/// command after `~` need not quote it.
struct Place {
    what: &'static str,
    plant: fn(&Site),
    /// Variables with the text as their value.
    variables: &'static [&'static str],
    commands: &'static [&'static str],
}

impl Place {
    const fn file(what: &'static str, plant: fn(&Site), commands: &'static [&'static str]) -> Self {
        Self { what, plant, variables: &[], commands }
    }

    const fn variable(names: &'static [&'static str], commands: &'static [&'static str]) -> Self {
        Self { what: "a variable", plant: |_| (), variables: names, commands }
    }

    const fn argument(commands: &'static [&'static str]) -> Self {
        Self { what: "an argument", plant: |_| (), variables: &[], commands }
    }
}

/// `HOSTILE` as a string of JSON and of TOML.
fn quoted() -> String {
    json!(HOSTILE).to_string().replace('\u{7f}', "\\u007f")
}

/// Writes the configuration; `HOSTILE` in it becomes a quoted string.
fn configure(site: &Site, text: &str) {
    let to = site.path("out.jsonl");
    site.write("config.toml", text.replace("HOSTILE", &quoted()).replace("OUT", &format!("{to:?}")));
}

const FILE: &str = "[[backend]]\nname = \"main\"\nplugin = \"file\"\nconfig = { path = OUT }\n";

/// The data folder of the command's own telemetry.
const DATA: &str = ".local/state/jackfield/telemetry";

/// Consents for the command's own telemetry, with the backend `main`.
fn consent(site: &Site) {
    plant(site, "jackfield/consent.toml", "[telemetry]\nenabled = true\n");
    configure(site, FILE);
    plant(site, "jackfield/telemetry.toml", site.read("config.toml"));
}

fn dead_letter() -> String {
    let event: Value = serde_json::from_str(&event(0)).expect("JSON");
    let event =
        [("type", HOSTILE), ("name", HOSTILE)].into_iter().fold(event, |mut event, (member, text)| {
            event[member] = text.into();
            event
        });
    json!({"backend": HOSTILE, "reason": HOSTILE, "rejected_at": 7, "event": event}).to_string() + "\n"
}

fn status_of_a_run() -> String {
    let backend = json!({
        "name": HOSTILE, "plugin": {"name": HOSTILE, "version": HOSTILE, "file": HOSTILE},
        "isolation": HOSTILE, "open": true, "events_per_s": 0.0, "p50_ms": 0.0, "p99_ms": 0.0, "calls": 0,
        "waiting": 0, "delivered": 0, "rejected": 0, "circuit": HOSTILE, "paused_s": null,
        "last_error": HOSTILE, "last_error_s": 1, "last_delivery_s": null, "swaps": 0, "not_swapped": HOSTILE,
    });
    let spool = json!({
        "tool": HOSTILE, "folder": HOSTILE, "waiting": 0, "bytes": 0, "oldest_s": null,
        "dropped": {HOSTILE: 1}, "dead_letters": 1, "problems": [HOSTILE], "backends": [backend],
    });
    json!({
        "state": HOSTILE, "version": HOSTILE, "pid": 1, "started_ms": 0, "at_ms": 0, "config": HOSTILE,
        "input": HOSTILE, "lines": 0, "events": 0, "bad_lines": 0, "not_stored": 0,
        "holding": {"reason": HOSTILE, "since_ms": 0}, "mapped_images": 0, "image_limit": 0,
        "last_reload": HOSTILE, "spools": [spool],
    })
    .to_string()
}

const PLACES: &[Place] = &[
    Place::file(
        "the name of a backend",
        |site| configure(site, "[[backend]]\nname = HOSTILE\nplugin = \"stdout\"\n"),
        &["plugins", "doctor", "send in.jsonl", "run", "lock", "forget 0123456789abcdef"],
    ),
    Place::file(
        "a key of the configuration",
        |site| configure(site, "HOSTILE = 1\n"),
        &["plugins", "doctor"],
    ),
    Place::file(
        "a key of an option",
        |site| configure(site, &FILE.replace("path", "HOSTILE = 1, path")),
        &["doctor", "send in.jsonl", "run"],
    ),
    Place::file(
        "a value of the configuration",
        |site| configure(site, "[plugins]\ntrust = HOSTILE\n"),
        &["plugins", "~ inspect in.jsonl --config config.toml", "verify in.jsonl"],
    ),
    Place::file(
        "the plugin of a backend",
        |site| configure(site, "[[backend]]\nname = \"main\"\nplugin = HOSTILE\n"),
        &["doctor", "send in.jsonl", "run", "lock"],
    ),
    Place::file(
        "a folder of the search path",
        |site| configure(site, &format!("[plugins]\npath = [HOSTILE]\n{}", FILE.replace("file", "nobody"))),
        &["~ plugins", "doctor", "send in.jsonl"],
    ),
    Place::file(
        "the file of the configuration",
        |site| configure(site, FILE),
        &["plugins --config HOSTILE", "send --config HOSTILE in.jsonl", "run --config HOSTILE"],
    ),
    Place::file(
        "an entry of the lock",
        |site| {
            configure(site, &format!("[plugins]\ntrust = \"pinned\"\n{FILE}"));
            let sha256 = "0".repeat(64);
            let pin = "[[plugin]]\nname = HOSTILE\nversion = \"1.0.0\"\ntarget = HOSTILE\nsize = 1\n";
            site.write(
                "jackfield.lock",
                pin.replace("HOSTILE", &quoted()) + &format!("sha256 = \"{sha256}\"\n"),
            );
        },
        &["~ lock --check", "~ lock", "~ plugins", "~ doctor"],
    ),
    Place::file(
        "a key of the lock",
        |site| {
            configure(site, &format!("[plugins]\ntrust = \"pinned\"\n{FILE}"));
            site.write("jackfield.lock", format!("{} = 1\n", quoted()));
        },
        &["lock", "~ plugins", "doctor"],
    ),
    Place::file(
        "a key file",
        |site| drop(site.write("key.pub", format!("{HOSTILE}\n{HOSTILE}\n"))),
        &["verify --key HOSTILE in.jsonl"],
    ),
    Place::file(
        "a dead letter",
        |site| {
            configure(site, FILE);
            for folder in ["state", DATA] {
                plant(site, &format!("{folder}/spool/dead-letters.v1.jsonl"), dead_letter());
            }
        },
        &[
            "dead-letters list --state state",
            "dead-letters list --state state --backend nobody",
            "dead-letters show --state state",
            "telemetry show",
        ],
    ),
    Place::file(
        "the status of a run",
        |site| plant(site, "state/status.v1.json", status_of_a_run()),
        &["status --state state"],
    ),
    Place::file(
        "the state of a backend",
        |site| {
            consent(site);
            let problem = json!({"at_ms": 1, "reason": HOSTILE});
            let states = json!({"main": {"last_problem": problem, "not_swapped": problem}});
            plant(site, &format!("{DATA}/backends.v1.json"), states.to_string());
        },
        &["telemetry status"],
    ),
    Place::file(
        "a record of a crash",
        |site| {
            consent(site);
            let crash = json!({"count": 3, "how": HOSTILE, "time": 1, "plugin": HOSTILE});
            plant(site, &format!("{DATA}/crashes/{}.json", "0".repeat(64)), crash.to_string());
        },
        &["telemetry doctor"],
    ),
    Place::file(
        "a file in the spool",
        |site| plant(site, &format!("{DATA}/spool/{HOSTILE}.v7.jsonl"), ""),
        &["telemetry status", "telemetry doctor"],
    ),
    Place::file(
        "a line of the spool",
        |site| {
            consent(site);
            let mut event: Value = serde_json::from_str(&event(0)).expect("JSON");
            event["name"] = HOSTILE.into();
            let segment = "000000000001-00000001-00000001.v1.jsonl";
            plant(site, &format!("{DATA}/spool/{segment}"), format!("{event}\n"));
        },
        &["telemetry show"],
    ),
    Place::file(
        "the file with the user's consent",
        |site| plant(site, "jackfield/consent.toml", format!("[telemetry]\nenabled = {}\n", quoted())),
        &["~ telemetry status", "~ telemetry doctor"],
    ),
    Place::file(
        "the file with the backends of a tool",
        |site| {
            consent(site);
            plant(site, "jackfield/telemetry.toml", format!("{} = 1\n", quoted()));
        },
        &["telemetry status", "telemetry doctor", "telemetry reset"],
    ),
    Place::file(
        "what an isolated plugin says, logs and writes",
        |site| {
            let says = says("outcome = \"rejected\"")
                .replace("[backend.config]", "isolation = \"process\"\n[backend.config]");
            site.write("config.toml", says);
        },
        &["send in.jsonl", "doctor"],
    ),
    Place::variable(&["JACKFIELD_LOG"], &["~ plugins"]),
    Place::variable(&["JACKFIELD_LOG_FORMAT"], &["plugins"]),
    Place::variable(&["JACKFIELD_CONFIG"], &["plugins", "doctor"]),
    Place::variable(&["JACKFIELD_PLUGIN_PATH"], &["~ plugins"]),
    Place::variable(&["JACKFIELD_TELEMETRY_CONFIG"], &["telemetry status", "telemetry doctor"]),
    Place::variable(&["JACKFIELD_DO_NOT_TRACK"], &["telemetry status"]),
    Place::argument(&[
        "HOSTILE",
        "plugins --HOSTILE",
        "send --batch-events HOSTILE in.jsonl",
        "doctor HOSTILE",
        "check --only HOSTILE in.jsonl",
        "check in.jsonl --config config.toml --backend HOSTILE",
        "dead-letters list --state HOSTILE",
        "retry --state HOSTILE",
        "sign --key HOSTILE in.jsonl",
        "new --lang HOSTILE name",
        "~ run HOSTILE",
        "completions HOSTILE",
    ]),
];

#[test]
fn no_command_prints_a_hostile_text_from_any_place() {
    for Place { what, plant, variables, commands } in PLACES {
        for command in *commands {
            let site = Site::new(&[]);
            site.write("in.jsonl", events(0..1));
            plant(&site);
            let (quotes, command) =
                command.strip_prefix("~ ").map_or((true, *command), |command| (false, command));
            let replaced: Vec<_> = command.split(' ').map(|word| word.replace("HOSTILE", HOSTILE)).collect();
            let arguments: Vec<_> = replaced.iter().map(OsStr::new).collect();
            println!("{what}: {command} {variables:?}");
            let backends = site.path("jackfield/telemetry.toml");
            harmless_in_each_form(&site, &arguments, quotes, |process| {
                if backends.exists() {
                    process.env("JACKFIELD_TELEMETRY_CONFIG", &backends);
                }
                for variable in *variables {
                    process.env(variable, HOSTILE);
                }
            });
        }
    }
}
