//! The places of connections that are served at the same time. Connections that ask for nothing can't keep the places
//! from others: the oldest one makes room for a new one.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::peer::Peer;

/// Connections that are served at the same time.
const MOST: usize = 16;
/// For this time a connection keeps its place until its request has come.
const TO_ASK: Duration = Duration::from_millis(100);
/// For this time a connection keeps its place whatever it does.
const TO_ANSWER: Duration = Duration::from_secs(1);

/// The places, of which at most [`MOST`] are taken.
pub(super) struct Places<P> {
    taken: Mutex<Vec<Arc<Connection<P>>>>,
    /// A place has become free.
    freed: Condvar,
}

struct Connection<P> {
    peer: P,
    since: Instant,
    /// The request has come.
    has_asked: AtomicBool,
    is_closed: AtomicBool,
}

/// The place of one connection. It becomes free when this is dropped.
pub(super) struct Place<P> {
    connection: Arc<Connection<P>>,
    places: Arc<Places<P>>,
}

impl<P: Peer> Places<P> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), freed: Condvar::new() })
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Connection<P>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place to a connection. If all are taken, the oldest connection whose time is over is closed.
    pub(super) fn take(self: &Arc<Self>, peer: P) -> Place<P> {
        let mut taken = self.taken();
        while taken.len() >= MOST {
            let now = Instant::now();
            let wait = if taken.iter().any(|connection| connection.is_closed.load(Ordering::Acquire)) {
                // It ends at once, because its reads and writes fail.
                TO_ANSWER
            } else {
                let oldest = taken.iter().min_by_key(|connection| connection.may_close_at());
                let wait = oldest.map_or(TO_ASK, |oldest| {
                    let wait = oldest.may_close_at().saturating_duration_since(now);
                    if wait.is_zero() {
                        oldest.close();
                    }
                    wait
                });
                if wait.is_zero() {
                    continue;
                }
                // A request that comes meanwhile changes who is the next one.
                wait.min(TO_ASK)
            };
            let waited = self.freed.wait_timeout(taken, wait).unwrap_or_else(PoisonError::into_inner);
            taken = waited.0;
        }
        let connection = Arc::new(Connection {
            peer,
            since: Instant::now(),
            has_asked: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        taken.push(Arc::clone(&connection));
        Place { connection, places: Arc::clone(self) }
    }
}

impl<P: Peer> Connection<P> {
    fn may_close_at(&self) -> Instant {
        self.since + if self.has_asked.load(Ordering::Acquire) { TO_ANSWER } else { TO_ASK }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // A connection that its client has closed can't be closed again.
        let _ = self.peer.end();
    }
}

impl<P> Place<P> {
    pub(super) fn peer(&self) -> &P {
        &self.connection.peer
    }

    /// The request has come.
    pub(super) fn has_asked(&self) {
        self.connection.has_asked.store(true, Ordering::Release);
    }
}

impl<P> Drop for Place<P> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|connection| !Arc::ptr_eq(connection, &self.connection));
        self.places.freed.notify_all();
    }
}
