//! A program that is started again for another job. There is no harness, as `main` must begin like that of a
//! tool.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![cfg_attr(unix, allow(clippy::print_stdout, reason = "it reports as a test does"))]

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    unix::main()
}

#[cfg(unix)]
mod common;

#[cfg(unix)]
mod unix {
    use std::{
        fs::{self, File},
        io::{Read as _, Write as _, pipe},
        os::fd::OwnedFd,
        process,
        time::Duration,
    };

    use jackfield_loader::{
        Backend, BackendOptions, Candidate, Isolation, Job, ProcessOptions, Program, Trust, init,
        reexec::{Ended, Inherited, Spawn},
    };
    use jackfield_test_support::{LONG, run_tests, tests, wait_until};

    /// Writes its own state to the first descriptor, and ends with 7.
    fn look(inherited: Inherited) -> i32 {
        let mut files = inherited.files.into_iter();
        let mut answer = File::from(files.next().expect("two were handed over"));
        let open: Vec<String> = fs::read_dir("/proc/self/fd")
            .expect("Linux")
            .filter_map(|entry| {
                let number = entry.ok()?.file_name().into_string().ok()?;
                fs::read_link(format!("/proc/self/fd/{number}"))
                    .ok()
                    .filter(|link| !link.to_string_lossy().starts_with("/proc/"))
                    .map(|link| {
                        format!("{number}={}", link.display().to_string().replace(char::is_numeric, ""))
                    })
            })
            .collect();
        let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let session: u32 = fields[3].parse().expect("a number");
        let own_session = session == process::id();
        println!("what a child prints goes nowhere");
        write!(answer, "{} {own_session} {}", inherited.parent, open.join(" ")).expect("it is read");
        7
    }

    /// Never ends.
    fn hang(_: Inherited) -> i32 {
        loop {
            std::thread::park();
        }
    }

    /// Ends with its lifetime.
    fn mortal(inherited: Inherited) -> i32 {
        inherited.end_within(Duration::from_millis(20)).expect("a thread");
        hang(inherited)
    }

    pub(super) fn main() -> process::ExitCode {
        init(&[
            Job { name: "look", run: look },
            Job { name: "hang", run: hang },
            Job { name: "mortal", run: mortal },
        ]);
        run_tests(
            tests![
                a_child_ends_with_its_lifetime,
                a_child_has_what_it_was_handed_and_nothing_else,
                a_child_that_is_killed_says_so,
                a_job_that_is_unknown_or_lacks_descriptors_ends,
                a_linker_error_in_a_child_names_the_file,
            ],
            || {},
        )
    }

    fn a_child_has_what_it_was_handed_and_nothing_else() {
        // A descriptor without close-on-exec, as other languages open it.
        let leak = File::open("/etc/passwd").expect("there is one");
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("it is open");
        let (mut reader, writer) = pipe().expect("a pipe");
        let (_, second) = pipe().expect("a pipe");
        let files = vec![OwnedFd::from(writer), OwnedFd::from(second)];
        let child = Spawn::new(Program::Own, "look").files(files).start().expect("it starts");
        let mut answer = String::new();
        reader.read_to_string(&mut answer).expect("it answers");
        let mut words: Vec<&str> = answer.split(' ').collect();
        let mut open = words.split_off(2);
        assert_eq!(words, [process::id().to_string().as_str(), "true"], "{answer}");
        open.sort_unstable();
        assert_eq!(open, ["0=/dev/null", "1=/dev/null", "2=/dev/null", "3=pipe:[]", "4=pipe:[]"], "{answer}");
        assert_eq!(child.wait(LONG), Some(Ended::Code(7)));
    }

    fn a_child_ends_with_its_lifetime() {
        let child = Spawn::new(Program::Own, "mortal").start().expect("it starts");
        assert_eq!(child.wait(LONG), Some(Ended::Code(75)));
        let reaped = Spawn::new(Program::Own, "mortal").start().expect("it starts");
        let status = format!("/proc/{}/stat", reaped.id());
        reaped.reap().expect("a thread");
        wait_until("the zombie is gone", || !fs::exists(&status).expect("Linux"));
    }

    fn a_linker_error_in_a_child_names_the_file() {
        let folder = crate::common::folder();
        let path = crate::common::Plugin::new("loose")
            .define("CALLS", "frobnicate")
            .build(folder.path(), "libloose.so");
        let isolation = Isolation::Process(ProcessOptions::new());
        let verified = Candidate::open(&path)
            .and_then(|candidate| candidate.verify_for(&isolation, Trust::Owner))
            .expect("it is a plugin");
        let options = BackendOptions::new("loose").timeout(LONG).isolation(isolation);
        let line = Backend::open_verified(&verified, &options).expect_err("a symbol is missing").to_string();
        let file = path.display();
        assert!(line.starts_with(&format!("load: {file}: ")), "{line}");
        assert!(line.contains(&format!("({file}: undefined symbol: frobnicate")), "{line}");
    }

    fn a_child_that_is_killed_says_so() {
        let child = Spawn::new(Program::Own, "hang").start().expect("it starts");
        assert_eq!(child.wait(Duration::from_millis(50)), None);
        child.kill();
        assert_eq!(child.wait(LONG), Some(Ended::Signal(9)));
        child.kill();
        assert_eq!(child.wait(LONG), Some(Ended::Signal(9)), "its end is remembered");
    }

    fn a_job_that_is_unknown_or_lacks_descriptors_ends() {
        let child = Spawn::new(Program::Own, "unknown").start().expect("it starts");
        assert_eq!(child.wait(LONG), Some(Ended::Code(64)));
        let status = process::Command::new(std::env::current_exe().expect("known"))
            .args(["jackfield:hang", "9"])
            .status()
            .expect("it starts");
        assert_eq!(status.code(), Some(64));
    }
}
