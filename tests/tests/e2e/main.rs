//! The end-to-end tests: real libraries, built by the harness of this package. One binary, so that a run ends with one
//! summary.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]

mod abi_reference;
mod attack;
mod behaviour;
#[cfg(target_os = "linux")]
mod built_in;
#[cfg(target_os = "linux")]
mod c_vendor;
#[cfg(unix)]
mod check;
mod commands;
mod common;
mod config;
mod config_command;
mod crash;
mod datadog;
mod dead_letters;
mod deletion;
mod diagnostics;
mod docs;
mod doctor;
mod faults;
#[cfg(target_os = "linux")]
mod first_hour;
mod fixtures;
#[cfg(unix)]
mod followed;
mod foreign_text;
mod forget;
mod future;
#[cfg(unix)]
mod guide;
#[cfg(target_os = "linux")]
mod hanging_constructor;
#[cfg(target_os = "linux")]
mod held;
mod http;
mod http_faults;
mod http_ways;
mod input;
#[cfg(target_os = "linux")]
mod isolation;
mod isolation_faults;
#[cfg(target_os = "linux")]
mod kills;
mod lean_tool;
mod listen;
mod logs;
mod mistakes;
mod new;
mod operating;
#[cfg(target_os = "linux")]
mod opt_out;
mod otlp;
mod otlp_encoding;

#[cfg(target_os = "linux")]
mod package;
#[cfg(unix)]
mod planted;
mod plugins;
mod posthog;
#[cfg(target_os = "linux")]
mod privacy;
#[cfg(unix)]
mod rabbitmq;
#[cfg(unix)]
mod rabbitmq_connection;
#[cfg(unix)]
mod rabbitmq_faults;
#[cfg(unix)]
mod redact;
mod references;
mod refusals;
mod refusing_platforms;
mod released;
#[cfg(target_os = "linux")]
mod reload_cost;
mod rotated;
mod run;
mod run_start;
mod secrets;
mod send;
#[cfg(target_os = "linux")]
mod service_manager;
#[cfg(target_os = "linux")]
mod signals;
mod site;
mod skew;
mod swap;
#[cfg(target_os = "linux")]
mod syslog;
mod terminal;
mod told;
mod tool;
mod trust;
mod vendor;
#[cfg(target_os = "linux")]
mod windows;
