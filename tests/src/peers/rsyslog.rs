//! rsyslog's daemon, in a folder of its own, as the user who runs the tests, which writes down what it has understood.

use std::{
    fs,
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Leash, free_port};

/// How long the daemon may take to start, and to write, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon.
pub struct Rsyslog {
    child: Child,
    leash: Leash,
    folder: PathBuf,
    udp: u16,
    tcp: u16,
}

impl Rsyslog {
    /// Starts a daemon.
    ///
    /// # Panics
    /// When it is not installed, or does not listen.
    #[must_use]
    pub fn start() -> Self {
        for _ in 0..3 {
            let mut daemon = Self::spawn();
            if daemon.listens() {
                return daemon;
            }
            eprintln!("rsyslogd does not listen:\n{}", daemon.log());
        }
        panic!("rsyslogd does not listen, see above");
    }

    fn spawn() -> Self {
        // A path of a socket is short.
        let folder =
            tempfile::Builder::new().prefix("jackfield-rsyslog-").tempdir().expect("a folder").keep();
        let (udp, tcp) = (free_port(), free_port());
        let at = folder.display();
        let configuration = format!(
            r#"
global(workDirectory="{at}" parser.escapeControlCharactersOnReceive="off" maxMessageSize="64k")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{at}/log" UseSpecialParser="off" IgnoreTimestamp="off" RateLimit.Interval="0")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{udp}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
template(name="understood" type="list") {{ property(name="jsonmesg") constant(value="\n") }}
action(type="omfile" file="{at}/understood" template="understood")
"#
        );
        fs::write(folder.join("rsyslog.conf"), configuration).expect("writable");
        let log = fs::File::create(folder.join("stderr")).expect("writable");
        let leash = Leash::new(&folder);
        // Debian has it where the PATH of users does not lead.
        let program = ["/usr/sbin/rsyslogd", "/sbin/rsyslogd"]
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or(false))
            .unwrap_or("rsyslogd");
        let child = leash
            .spawn(
                Command::new(program)
                    .args(["-n", "-i", "NONE", "-f"])
                    .arg(folder.join("rsyslog.conf"))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(log),
            )
            .unwrap_or_else(|error| panic!("{program} (scripts/setup installs it): {error}"));
        Self { child, leash, folder, udp, tcp }
    }

    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let socket = UnixDatagram::unbound().expect("a socket");
            if socket.connect(self.folder.join("log")).is_ok()
                && TcpStream::connect(("127.0.0.1", self.tcp)).is_ok()
            {
                return true;
            }
            if self.child.try_wait().expect("waits").is_some() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Its addresses: a UNIX socket, UDP and TCP.
    #[must_use]
    pub fn addresses(&self) -> [String; 3] {
        [
            format!("unix:{}", self.folder.join("log").display()),
            format!("udp://127.0.0.1:{}", self.udp),
            format!("tcp://127.0.0.1:{}", self.tcp),
        ]
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("stderr")).unwrap_or_default()).into_owned()
    }

    /// What it has understood, by rsyslog's names of properties, as soon as that is at least `count` messages that `wanted`
    /// says yes to.
    ///
    /// # Panics
    /// When it does not become that many.
    #[must_use]
    pub fn understood(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.folder.join("understood")).unwrap_or_default();
            // The last line may not be whole yet.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let found: Vec<Value> = whole
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
                .filter(&wanted)
                .collect();
            if found.len() >= count {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{} messages of {count}:\n{text}\n{}",
                found.len(),
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.leash.kill(&mut self.child);
        let _ = fs::remove_dir_all(&self.folder);
    }
}
