//! Prints what Jackfield costs, each figure beside a baseline that is measured in the same run.
//!
//! `scripts/bench` runs it. Figures are medians. Where a figure has a goal, the last column says whether it is met; a goal
//! that is missed fails nothing, since a machine that is busy with something else misses it, too.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod calls;
mod cost;
mod drain;
mod exit;
mod http;
#[cfg(target_os = "linux")]
mod isolation;
mod loading;
mod otlp;
mod peers;
#[cfg(unix)]
mod rabbitmq;
mod redact;
#[cfg(target_os = "linux")]
mod reliability;
mod rows;
mod swap;
mod throughput;
mod track;

use rows::Rows;

#[cfg(target_os = "linux")]
const JOBS: &[jackfield_loader::Job] = &[isolation::PIPE];
#[cfg(not(target_os = "linux"))]
const JOBS: &[jackfield_loader::Job] = &[];

fn main() {
    jackfield_loader::init(JOBS);
    if http::is_child() || exit::is_child() {
        return;
    }
    // The plain client takes whatever the process has.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut rows = Rows::default();
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    if wanted("calls") {
        calls::measure(&mut rows);
    }
    if wanted("loading") {
        loading::measure(&mut rows);
    }
    #[cfg(target_os = "linux")]
    if wanted("isolation") {
        isolation::measure(&mut rows);
    }
    if wanted("throughput") {
        throughput::measure(&mut rows);
    }
    if wanted("http") {
        http::measure(&mut rows);
    }
    if wanted("otlp") {
        otlp::measure(&mut rows);
    }
    #[cfg(unix)]
    if wanted("rabbitmq") {
        rabbitmq::measure(&mut rows);
    }
    if wanted("telemetry") {
        let peers = peers::build();
        track::measure(&mut rows, Some(&peers));
        drain::measure(&mut rows);
        exit::measure(&mut rows, &peers);
    }
    if wanted("redact") {
        redact::measure(&mut rows);
    }
    #[cfg(target_os = "linux")]
    if wanted("reliability") {
        reliability::measure(&mut rows);
    }
    if wanted("swap") {
        swap::measure(&mut rows);
    }
    if only.iter().any(|only| only == "track") {
        track::measure(&mut rows, None);
    }
    if only.iter().any(|only| only == "leaving") {
        exit::leaving(&mut rows);
    }
    if only.iter().any(|only| only == "plugin") {
        cost::plugin(&mut rows);
    }
    if wanted("cost") {
        cost::measure(&mut rows);
    }
    rows.print();
}
