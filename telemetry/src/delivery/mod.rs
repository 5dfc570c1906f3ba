//! From the spool to the backends: one attempt after another, each backend with a cursor and a circuit of its own.
//!
//! A *pass* takes the claim of the spool and gives each backend the events that wait for it. Each backend has a worker
//! thread, so a backend that hangs holds up no other. A pass does not wait for a retry: the event stays in the spool, and
//! the backend's circuit opens. While the circuit is open the backend costs nothing; a later pass tries again.

pub(crate) mod attempt;
pub(crate) mod backend_changes;
pub(crate) mod backend_state;
pub(crate) mod backends;
mod call_backend;
pub(crate) mod check_backend;
pub(crate) mod circuit_breaker;
pub(crate) mod configured_backend;
pub(crate) mod direct;
pub(crate) mod flushes;
pub(crate) mod in_flight_lock;
pub(crate) mod memory_backend;
pub(crate) mod missing_plugins;
pub(crate) mod open_backend;
pub(crate) mod outage;
pub(crate) mod pass;
pub(crate) mod pass_context;
pub(crate) mod progress;
mod repeated_warnings;
pub(crate) mod resend;
pub(crate) mod send;
pub(crate) mod settle;
#[cfg(test)]
mod tests;
pub(crate) mod unconfirmed;
pub(crate) mod wake_signal;
pub(crate) mod workers;
