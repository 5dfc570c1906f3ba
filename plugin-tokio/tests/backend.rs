//! An async backend, called as a host calls it.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Barrier, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_plugin_api::{
    Backend, Batch, Deletion, DeletionRequest, Error, Host, Outcome, Outcomes, Probe,
    test_host::{Report, TestHost},
};
use jackfield_plugin_tokio::{AsyncBackend, AsyncDeletesData, AsyncDiagnoses, Call, Runtimes, Tokio};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    time::sleep,
};

const SHORT: Duration = Duration::from_millis(60);

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    slow: bool,
}

/// Does with each event what its name says.
struct Obedient {
    slow: bool,
    values: AtomicUsize,
}

thread_local! {
    /// What a task of the backend has that was opened last. `open` is called on this thread.
    static HELD: RefCell<Weak<()>> = const { RefCell::new(Weak::new()) };
    /// Whether a backend of [`PerCall`] was closed on this thread.
    static CLOSED: Cell<bool> = const { Cell::new(false) };
}

/// Where two calls meet.
static TOGETHER: Barrier = Barrier::new(2);
/// Where a call meets the test.
static MEETING: Barrier = Barrier::new(2);

async fn for_ever() {
    std::future::pending::<()>().await;
}

impl Obedient {
    async fn act(&self, name: &str, call: &Call<'_>) -> Outcome {
        match name {
            "deliver" => Outcome::Delivered,
            "wait" => {
                sleep(Duration::from_millis(1)).await;
                Outcome::Delivered
            }
            "hang" => {
                for_ever().await;
                Outcome::Delivered
            }
            "end in order" => {
                assert!(call.run_until_cancelled(for_ever()).await.is_none());
                // This poll is the last one.
                call.report(0..1, &Outcome::rejected("ended in order"));
                for_ever().await;
                Outcome::Delivered
            }
            "echo" => match echo().await {
                Ok(()) => Outcome::Delivered,
                Err(error) => Outcome::retry(error.to_string()),
            },
            _ if name.starts_with("connect ") => {
                // A task has the connection, as with a client that uses its connections again.
                let connected = TcpStream::connect(name["connect ".len()..].to_owned());
                let stream = connected.await.expect("it listens");
                tokio::spawn(async move {
                    for_ever().await;
                    drop(stream);
                });
                for_ever().await;
                Outcome::Delivered
            }
            "thread" => Outcome::rejected(runtime_thread().await),
            "value" => self.value(call),
            "value of two" => {
                TOGETHER.wait();
                self.value(call)
            }
            "meet" => {
                MEETING.wait();
                Outcome::Delivered
            }
            "panic" => panic!("as told"),
            other => Outcome::rejected(other.to_owned()),
        }
    }
}

impl Obedient {
    fn value(&self, call: &Call<'_>) -> Outcome {
        let value = call.of_runtime(|| Ok::<_, Error>(self.values.fetch_add(1, Ordering::Relaxed)));
        Outcome::rejected(value.expect("made").to_string())
    }
}

/// Waits for sockets of its own, one of which a task has.
async fn echo() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"x").await?;
    stream.read_exact(&mut [0]).await?;
    server.await?
}

async fn runtime_thread() -> String {
    let named = tokio::spawn(async { thread::current().name().unwrap_or_default().to_owned() });
    named.await.expect("it does not panic")
}

impl AsyncBackend for Obedient {
    type Config = Config;

    fn configure(runtime: &mut Builder) {
        runtime.thread_name("obedient");
    }

    async fn open(config: Config, _: Host, call: &Call<'_>) -> Result<Self, Error> {
        if config.slow && call.remaining() < Duration::from_secs(1) {
            for_ever().await;
        }
        let held = Arc::new(());
        HELD.set(Arc::downgrade(&held));
        tokio::spawn(async move {
            for_ever().await;
            drop(held);
        });
        Ok(Self { slow: config.slow, values: AtomicUsize::new(0) })
    }

    async fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        for (at, event) in batch.iter().enumerate().rev() {
            let outcome = self.act(event.name(), call).await;
            call.report(at..at + 1, &outcome);
        }
        Outcomes::Reported
    }

    async fn close(&self, _: &Call<'_>) -> Result<(), Error> {
        if self.slow {
            for_ever().await;
        }
        Ok(())
    }
}

impl AsyncDeletesData for Obedient {
    async fn request_deletion(&self, request: &DeletionRequest<'_>, call: &Call<'_>) -> Deletion {
        Deletion::from_outcome(self.act(request.machine_id(), call).await, || "asked".to_owned())
    }
}

