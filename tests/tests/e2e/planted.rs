//! Known secrets are planted in configurations, the environment and events; then everything that was written is searched
//! for them: what commands print, at the most talkative level, and every file that they leave.
//!
//! Not searched are the configuration itself and what `show` prints by design: the very bytes that would leave, among which
//! PostHog's form has its key.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use jackfield_test_support::wait_until;
use jackfield_tests::{
    Build, cli,
    peers::{
        free_port,
        http::{HttpServer, Reply},
    },
    plugin,
};

/// What is planted; none is a part of another, and all of them look like nothing that is searched.
const SECRETS: [&str; 8] = [
    "plantedbearer1x9Qf",
    "planted+basic/2=Zk",
    "plantedddkey3Wm77",
    "plantedphkey4Rt81",
    "plantedamqp5Ju62",
    "plantedheader6Vb43",
    "plantedarg7Ny20",
    "plantederror8Hc54",
];

/// A secret as it may be written.
fn spellings(secret: &str) -> Vec<String> {
    let percent: String =
        secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
    let json = serde_json::to_string(secret).expect("text");
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secret.to_owned(),
        percent,
        json.trim_matches('"').replace('/', "\\/"),
        hex,
        base64(secret),
        base64(&format!("user:{secret}")),
    ]
}

/// RFC 4648, without the end that depends on what follows.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks_exact(3)
        .flat_map(|three| {
            let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
        })
        .collect()
}

/// Fails when a secret is in `text`.
#[track_caller]
fn search(place: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for secret in SECRETS {
        for spelling in spellings(secret) {
            assert!(!text.contains(&spelling), "{place} shows {secret} as {spelling}:\n{text}");
        }
    }
}

/// Every file below a folder but those of these names; how many there are.
fn search_files(folder: &Path, but: &[&str]) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        search("the name of a file", name.as_bytes());
        if path.is_dir() {
            files += search_files(&path, but);
        } else if path.is_file() && !but.contains(&&*name) {
            search(&path.display().to_string(), &fs::read(&path).expect("readable"));
            files += 1;
        }
    }
    files
}

fn said(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    let what = format!("{command:?}").split(' ').skip(1).take(4).collect::<Vec<_>>().join(" ");
    search(&format!("standard output of {what}"), &output.stdout);
    search(&format!("standard error of {what}"), &output.stderr);
    output
}

#[test]
fn the_search_finds_each_spelling() {
    for secret in SECRETS {
        for spelling in spellings(secret) {
            let found = std::panic::catch_unwind(|| search("here", format!("x{spelling}y").as_bytes()));
            assert!(found.is_err(), "{spelling}");
        }
    }
}

