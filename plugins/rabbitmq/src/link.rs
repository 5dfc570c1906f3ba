//! The one connection of an instance: made when it is first needed, made anew when it was lost, to the next address when
//! one fails, and not more often than the backoff allows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use crate::{config::Settings, explain::Trouble, session::Session};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// When the next attempt will be made.
    pub(crate) after: Option<Duration>,
}

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
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// No attempt before this, for the reason of the last one.
    pause: Option<(Instant, String)>,
    closed: bool,
}

impl Link {
    pub(crate) fn new(settings: Arc<Settings>, product: (&'static str, &'static str)) -> Self {
        Self { settings, product, state: Mutex::default() }
    }

    /// The connection, which is made if there is none.
    pub(crate) async fn session(&self, deadline: Instant) -> Result<Arc<Session>, Refusal> {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(mut state) = timeout(left, self.state.lock()).await else {
            let why = "another call was still connecting when this one's time was up".to_owned();
            return Err(Refusal { why, after: None });
        };
        if state.closed {
            return Err(Refusal { why: "the backend is closed".to_owned(), after: None });
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
                return Err(Refusal { why: why.clone(), after: Some(left) });
            }
        }
        self.connect(&mut state, deadline).await
    }

    async fn connect(&self, state: &mut State, deadline: Instant) -> Result<Arc<Session>, Refusal> {
        match self.connect_from(state.next, deadline).await {
            Ok((index, session)) => {
                state.next = index;
                let session = Arc::new(session);
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(Trouble { why, .. }) => {
                state.next = (state.next + 1) % self.settings.addresses.len();
                tracing::debug!("no connection: {why}");
                let after = state.hold_off(why.clone());
                Err(Refusal { why, after: Some(after) })
            }
        }
    }

    /// A connection beside the one that the calls share, made now.
    pub(crate) async fn separate(&self, deadline: Instant) -> Result<Arc<Session>, Trouble> {
        self.connect_from(0, deadline).await.map(|(_, session)| Arc::new(session))
    }

    /// A connection to the first address that takes it, from that with the index `first` on, and the index.
    async fn connect_from(&self, first: usize, deadline: Instant) -> Result<(usize, Session), Trouble> {
        let addresses = &self.settings.addresses;
        let (mut failures, mut refused) = (Vec::new(), false);
        for attempt in 0..addresses.len() {
            let index = (first + attempt) % addresses.len();
            let address = &addresses[index];
            // What an address that does not answer leaves is shared by those after it.
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

    /// Ends the connection with a good-bye, for which it takes at most `patience`.
    pub(crate) async fn close(&self, patience: Duration) {
        let Ok(mut state) = timeout(patience, self.state.lock()).await else { return };
        state.closed = true;
        if let Some(session) = state.session.take() {
            session.close(patience).await;
        }
    }
}

impl State {
    /// Drops a connection that was lost. One on which nothing was ever confirmed counts as an attempt that failed, so
    /// that a broker which throws its clients out is not called in a tight loop.
    fn lost(&mut self) {
        let Some(session) = self.session.take() else { return };
        session.kill();
        if session.has_confirmed() {
            self.failures = 0;
            self.pause = None;
        } else {
            self.next += 1;
            self.hold_off(session.end());
        }
    }

    /// Allows no attempt for a while: twice as long as the last time, up to a limit, less up to half of it by chance so
    /// that many tools do not come back at once.
    fn hold_off(&mut self, why: String) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let pause = longest.mul_f64(1.0 - fastrand::f64() / 2.0);
        self.pause = Some((Instant::now() + pause, why));
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
            let pause = state.hold_off("down".to_owned());
            assert!(pause <= longest && pause >= longest / 2, "{attempt}: {pause:?}");
        }
    }
}
