//! RabbitMQ as a private node: its own name, ports, folder, cookie and port mapper, started once a process and ended with
//! it. Two nodes: tests that leave the broker alone share one, and those that kill, stop or block it take turns with the
//! other.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use jackfield_test_support::wait_until;

use super::{Leash, free_port};

mod client;

pub use client::{Client, Message};

const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// A broker.
pub struct Broker {
    name: &'static str,
    folder: PathBuf,
    port: u16,
    tls_port: u16,
    dist_port: u16,
    node: Mutex<Option<Child>>,
}

/// What all brokers of this process share: a folder, a port mapper, certificates.
struct Common {
    folder: PathBuf,
    epmd_port: u16,
    leash: Leash,
    _epmd: Child,
}

fn common() -> &'static Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(|| {
        assert!(
            Path::new(PROGRAMS).join("rabbitmq-server").exists(),
            "there is no RabbitMQ in {PROGRAMS}; scripts/setup installs it"
        );
        let folder = std::env::temp_dir().join(format!("jackfield-rabbitmq-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("writable");
        let leash = Leash::new(&folder);
        certificates(&folder);
        let epmd_port = free_port();
        let epmd = leash
            .spawn(
                Command::new("epmd")
                    .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null()),
            )
            .unwrap_or_else(|error| panic!("epmd (scripts/setup installs it): {error}"));
        Common { folder, epmd_port, leash, _epmd: epmd }
    })
}

/// An authority, a server's certificate for 127.0.0.1 by it, a client's, and another authority.
fn certificates(folder: &Path) {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("writable");
        rcgen::Issuer::new(params, key)
    };
    let issuer = authority("ca");
    authority("other-ca");
    for (file, names) in [("server", vec!["localhost", "127.0.0.1"]), ("client", vec!["client"])] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.distinguished_name.push(rcgen::DnType::CommonName, file);
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        fs::write(folder.join(format!("{file}.pem")), certificate.pem()).expect("writable");
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("writable");
    }
}

/// The broker for tests that only use it.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let broker = BROKER.get_or_init(|| Broker::new("shared", "verify_none"));
    broker.start();
    broker
}

/// The broker for tests that kill, stop or block it, one at a time. It runs when this returns. By TLS it takes nobody
/// without a certificate of the authority, whose common name may be the login.
///
/// # Panics
/// When it does not start.
pub fn own_broker() -> MutexGuard<'static, Broker> {
    static BROKER: OnceLock<Mutex<Broker>> = OnceLock::new();
    let broker = BROKER
        .get_or_init(|| Mutex::new(Broker::new("own", "verify_peer")))
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    broker.start();
    broker
}

impl Broker {
    /// A broker that checks its clients' certificates as `verify` says.
    fn new(name: &'static str, verify: &str) -> Self {
        let folder = common().folder.join(name);
        fs::create_dir_all(&folder).expect("writable");
        let (port, tls_port, dist_port) = (free_port(), free_port(), free_port());
        let common = common().folder.display();
        let checks_clients = verify == "verify_peer";
        // Who shows a certificate logs in as its common name.
        let external = "auth_mechanisms.3 = EXTERNAL\nssl_cert_login_from = common_name\n";
        let (external, plugins) =
            if checks_clients { (external, "[rabbitmq_auth_mechanism_ssl].\n") } else { ("", "[].\n") };
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
             ssl_options.cacertfile = {common}/ca.pem\n\
             ssl_options.certfile = {common}/server.pem\n\
             ssl_options.keyfile = {common}/server.key\n\
             ssl_options.verify = {verify}\n\
             ssl_options.fail_if_no_peer_cert = {checks_clients}\n\
             disk_free_limit.absolute = 50MB\n\
             vm_memory_high_watermark.absolute = 4GB\n\
             auth_mechanisms.1 = PLAIN\n\
             auth_mechanisms.2 = AMQPLAIN\n\
             {external}\
             log.file.level = info\n"
        );
        fs::write(folder.join("rabbitmq.conf"), config).expect("writable");
        fs::write(folder.join("enabled_plugins"), plugins).expect("writable");
        Self { name, folder, port, tls_port, dist_port, node: Mutex::new(None) }
    }

    /// The port for plain AMQP.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the virtual host `/` for the user who may do everything.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// The same by TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@127.0.0.1:{}/%2f", self.tls_port)
    }

    /// The certificate of the authority that vouches for the broker.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        common().folder.join("ca.pem")
    }

    /// The certificate of a client, by the same authority, and its key.
    #[must_use]
    pub fn client_files(&self) -> (PathBuf, PathBuf) {
        (common().folder.join("client.pem"), common().folder.join("client.key"))
    }

    /// The port for AMQP by TLS.
    #[must_use]
    pub const fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The certificate of an authority that does not.
    #[must_use]
    pub fn other_ca_file(&self) -> PathBuf {
        common().folder.join("other-ca.pem")
    }

    /// A connection of the test's own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(&self.url())
    }

    fn command(&self, program: &str) -> Command {
        let folder = |name: &str| self.folder.join(name);
        let mut command = Command::new(Path::new(PROGRAMS).join(program));
        command
            .current_dir(&self.folder)
            .env("HOME", &common().folder)
            .env("ERL_EPMD_PORT", common().epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.node_name())
            .env("RABBITMQ_CONF_ENV_FILE", folder("no-env.conf"))
            .env("RABBITMQ_CONFIG_FILE", folder("rabbitmq.conf"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder("log"))
            .env("RABBITMQ_PID_FILE", folder("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", folder("feature_flags"))
            .stdin(Stdio::null());
        command
    }

    fn node(&self) -> MutexGuard<'_, Option<Child>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the broker unless it runs, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        let mut node = self.node();
        if let Some(running) = &mut *node {
            if running.try_wait().expect("a child").is_none() {
                return;
            }
            common().leash.kill(running);
        }
        let console = File::create(self.folder.join("console")).expect("writable");
        let child = common()
            .leash
            .spawn(
                self.command("rabbitmq-server")
                    .stdout(console.try_clone().expect("a handle"))
                    .stderr(console),
            )
            .expect("rabbitmq-server starts");
        let child = node.insert(child);
        // On an idle machine that takes 8 s.
        wait_until("RabbitMQ listens", || {
            if let Some(ended) = child.try_wait().expect("a child") {
                let console = fs::read_to_string(self.folder.join("console")).unwrap_or_default();
                panic!("RabbitMQ does not start ({ended}):\n{console}");
            }
            [self.port, self.tls_port].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
    }

    /// Whether the broker has written the name of a quorum queue to the disk, which it does half a second after the queue
    /// is declared.
    #[must_use]
    pub fn has_written_down(&self, queue: &str) -> bool {
        let quorum = self.folder.join("mnesia").join(self.node_name()).join("quorum").join(self.node_name());
        let names = fs::read(quorum.join("names.dets")).unwrap_or_default();
        names.windows(queue.len()).any(|window| window == queue.as_bytes())
    }

    fn node_name(&self) -> String {
        format!("jackfield-{}@localhost", self.name)
    }

    /// Ends the broker as `kill -9` does.
    pub fn kill(&self) {
        let node = self.node().take();
        if let Some(mut node) = node {
            common().leash.kill(&mut node);
        }
    }

    /// Shuts the broker down in order.
    pub fn stop(&self) {
        self.ctl(&["stop"]);
        self.kill();
    }

    /// Runs `rabbitmqctl` and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output =
            self.command("rabbitmqctl").arg("--quiet").args(arguments).output().expect("rabbitmqctl starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "rabbitmqctl {arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }
}
