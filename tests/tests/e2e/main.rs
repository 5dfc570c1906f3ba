//! The end-to-end tests: real libraries, built by the harness of this package. One binary, so that a run ends with one
//! summary.

mod behaviour;
mod common;
mod deletion;
mod fixtures;
mod logs;
mod plugins;
#[cfg(unix)]
mod rabbitmq;
mod refusals;
mod skew;
