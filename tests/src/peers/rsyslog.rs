//! rsyslog's daemon, in a folder of its own, as the user who runs the tests, which writes down what it has understood.

use std::{
    fs,
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use jackfield_test_support::{wait_for, wait_until};
use serde_json::Value;

use super::{Leash, free_port};

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
        let mut listens = false;
        wait_until("rsyslogd listens or has ended", || {
            let socket = UnixDatagram::unbound().expect("a socket");
            listens = socket.connect(self.folder.join("log")).is_ok()
                && TcpStream::connect(("127.0.0.1", self.tcp)).is_ok();
            listens || self.child.try_wait().expect("a child").is_some()
        });
        listens
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
        let understood = || -> Vec<Value> {
            let text = fs::read_to_string(self.folder.join("understood")).unwrap_or_default();
            // The last line may not be whole yet.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let all = whole
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
            all.filter(&wanted).collect()
        };
        wait_for("rsyslogd has understood the messages", understood, |found| found.len() >= count)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.leash.kill(&mut self.child);
        let _ = fs::remove_dir_all(&self.folder);
    }
}
