//! The one connection of an instance. It is made at the first use and again after a loss, to the next address when one
//! fails, and not more often than the backoff allows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_plugin_api::Outcome;
use tokio::{sync::Mutex, time::timeout};

use crate::{config::Settings, explain::Trouble, session::Session};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
    /// Failed attempts in a row.
    failures: u32,
    /// No attempt is made before this time; the text is the reason of the last failure.
    pause: Option<(Instant, String)>,
    closed: bool,
}

impl Link {
    pub(crate) fn new(settings: Arc<Settings>, product: (&'static str, &'static str)) -> Self {
        Self { settings, product, state: Mutex::default() }
    }

    /// Returns the connection, and makes it if there is none.
    pub(crate) async fn session(&self, deadline: Instant) -> Result<Arc<Session>, Outcome> {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(mut state) = timeout(left, self.state.lock()).await else {
            return Err(Outcome::retry("another call was still connecting when this one's time was up"));
        };
        if state.closed {
            return Err(Outcome::retry("the backend is closed"));
        }
        if let Some(session) = &state.session {
            if session.is_up() {
                return Ok(Arc::clone(session));
            }
            state.lost();
        }
        if let Some((until, why)) = &state.pause {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(Outcome::Retry { after: Some(left), reason: why.clone().into() });
            }
        }
        self.connect(&mut state, deadline).await
    }

    async fn connect(&self, state: &mut State, deadline: Instant) -> Result<Arc<Session>, Outcome> {
        match self.connect_from(state.next, deadline).await {
            Ok((index, session)) => {
                state.next = index;
                let session = Arc::new(session);
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(trouble) => {
                state.next = (state.next + 1) % self.settings.addresses.len();
                tracing::debug!("no connection: {}", trouble.why);
                let after = state.hold_off(&trouble);
                Err(Outcome::Retry { after: Some(after), reason: trouble.why.into() })
            }
        }
    }

    /// Makes a further connection, which the calls do not share.
    pub(crate) async fn separate(&self, deadline: Instant) -> Result<Arc<Session>, Trouble> {
        self.connect_from(0, deadline).await.map(|(_, session)| Arc::new(session))
    }

    /// Connects to the first address that accepts, beginning at the index `first`. Also returns the index.
    async fn connect_from(&self, first: usize, deadline: Instant) -> Result<(usize, Session), Trouble> {
        let addresses = &self.settings.addresses;
        let (mut failures, mut refused) = (Vec::new(), false);
        for attempt in 0..addresses.len() {
            let index = (first + attempt) % addresses.len();
            let address = &addresses[index];
            // The addresses after one that does not answer share the remaining time.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - attempt).unwrap_or(u32::MAX);
            match timeout(share, Session::open(&self.settings, address, self.product)).await {
                Ok(Ok(session)) => return Ok((index, session)),
                Ok(Err(trouble)) => {
                    refused |= trouble.refused;
                    failures.push(trouble.why);
                }
                Err(_) => failures.push(format!("{address}: no answer within {:.1} s", share.as_secs_f64())),
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
    /// Drops a lost connection. If nothing was ever confirmed on it, it counts as a failed attempt, so a broker that
    /// disconnects its clients is not called in a tight loop.
    fn lost(&mut self) {
        let Some(session) = self.session.take() else { return };
        session.kill();
        if session.has_confirmed() {
            self.failures = 0;
            self.pause = None;
        } else {
            self.next += 1;
            self.hold_off(&Trouble::new(session.end()));
        }
    }

    /// Allows no attempt for a while: twice as long as the last time, up to a limit, minus a random part of up to half,
    /// so that many tools do not reconnect at once. A broker that refuses the user gets more time.
    fn hold_off(&mut self, trouble: &Trouble) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let mut pause = longest.mul_f64(1.0 - fastrand::f64() / 2.0);
        if trouble.refused {
            pause = pause.max(Outcome::REFUSED_PAUSE);
        }
        self.pause = Some((Instant::now() + pause, trouble.why.clone()));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut state = State::default();
        for attempt in 0..40 {
            let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_PAUSE);
            let pause = state.hold_off(&Trouble::new("down".to_owned()));
            assert!(pause <= longest && pause >= longest / 2, "{attempt}: {pause:?}");
        }
    }
}