#[test]
fn no_command_prints_or_writes_a_secret_of_its_configuration() {
    let home = tempfile::tempdir().expect("a folder");
    // Servers that refuse and repeat what they were sent.
    let [bearer, basic, dd, _, amqp, header, ..] = SECRETS;
    let servers = [
        format!("Bearer {bearer}"),
        format!("{basic}, {}", base64(&format!("user:{basic}"))),
        header.to_owned(),
        dd.to_owned(),
    ]
    .map(|repeated| HttpServer::start(Reply::status(403).body(format!("refused: {repeated}"))));
    let urls = servers.each_ref().map(|server| server.url("/in"));
    let closed = free_port();
    let plugins = home.path().join("plugins");
    fs::create_dir(&plugins).expect("writable");
    for name in ["http", "otlp", "datadog", "posthog", "rabbitmq", "file"] {
        let built = plugin(name);
        fs::copy(&built, plugins.join(built.file_name().expect("a name"))).expect("copied");
    }
    fs::set_permissions(&plugins, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("ours");
    let config = format!(
        "[plugins]\npath = [{plugins:?}]\n\
         [[backend]]\nplugin = \"http\"\nconfig = {{ url = {:?}, bearer_token = \"${{BEARER}}\" }}\n\
         [[backend]]\nplugin = \"http\"\nname = \"basic\"\nconfig = {{ url = {:?}, basic = {{ username = \"user\", password = \"{basic}\" }} }}\n\
         [[backend]]\nplugin = \"otlp\"\nconfig = {{ endpoint = {:?}, headers = {{ x-key = \"{header}\" }} }}\n\
         [[backend]]\nplugin = \"datadog\"\nconfig = {{ url = {:?}, api_key = \"{dd}\" }}\n\
         [[backend]]\nplugin = \"posthog\"\nconfig = {{ host = \"http://127.0.0.1:{closed}\", api_key = \"${{PH_KEY}}\" }}\n\
         [[backend]]\nplugin = \"rabbitmq\"\ntimeout = \"2s\"\nconfig = {{ url = \"amqp://user:{amqp}@127.0.0.1:{closed}\", queue = \"q\" }}\n\
         [[backend]]\nplugin = \"rabbitmq\"\nname = \"isolated\"\nisolation = \"process\"\ntimeout = \"2s\"\nconfig = {{ url = \"amqp://user:{amqp}@127.0.0.1:{closed}\", queue = \"q\" }}\n",
        urls[0], urls[1], urls[2], urls[3],
    );
    fs::write(home.path().join("config.toml"), config).expect("writable");
    fs::write(home.path().join("in.jsonl"), "{\"type\":\"a\",\"name\":\"b\"}\n").expect("writable");
    let jackfield = |arguments: &[&str]| {
        let mut command = Command::new(cli());
        command
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("JACKFIELD_CONFIG", "config.toml")
            .env("JACKFIELD_LOG", "trace")
            .env("BEARER", bearer)
            .env("PH_KEY", SECRETS[3]);
        command
    };
    let sent = said(&mut jackfield(&["send", "--give-up-after", "3s", "in.jsonl"]));
    assert_eq!(sent.status.code(), Some(6), "{sent:?}");
    let log = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(log.contains("\ntrace: ") || log.contains("\ndebug: "), "the log is talkative:\n{log}");
    assert!(servers[0].received().iter().any(|it| it.header("authorization").is_some()), "secrets were used");
    for arguments in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["plugins"],
        &["schema"],
        &["forget", "3bf690336b01aed7275a70c788d44b6e"],
        &["run", "--state", "state", "--grace", "1s"],
        &["status", "--state", "state", "--json"],
    ] {
        said(&mut jackfield(arguments));
    }
    // What is wrong with it is told without it, too.
    for wrong in [
        "timeout = \"${BEARER}\"",
        "plugin = \"${BEARER}\"",
        "config = \"${BEARER}\"",
        "isolation = \"${BEARER}\"",
    ] {
        let plugin = if wrong.starts_with("plugin") { "" } else { "plugin = \"file\"\n" };
        fs::write(
            home.path().join("wrong.toml"),
            format!("[plugins]\npath = [{plugins:?}]\n[[backend]]\n{plugin}{wrong}\n"),
        )
        .expect("writable");
        let refused = said(&mut jackfield(&["send", "--config", "wrong.toml", "in.jsonl"]));
        assert!(!refused.status.success(), "{wrong}");
    }
    let searched = search_files(home.path(), &["config.toml"]);
    assert!(searched > 8, "{searched} files");
}

#[test]
fn no_secret_reaches_the_disk_or_the_server() {
    let home = tempfile::tempdir().expect("a folder");
    let server = HttpServer::start(Reply::status(200));
    let folder = plugin("http");
    let ops = format!(
        "[plugins]\npath = [{:?}]\n[[backend]]\nplugin = \"http\"\nconfig = {{ url = {:?}, bearer_token = \"${{BEARER}}\" }}\n",
        folder.parent().expect("a folder"),
        server.url("/in")
    );
    fs::write(home.path().join("ops.toml"), ops).expect("writable");
    let greet = |arguments: &[&str]| {
        let mut command = Command::new(Build::package("jackfield").example("greet", "clap"));
        command
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("GREET_TELEMETRY_CONFIG", home.path().join("ops.toml"))
            .env("BEARER", SECRETS[0]);
        command
    };
    said(&mut greet(&["telemetry", "enable"]));
    // The tool itself tells its user what was wrong: that is no telemetry.
    let wrong = [format!("password={}", SECRETS[6]), format!("https://user:{}@host/", SECRETS[7])];
    for wrong in &wrong {
        let output = greet(&["add", wrong]).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    for arguments in [&["telemetry", "show"][..], &["telemetry", "status"], &["telemetry", "doctor"]] {
        said(&mut greet(arguments));
    }
    let sent = || server.received().into_iter().map(|request| request.json().to_string());
    wait_until("an error message has arrived", || sent().any(|body| body.contains("\"error\"")));
    for body in sent() {
        search("what was sent", body.as_bytes());
    }
    assert!(search_files(home.path(), &["ops.toml"]) > 3);
}
