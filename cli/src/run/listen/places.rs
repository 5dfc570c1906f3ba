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
/// The time for which nobody takes the place of a connection whose request has not come.
const KEPT_BEFORE_REQUEST: Duration = Duration::from_millis(100);
/// The same for one whose request has come.
const KEPT_WITH_REQUEST: Duration = Duration::from_secs(1);

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

impl<P> Places<P> {
    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Connection<P>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Peer> Places<P> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), freed: Condvar::new() })
    }

    /// Gives a place to a connection. If all are taken, the oldest connection whose time is over is closed.
    pub(super) fn take(self: &Arc<Self>, peer: P) -> Place<P> {
        let mut taken = self.taken();
        while taken.len() >= MOST {
            let wait = make_room(&taken);
            taken = self.freed.wait_timeout(taken, wait).unwrap_or_else(PoisonError::into_inner).0;
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

/// Closes the oldest connection if its time is over. Returns how long a place is waited for before the next look.
fn make_room<P: Peer>(taken: &[Arc<Connection<P>>]) -> Duration {
    let is_closed = |connection: &Arc<Connection<P>>| connection.is_closed.load(Ordering::Acquire);
    if let Some(oldest) = taken.iter().min_by_key(|connection| connection.may_close_at())
        && !taken.iter().any(is_closed)
    {
        let left = oldest.may_close_at().saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // A request that comes meanwhile changes who is the next one.
            return left.min(KEPT_BEFORE_REQUEST);
        }
        oldest.close();
    }
    // A closed one ends at once, because its reads and writes fail.
    KEPT_WITH_REQUEST
}

impl<P: Peer> Connection<P> {
    fn may_close_at(&self) -> Instant {
        self.since
            + if self.has_asked.load(Ordering::Acquire) { KEPT_WITH_REQUEST } else { KEPT_BEFORE_REQUEST }
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
        self.places.taken().retain(|connection| !Arc::ptr_eq(connection, &self.connection));
        self.places.freed.notify_all();
    }
}
