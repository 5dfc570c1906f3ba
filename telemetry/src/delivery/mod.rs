//! From the spool to the backends: one attempt after another, each backend with a cursor and a circuit of its own.
//!
//! A *round* takes the claim of the spool and lets each backend have what waits for it, side by side, so that one that
//! hangs holds up no other. Nothing waits inside a round: an event that is to be retried stays in the spool, and the
//! backend's circuit opens. While it is open the backend costs nothing; when its time has come one round tries again.

pub(crate) mod attempt;
pub(crate) mod backend_changes;
pub(crate) mod backend_handle;
pub(crate) mod backend_state;
pub(crate) mod backends;
pub(crate) mod backoff;
pub(crate) mod circuit_breaker;
pub(crate) mod direct;
pub(crate) mod flushes;
pub(crate) mod in_flight_lock;
pub(crate) mod memory_backend;
pub(crate) mod open_backend;
pub(crate) mod pass;
pub(crate) mod pass_context;
pub(crate) mod pass_result;
pub(crate) mod progress;
pub(crate) mod reload_report;
pub(crate) mod resend;
pub(crate) mod send;
pub(crate) mod settle;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod wake_signal;
pub(crate) mod workers;