impl AsyncDiagnoses for Obedient {
    async fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> Result<(), Error> {
        for event in batch {
            self.act(event.name(), call).await;
            sink(event.name(), event.json().as_bytes());
        }
        Ok(())
    }

    async fn probe(&self, call: &Call<'_>) -> Probe {
        match self.act(if self.slow { "hang" } else { "wait" }, call).await {
            Outcome::Delivered => Probe::Reachable("it is there".to_owned()),
            other => Probe::Refused(other.reason().to_owned()),
        }
    }
}

/// The same on a runtime for each call.
struct PerCall(Obedient);

impl AsyncBackend for PerCall {
    type Config = Config;
    const SERIAL: bool = true;
    const RUNTIMES: Runtimes = Runtimes::PerCall;

    async fn open(config: Config, host: Host, call: &Call<'_>) -> Result<Self, Error> {
        Obedient::open(config, host, call).await.map(Self)
    }

    async fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        self.0.send(batch, call).await
    }

    async fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        CLOSED.set(true);
        self.0.close(call).await
    }
}

fn open<B: AsyncBackend>() -> Tokio<B> {
    TestHost::new().open("{}").expect("it opens")
}

fn send<B: AsyncBackend>(host: TestHost, backend: &Tokio<B>, names: &[&str]) -> Report {
    host.send(backend, names.iter().map(|name| format!(r#"{{"name":"{name}"}}"#)))
}

/// The time in the text depends on how busy the machine is.
fn is_late(why: &str) -> bool {
    why.starts_with("no answer within ")
}

fn reason(outcome: Option<&Outcome>) -> &str {
    outcome.expect("there is one").reason()
}

fn waits_and_is_delivered<B: AsyncBackend>() {
    let backend = open::<B>();
    let report = send(TestHost::new(), &backend, &["deliver", "wait", "echo", "no such thing"]);
    let expected =
        [Outcome::Delivered, Outcome::Delivered, Outcome::Delivered, Outcome::rejected("no such thing")];
    assert_eq!(report.outcomes, expected.map(Some));
    TestHost::new().close(&backend).expect("it closes");
}

#[test]
fn timers_sockets_and_tasks_work_on_both_kinds_of_runtimes() {
    waits_and_is_delivered::<Obedient>();
    waits_and_is_delivered::<PerCall>();
    const { assert!(!Tokio::<Obedient>::SERIAL && Tokio::<PerCall>::SERIAL) };
}

fn ends_at_its_deadline<B: AsyncBackend>() {
    let backend = open::<B>();
    let report = send(TestHost::new().timeout(SHORT), &backend, &["deliver", "hang", "deliver", "deliver"]);
    let [first, second, rest @ ..] = &*report.outcomes else { panic!("{report:?}") };
    assert_eq!(rest, [Some(Outcome::Delivered), Some(Outcome::Delivered)], "from the last to the first");
    for late in [first, second] {
        assert!(
            matches!(late, Some(Outcome::Retry { after: None, reason }) if is_late(reason)),
            "{report:?}"
        );
    }
    // The backend is as good as before.
    assert!(send(TestHost::new(), &backend, &["wait"]).is_delivered());
}

#[test]
fn a_call_whose_time_is_up_is_dropped_and_its_events_get_outcomes() {
    ends_at_its_deadline::<Obedient>();
    ends_at_its_deadline::<PerCall>();
}

#[test]
fn a_call_that_the_host_cancels_is_dropped() {
    let backend = open::<Obedient>();
    let host = TestHost::new().timeout(Duration::MAX).cancelled_after(Duration::from_millis(1));
    let report = send(host, &backend, &["hang", "deliver"]);
    let why = Outcome::retry("the host no longer waits for it");
    assert_eq!(report.outcomes, [Some(why), Some(Outcome::Delivered)]);
}

#[test]
fn a_connection_of_a_cancelled_call_is_closed_when_the_call_returns() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("connect {}", listener.local_addr().expect("bound"));
    let backend = open::<PerCall>();
    let host = TestHost::new().timeout(Duration::MAX).cancelled_after(Duration::from_millis(1));
    assert!(!send(host, &backend, &[&url]).is_delivered());
    let (mut connection, _) = listener.accept().expect("a connection");
    connection.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
    assert_eq!(std::io::Read::read(&mut connection, &mut [0]).expect("the end"), 0);
    TestHost::new().close(&backend).expect("it closes");
    assert!(CLOSED.get(), "although the call has ended the only runtime");
}

#[test]
fn what_waits_for_the_end_is_polled_once_more() {
    let backend = open::<Obedient>();
    let report = send(TestHost::new().timeout(SHORT), &backend, &["end in order", "deliver"]);
    assert_eq!(report.outcomes, [Some(Outcome::rejected("ended in order")), Some(Outcome::Delivered)]);
}

#[test]
fn the_optional_tables_have_a_deadline_too() {
    let host = TestHost::new();
    let (backend, slow): (Tokio<Obedient>, Tokio<Obedient>) =
        (open(), host.open(r#"{"slow":true}"#).expect("there is time"));
    assert_eq!(host.probe(&backend), Probe::Reachable("it is there".to_owned()));
    assert_eq!(host.request_deletion(&backend, "wait"), Deletion::Sent("asked".to_owned()));
    let shown = host.preview(&backend, [r#"{"name":"wait"}"#]).expect("shown");
    assert_eq!(shown, [("wait".to_owned(), br#"{"name":"wait"}"#.to_vec())]);

    let short = host.timeout(SHORT);
    assert!(matches!(short.probe(&slow), Probe::Unreachable(why) if is_late(&why)));
    assert!(matches!(short.request_deletion(&slow, "hang"), Deletion::Failed(why) if is_late(&why)));
    let error = short.preview(&slow, [r#"{"name":"hang"}"#]).expect_err("no time").to_string();
    assert!(is_late(&error), "{error}");
}

#[test]
fn the_runtime_has_ended_when_close_returns() {
    let host = TestHost::new();
    let backend = open::<Obedient>();
    let report = send(host, &backend, &["thread"]);
    assert_eq!(reason(report.outcomes[0].as_ref()), "obedient");
    let is_held = || HELD.with_borrow(|held| held.strong_count() > 0);
    assert!(is_held());
    host.close(&backend).expect("it closes");
    assert!(!is_held(), "the task of `open` is gone");
    host.close(&backend).expect("a second time, too");
    let report = send(host, &backend, &["deliver"]);
    assert_eq!(report.outcomes, [Some(Outcome::retry("the backend is closed"))]);
    assert_eq!(host.probe(&backend), Probe::Unreachable("the backend is closed".to_owned()));
}

fn close_cancels_what_runs<B: AsyncBackend>() {
    let (host, backend) = (TestHost::new().timeout(Duration::MAX), open::<B>());
    let report = thread::scope(|scope| {
        let running = scope.spawn(|| send(host, &backend, &["hang", "meet"]));
        MEETING.wait();
        host.close(&backend).expect("it closes");
        running.join().expect("no panic")
    });
    assert_eq!(report.outcomes, [Some(Outcome::retry("the backend is closed")), Some(Outcome::Delivered)]);
}

#[test]
fn a_close_while_a_call_runs_ends_the_call_first() {
    close_cancels_what_runs::<Obedient>();
    close_cancels_what_runs::<PerCall>();
}

#[test]
fn an_open_and_a_close_that_hang_end_in_time_and_say_so() {
    let short = TestHost::new().timeout(SHORT);
    let refusal = short.open::<Tokio<Obedient>>(r#"{"slow":true}"#).err().expect("no time").to_string();
    assert!(is_late(&refusal), "{refusal}");
    let slow: Tokio<PerCall> = TestHost::new().open(r#"{"slow":true}"#).expect("there is time");
    let error = short.close(&slow).expect_err("it hangs").to_string();
    assert!(error.strip_prefix("it did not close: ").is_some_and(is_late), "{error}");
    short.close(&slow).expect("it is closed");
}

#[test]
fn each_runtime_has_a_value_of_its_own() {
    let host = TestHost::new();
    let value = |report: Report| reason(report.outcomes[0].as_ref()).to_owned();
    let shared = open::<Obedient>();
    assert_eq!(value(send(host, &shared, &["value"])), "0");
    let elsewhere = thread::scope(|scope| scope.spawn(|| send(host, &shared, &["value"])).join());
    assert_eq!(value(elsewhere.expect("no panic")), "0");

    let own = open::<PerCall>();
    let mut both = thread::scope(|scope| {
        let one = || value(send(host, &own, &["value of two"]));
        let threads = [scope.spawn(one), scope.spawn(one)];
        threads.map(|thread| thread.join().expect("no panic"))
    });
    both.sort();
    assert_eq!(both, ["0", "1"]);
    assert!(both.contains(&value(send(host, &own, &["value"]))), "a runtime is used again");
}

#[test]
fn a_panic_leaves_a_backend_that_can_be_dropped() {
    let backend = open::<PerCall>();
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        send(TestHost::new(), &backend, &["panic"])
    }));
    assert!(told.is_err());
    drop(backend);
}
