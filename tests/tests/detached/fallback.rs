//! Where no child can be had, the tool delivers itself, for a bounded time.

use std::process::Command;

use jackfield_test_support::{Test, tests};
use jackfield_tests::peers::http::{HttpServer, Reply};

use crate::{
    processes::left_behind,
    tool::{Home, arrived, run},
};

pub(crate) const TESTS: &[Test] =
    tests![a_tool_without_init_delivers_before_it_ends, process_number_1_delivers_before_it_ends,];

fn a_tool_without_init_delivers_before_it_ends() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200)));
    home.sends_to(&server);
    run(&mut home.tool_without_init(3));
    assert_eq!(arrived(&[&server]), 3);
    assert!(left_behind().is_empty());
}

fn process_number_1_delivers_before_it_ends() {
    let (home, server) = (Home::new(), HttpServer::start(Reply::status(200)));
    home.sends_to(&server);
    let in_a_namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-current-user", "--pid", "--fork", "--mount-proc"]);
        command
    };
    if !in_a_namespace().arg("true").status().is_ok_and(|status| status.success()) {
        println!("(not run: this machine gives no namespace; the decision has a test of its own)");
        return;
    }
    let mut command = in_a_namespace();
    command.arg(std::env::current_exe().expect("this binary"));
    home.make_tool(&mut command, 3, std::time::Duration::from_secs(600));
    run(&mut command);
    assert_eq!(arrived(&[&server]), 3);
    assert!(left_behind().is_empty());
}
