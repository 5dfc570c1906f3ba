//! From the spool to the backends: one attempt after another, each backend with a cursor and a circuit of its own.
//!
//! A *round* takes the claim of the spool and lets each backend have what waits for it, side by side, so that one that
//! hangs holds up no other. Nothing waits inside a round: an event that is to be retried stays in the spool, and the
//! backend's circuit opens. While it is open the backend costs nothing; when its time has come one round tries again.

mod attempt;
mod attend;
mod bell;
mod circuit;
mod due;
mod handover;
mod plan;
mod resend;
mod round;
mod sending;
mod settle;
mod stamp;
mod standings;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod without_spool;

pub(crate) use self::{
    attend::{Service, UNKNOWN},
    bell::{Bell, Woken},
    due::due,
    plan::{Plan, Plans, Step},
    round::{Kept, MaySend, Outbox, RoundEnd},
    sending::Sending,
    stamp::{Stamp, wait_until_stable},
    standings::{Question, Reply, Standings},
    state::States,
    target::{Loaded, Open, OpenStatic, Source, Target, left},
};
pub use self::{
    resend::{Resent, ResentTo},
    state::{BackendState, Problem},
    without_spool::{Delivery, DeliveryOptions, Fate},
};
