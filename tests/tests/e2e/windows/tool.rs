//! The example tool: it ends at once, and a detached child delivers.

use std::{
    collections::HashSet,
    fs,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_test_support::wait_until;
use jackfield_tests::peers::http::{HttpServer, Reply};
use serde_json::Value;

use super::{Windows, built, processes};
use crate::site::{Ended, Running, start};

/// A user of the tool, with folders of their own, who has consented.
struct User(Windows);

impl User {
    fn new(server: &HttpServer) -> Self {
        let site = Windows::new(&[], &[]);
        let table = format!("[[backend]]\nplugin = \"http\"\nconfig = {{ url = {:?} }}\n", server.url("/in"));
        site.write("ops.toml", table);
        let user = Self(site);
        let enabled = user.run(&["telemetry", "enable"]).with_code(0);
        assert!(enabled.stdout.contains("Telemetry enabled"), "{enabled:#?}");
        user
    }

    fn start(&self, arguments: &[&str]) -> Running {
        start(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.with_own_folders(&built().join("examples/greet.exe"), arguments);
        command.env("GREET_TELEMETRY_CONFIG", self.0.on_drive_c("ops.toml")).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// The detached children of this user's tools.
    fn children(&self) -> Vec<u32> {
        self.processes(&["jackfield:deliver", "for greet"])
    }

    /// This user's processes with these words, and no other test's: they have the variable with the user's folder.
    fn processes(&self, words: &[&str]) -> Vec<u32> {
        let folder = self.0.path("").file_name().expect("a folder").to_str().expect("UTF-8").to_owned();
        let is_ours = |process: &u32| {
            fs::read(format!("/proc/{process}/environ"))
                .is_ok_and(|variables| String::from_utf8_lossy(&variables).contains(&folder))
        };
        processes(words).into_iter().filter(is_ours).collect()
    }

    fn status(&self) -> Value {
        self.run(&["telemetry", "status", "--json"]).with_code(0).json()
    }

    /// Waits until nothing is left to deliver, and nobody delivers.
    fn wait_until_all_is_delivered(&self) {
        wait_until("all is delivered", || {
            let status = self.status();
            status["events"] == 0 && status["delivering"] == false
        });
    }
}

/// Names and ids of the events that a server has got.
fn arrived(server: &HttpServer) -> Vec<(String, String)> {
    let arrays = server.received().into_iter().map(|request| request.json());
    let events = arrays.flat_map(|array| array.as_array().expect("an array").clone());
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    events.map(|event| (text(&event, "name"), text(&event, "id"))).collect()
}

fn kill(processes: &[u32]) {
    for process in processes {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_tool_ends_before_its_server_answers_and_a_child_delivers() {
    let [asked, ended] = [(); 2].map(|()| Arc::<AtomicBool>::default());
    let (is_asked, has_ended) = (Arc::clone(&asked), Arc::clone(&ended));
    let server = HttpServer::start(Reply::with(move |_| {
        is_asked.store(true, Ordering::Relaxed);
        wait_until("the tool has ended", || has_ended.load(Ordering::Relaxed));
        Reply::status(200)
    }));
    let user = User::new(&server);
    let name = format!("wörld-{}", std::process::id());
    let tool = user.start(&["hello", "--shout", &name]);
    // Wine has the child keep the streams of the tool open, whatever it was given: their end is that of the child.
    wait_until("the tool has ended", || processes(&[&name]).is_empty());
    wait_until("the child sends", || asked.load(Ordering::Relaxed));
    assert_eq!(user.status()["delivering"], true);
    ended.store(true, Ordering::Relaxed);
    assert!(tool.end().with_code(0).stdout.contains(&name.to_uppercase()));
    user.wait_until_all_is_delivered();
    let names: Vec<_> = arrived(&server).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["shout", "hello"]);
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn tools_that_end_at_the_same_time_lose_no_event_and_send_none_twice() {
    const TOOLS: usize = 6;
    let server = HttpServer::start(Reply::status(200));
    let user = User::new(&server);
    let running: Vec<_> = (0..TOOLS).map(|_| user.start(&["hello", "--shout", "all"])).collect();
    for tool in running {
        tool.end().with_code(0);
    }
    user.wait_until_all_is_delivered();
    let arrived = arrived(&server);
    let ids: HashSet<_> = arrived.iter().map(|(_, id)| id).collect();
    assert_eq!((arrived.len(), ids.len()), (2 * TOOLS, 2 * TOOLS));
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn tools_and_children_that_are_killed_at_random_moments_lose_no_event() {
    const KILLS: u64 = 10;
    let server = HttpServer::start(Reply::status(200));
    let user = User::new(&server);
    // What it has printed it has tracked before.
    let mut said = 0;
    for kill_number in 0..KILLS {
        let name = format!("n{kill_number}-{}", std::process::id());
        // Not a pipe, of which Wine gives the child an end: who is killed while it starts a process leaves one that never runs and
        // never ends.
        let path = user.0.path("said.txt");
        let mut tool = user.command(&["hello", "--shout", &name]);
        tool.stdout(fs::File::create(&path).expect("writable")).stderr(Stdio::null());
        let mut running = tool.spawn().expect("Wine starts");
        let moment = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), kill_number) % 400;
        thread::sleep(Duration::from_millis(moment));
        kill(&processes(&["greet.exe", &name]));
        if kill_number % 2 == 0 {
            kill(&user.children());
        }
        running.wait().expect("a child of this process");
        said += usize::from(user.0.read("said.txt").contains(&name.to_uppercase()));
    }
    user.run(&["hello", "--shout", "last"]).with_code(0);
    wait_until("all is delivered", || {
        user.run(&["hello", "again"]).with_code(0);
        user.status()["events"] == 0
    });
    user.wait_until_all_is_delivered();
    kill(&user.processes(&["greet.exe"]));
    let shouts: HashSet<_> =
        arrived(&server).into_iter().filter_map(|(name, id)| (name == "shout").then_some(id)).collect();
    assert!(shouts.len() > said, "{} arrived of {said} and the last one", shouts.len());
    assert!(fs::exists(user.0.path("localappdata/greet/telemetry")).expect("readable"), "the data folder");
}
