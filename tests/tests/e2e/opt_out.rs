//! What an opt-out says of events that a server has at that moment, and what it does to their request.

use std::{
    io::{self, Read as _},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    time::Duration,
};

use jackfield_test_support::wait_for;

use crate::built_in::{Machine, out};

/// A server that accepts, and neither reads nor answers.
struct Mute(TcpListener);

impl Mute {
    fn of(machine: &Machine, more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        machine.write_ops(&format!(
            "[[backend]]\nplugin = \"http\"\ntimeout = \"1h\"\nconfig = {{ url = \"http://{address}/in\" }}\n{more}"
        ));
        Self(listener)
    }

    /// The first connection, once it has a whole request.
    fn whole_request(&self) -> TcpStream {
        let (connection, _) = self.0.accept().expect("a connection");
        let peek = || {
            let mut bytes = vec![0; 1 << 16];
            let read = connection.peek(&mut bytes).expect("readable");
            bytes.truncate(read);
            bytes
        };
        wait_for("the whole request", peek, |bytes| bytes.ends_with(b"]"));
        connection
    }
}

/// How many events the server finds when it reads on to the end of the connection; `None` when there is no end.
fn events_until_the_end(mut connection: TcpStream) -> Option<usize> {
    // A connection that the opt-out does not end ends after some seconds, or not at all.
    connection.set_read_timeout(Some(Duration::from_secs(1))).expect("not zero");
    let mut request = Vec::new();
    match connection.read_to_end(&mut request) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
        // Also a reset is an end.
        Ok(_) | Err(_) => {}
    }
    Some(String::from_utf8_lossy(&request).matches("\"id\":").count())
}

const THREE: &str = "These events had been given to a backend, which has not confirmed them.\n\
                     They may have arrived, or still arrive:\n  http: 3 events\n";

#[test]
fn disable_and_reset_name_the_events_that_a_server_has_not_answered() {
    for isolation in ["", "isolation = \"process\"\n"] {
        for words in ["disable", "reset"] {
            let machine = Machine::new("embedded");
            let server = Mute::of(&machine, isolation);
            machine.run("a+b+c");
            let connection = server.whole_request();
            let said = out(&machine.run(words));
            assert!(said.ends_with(THREE) && !said.contains("All pending events"), "{words}: {said}");
            assert_eq!(events_until_the_end(connection), Some(3), "it was no idle warning");
            let again = out(&machine.run(words));
            assert!(!again.contains("may have arrived"), "{words}: once: {again}");
        }
    }
}

/// A service that is ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn disable_ends_the_request_of_a_service() {
    for isolation in ["", "isolation = \"process\"\n"] {
        let machine = Machine::new("embedded");
        let server = Mute::of(&machine, isolation);
        let mut command = machine.command("service a+b+c");
        let mut service =
            Service(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts"));
        let connection = server.whole_request();
        let sent = machine.status()["events"].as_u64().expect("a number");
        let said = out(&machine.run("disable"));
        assert!(said.contains("  http: ") && !said.contains("All pending events"), "{said}");
        assert!(!said.contains("has not come back"), "{said}");
        let arrived = events_until_the_end(connection).expect("the connection has ended") as u64;
        assert!(arrived > 0 && arrived <= sent, "{arrived} of {sent}");
        assert!(service.0.try_wait().expect("ours").is_none(), "it goes on");
    }
}

#[test]
fn disable_names_the_events_of_a_call_that_was_given_up_before() {
    let machine = Machine::new("embedded");
    let server = Mute::of(&machine, "");
    // The tool does not wait for the answer, and its end gives the call up.
    machine.run("bounded a+b+c");
    let connection = server.whole_request();
    let said = out(&machine.run("disable"));
    assert!(said.ends_with(THREE), "{said}");
    assert_eq!(events_until_the_end(connection), Some(3));
}
