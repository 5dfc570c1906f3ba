//! The end-to-end tests: real libraries, built by the harness of this package. One binary, so that a run ends with one
//! summary.

mod behaviour;
mod commands;
mod common;
mod config;
mod crash;
mod datadog;
mod deletion;
mod faults;
mod fixtures;
mod http;
mod http_faults;
mod input;
mod logs;
mod otlp;
mod plugins;
mod posthog;
mod refusals;
mod send;
mod site;
mod skew;
mod terminal;
mod vendor;
