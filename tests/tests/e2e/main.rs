//! The end-to-end tests: real libraries, built by the harness of this package. One binary, so that a run ends with one
//! summary.

mod behaviour;
mod commands;
mod common;
mod config;
mod crash;
mod datadog;
mod deletion;
mod diagnostics;
mod doctor;
mod faults;
mod fixtures;
mod forget;
mod http;
mod http_faults;
mod input;
mod logs;
mod otlp;
mod otlp_encoding;
mod plugins;
mod posthog;
#[cfg(unix)]
mod rabbitmq;
#[cfg(unix)]
mod rabbitmq_connection;
mod refusals;
mod run;
mod secrets;
mod send;
mod site;
mod skew;
mod swap;
mod terminal;
mod tool;
mod vendor;
