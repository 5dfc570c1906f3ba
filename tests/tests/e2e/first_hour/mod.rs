//! The first hour of the documentation, command by command, in a scratch root with the package. `systemctl.py` takes the
//! place of systemd there.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use jackfield_test_support::{LONG, wait_for};
use jackfield_tests::{pages::blocks_of_page, peers::prometheus};

use crate::package::{package, scratch_root};

pub(crate) const PAGE: &str = "docs/first-hour.md";
/// The line after the output of a command.
const DONE: &str = "== done";

/// The shell of root in a scratch root.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start() -> Self {
        // What the reader has there: Prometheus, and the package in the working folder.
        let prepare = format!(
            "tar -c -C {prometheus} etc lib usr | tar -x --keep-directory-symlink
             install -m 755 {systemctl} usr/local/bin/systemctl
             mkdir hour
             cp {package} hour",
            prometheus = prometheus::folder().display(),
            systemctl = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/first_hour/systemctl.py"),
            package = package().display(),
        );
        let script = "useradd --system prometheus
                      install -d -o prometheus /var/lib/prometheus
                      cd /hour
                      exec env -i HOME=/root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh";
        let mut command = scratch_root(&prepare, script);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare runs");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut shell = Self { stdin: child.stdin.take().expect("piped"), child, lines };
        shell.run("exec 2>&1");
        shell
    }

    /// What a command says. The next one sees its exit code as `$?`.
    fn run(&mut self, command: &str) -> String {
        write!(self.stdin, "{{\n{command}\n}} < /dev/null\ncode=$?; printf '\\n{DONE}\\n'; (exit $code)\n")
            .expect("a shell that reads");
        let started = Instant::now();
        let mut said = String::new();
        loop {
            let left = LONG.saturating_sub(started.elapsed());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("{command}: {error}: {said}"));
            if line == DONE {
                return said.trim_end().to_owned();
            }
            said += &format!("{line}\n");
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The end of process 1 of the scratch root ends all others.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether a text is the expected one, in which `...` stands for any text.
fn is_like(expected: &str, text: &str) -> bool {
    let parts: Vec<&str> = expected.split("...").collect();
    let [first, inner @ .., last] = &parts[..] else { return expected == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in inner {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The commands of a block, each with the output below it. A line with `> ` continues a command.
fn commands(lines: &[String]) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
            continue;
        }
        let (command, output) = commands.last_mut().expect("a command comes first");
        if let Some(more) = line.strip_prefix('>').filter(|_| output.is_empty()) {
            *command += &format!("\n{}", more.strip_prefix(' ').unwrap_or(more));
        } else {
            *output += &format!("{line}\n");
        }
    }
    commands
}

#[test]
fn the_first_hour_goes_as_it_is_told() {
    let mut shell = Shell::start();
    let mut tried = 0;
    for block in blocks_of_page(PAGE).into_iter().filter(|block| block.info[0] == "console") {
        for (command, expected) in commands(&block.lines) {
            let expected = expected.trim_end();
            // In the other blocks a command is run again until it says so.
            let again = block.info[1] == "until";
            let mut said = shell.run(&command);
            if again && !is_like(expected, &said) {
                said = wait_for(&command, || shell.run(&command), |said| is_like(expected, said));
            }
            assert!(
                is_like(expected, &said),
                "{}: `{command}` says\n{said}\ninstead of\n{expected}\n{}",
                block.at,
                shell.run("tail -n 20 /var/log/*.service.log")
            );
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} commands");
}
