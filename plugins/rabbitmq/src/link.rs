//! The one connection of an instance. It is made at the first use and again after a loss, to the next address when one
//! fails. When to try again is the host's decision: each call without a connection makes one attempt, and calls that come
//! while an attempt is under way share its result.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_plugin_api::Outcome;
use jackfield_plugin_tokio::Call;
use tokio::{sync::Mutex, time::timeout};

use crate::{config::Settings, explain::Trouble, session::Session};

pub(crate) struct Link {
    settings: Arc<Settings>,
    /// The tool's name and version, which the broker shows beside the connection.
    product: (&'static str, &'static str),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// Index of the address that is tried first.
    next: usize,
    /// When the last attempt failed, and why.
    failed: Option<(Instant, Trouble)>,
    closed: bool,
}

impl Link {
    pub(crate) fn new(settings: Arc<Settings>, product: (&'static str, &'static str)) -> Self {
        Self { settings, product, state: Mutex::default() }
    }

    /// Returns the connection, and makes it if there is none.
    pub(crate) async fn session(&self, call: &Call<'_>) -> Result<Arc<Session>, Outcome> {
        let came = Instant::now();
        let Some(mut state) = call.run_until_cancelled(self.state.lock()).await else {
            return Err(Outcome::retry("another call was still connecting when this one's time was up"));
        };
        if state.closed {
            return Err(Outcome::retry("the backend is closed"));
        }
        if let Some(session) = &state.session {
            if session.is_up() {
                return Ok(Arc::clone(session));
            }
            state.lost(self.settings.addresses.len());
        }
        if let Some((_, trouble)) = state.failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(trouble.outcome());
        }
        self.connect(&mut state, call).await
    }

    async fn connect(&self, state: &mut State, call: &Call<'_>) -> Result<Arc<Session>, Outcome> {
        match self.connect_from(state.next, call).await {
            Ok((index, session)) => {
                state.next = index;
                let session = Arc::new(session);
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            // The host has stopped waiting; no address is at fault.
            Err(_) if call.is_cancelled() && !call.remaining().is_zero() => {
                Err(Outcome::retry("the call was cancelled before there was a connection"))
            }
            Err(trouble) => {
                state.next = (state.next + 1) % self.settings.addresses.len();
                tracing::debug!("no connection: {}", trouble.why);
                let outcome = trouble.outcome();
                state.failed = Some((Instant::now(), trouble));
                Err(outcome)
            }
        }
    }

    /// Makes a further connection, which the calls do not share.
    pub(crate) async fn separate(&self, call: &Call<'_>) -> Result<Arc<Session>, Trouble> {
        self.connect_from(0, call).await.map(|(_, session)| Arc::new(session))
    }

    /// Connects to the first address that accepts, beginning at the index `first`. Also returns the index.
    async fn connect_from(&self, first: usize, call: &Call<'_>) -> Result<(usize, Session), Trouble> {
        let addresses = &self.settings.addresses;
        let (mut failures, mut refused) = (Vec::new(), false);
        for attempt in 0..addresses.len() {
            let index = (first + attempt) % addresses.len();
            let address = &addresses[index];
            // The addresses after one that does not answer share the remaining time.
            let share = call.remaining() / u32::try_from(addresses.len() - attempt).unwrap_or(u32::MAX);
            let opening = call.run_until_cancelled(Session::open(&self.settings, address, self.product));
            match timeout(share, opening).await.ok().flatten() {
                Some(Ok(session)) => return Ok((index, session)),
                Some(Err(trouble)) => {
                    refused |= trouble.refused;
                    failures.push(trouble.why);
                }
                None => failures.push(format!("{address}: no answer within {:.1} s", share.as_secs_f64())),
            }
        }
        Err(Trouble { why: failures.join("; "), refused })
    }

    /// Closes the connection in order, within `patience`.
    pub(crate) async fn close(&self, patience: Duration) {
        let Ok(mut state) = timeout(patience, self.state.lock()).await else { return };
        state.closed = true;
        if let Some(session) = state.session.take() {
            session.close(patience).await;
        }
    }
}

impl State {
    /// Drops a lost connection. If nothing was ever confirmed on it, the next address is tried first.
    fn lost(&mut self, addresses: usize) {
        let Some(session) = self.session.take() else { return };
        session.kill();
        if !session.has_confirmed() {
            self.next = (self.next + 1) % addresses;
        }
    }
}
