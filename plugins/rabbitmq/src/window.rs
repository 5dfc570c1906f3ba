//! The unconfirmed events of a call: futures that run concurrently on the calling thread, polled when they are woken,
//! and the budget that limits their number.
//!
//! [`Window::poll_woken`] returns only when every woken future has been polled. When the result of a future has been
//! read, the results of all futures that completed before it have been read as well. `publish` needs this, because of
//! the order in which lapin passes on returned messages.

use std::{
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

/// Futures, each with a number that its owner gives it.
pub(crate) struct Window<F> {
    slots: Vec<Slot<F>>,
    free: Vec<usize>,
    woken: Arc<Woken>,
    /// The slots taken from `woken` for polling.
    batch: Vec<usize>,
}

struct Slot<F> {
    future: Pin<Box<Option<F>>>,
    number: usize,
    waker: Waker,
}

/// The slots whose futures have been woken.
#[derive(Default)]
struct Woken {
    slots: Mutex<Vec<usize>>,
    any: Condvar,
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SlotWaker {
    slot: usize,
    woken: Arc<Woken>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut slots = self.woken.lock();
        slots.push(self.slot);
        if slots.len() == 1 {
            self.woken.any.notify_one();
        }
    }
}

impl<F: Future> Window<F> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), woken: Arc::default(), batch: Vec::new() }
    }

    /// The number of running futures.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the running futures.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().filter(|slot| slot.future.is_some()).map(|slot| slot.number)
    }

    /// Starts a future and polls it once. Returns its result if it is ready.
    pub(crate) fn start(&mut self, number: usize, future: F) -> Option<F::Output> {
        let at = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let waker = Waker::from(Arc::new(SlotWaker { slot, woken: Arc::clone(&self.woken) }));
            self.slots.push(Slot { future: Box::pin(None), number, waker });
            slot
        });
        let slot = &mut self.slots[at];
        slot.number = number;
        slot.future.set(Some(future));
        self.poll(at).map(|(_, output)| output)
    }

    fn poll(&mut self, at: usize) -> Option<(usize, F::Output)> {
        let slot = &mut self.slots[at];
        // A slot may be woken after its future is done.
        let future = slot.future.as_mut().as_pin_mut()?;
        match future.poll(&mut Context::from_waker(&slot.waker)) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                slot.future.set(None);
                self.free.push(at);
                Some((slot.number, output))
            }
        }
    }

    /// Polls woken futures until none is left, and passes each result to `each`, with its number.
    pub(crate) fn poll_woken(&mut self, mut each: impl FnMut(usize, F::Output)) {
        loop {
            let mut batch = std::mem::take(&mut self.batch);
            std::mem::swap(&mut batch, &mut *self.woken.lock());
            let more = !batch.is_empty();
            for slot in batch.drain(..) {
                if let Some((number, output)) = self.poll(slot) {
                    each(number, output);
                }
            }
            self.batch = batch;
            if !more {
                return;
            }
        }
    }

    /// Sleeps until a future is woken, at most for `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        let mut slots = self.woken.lock();
        while slots.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            slots = self.woken.any.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Limits the unconfirmed events of all calls of a backend together to one window, however many threads send. When a
/// broker dies, at most one window of events is in doubt.
#[derive(Debug)]
pub(crate) struct Budget {
    window: usize,
    calls: AtomicUsize,
    taken: AtomicUsize,
}

/// One call's part of the budget, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    taken: usize,
}

impl Budget {
    pub(crate) fn new(window: usize) -> Self {
        Self { window, calls: AtomicUsize::new(0), taken: AtomicUsize::new(0) }
    }

    /// Makes the part of a new call.
    pub(crate) fn share(&self) -> Share<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Share { budget: self, taken: 0 }
    }
}

impl Share<'_> {
    /// Takes room for one more event, unless that would exceed the call's equal part or the window.
    pub(crate) fn take(&mut self) -> bool {
        let Budget { window, calls, taken } = self.budget;
        let part = (window / calls.load(Ordering::Relaxed).max(1)).max(1);
        let free = |taken: usize| (taken < *window).then_some(taken + 1);
        let took =
            self.taken < part && taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok();
        self.taken += usize::from(took);
        took
    }

    /// Sets the number of this call's unconfirmed events, and gives the rest of its room back.
    pub(crate) fn keep(&mut self, under_way: usize) {
        let done = self.taken.saturating_sub(under_way);
        self.budget.taken.fetch_sub(done, Ordering::Relaxed);
        self.taken -= done;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.keep(0);
        self.budget.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// Done when its flag is set; leaves its waker beside it.
    #[derive(Clone, Default)]
    struct Flag(Rc<RefCell<(bool, Option<Waker>)>>);

    impl Flag {
        fn set(&self) {
            let mut inner = self.0.borrow_mut();
            inner.0 = true;
            if let Some(waker) = inner.1.take() {
                waker.wake();
            }
        }
    }

    impl Future for Flag {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let mut inner = self.0.borrow_mut();
            inner.1 = Some(cx.waker().clone());
            if inner.0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    #[test]
    fn a_future_that_is_woken_meanwhile_is_polled() {
        let flags: Vec<Flag> = (0..3).map(|_| Flag::default()).collect();
        let mut window = Window::new();
        for (number, flag) in flags.iter().enumerate() {
            assert!(window.start(number, flag.clone()).is_none());
        }
        assert_eq!(window.len(), 3);
        flags[2].set();
        let mut done = Vec::new();
        window.poll_woken(|number, ()| {
            done.push(number);
            if number == 2 {
                flags[0].set();
            }
        });
        assert_eq!(done, [2, 0]);
        assert_eq!(window.numbers().collect::<Vec<_>>(), [1]);
        assert_eq!(window.len(), 1);
    }

    #[test]
    fn a_reused_slot_survives_a_late_wake_up() {
        let (first, second) = (Flag::default(), Flag::default());
        let mut window = Window::new();
        assert!(window.start(1, first.clone()).is_none());
        let late = first.0.borrow().1.clone().expect("polled");
        first.set();
        window.poll_woken(|number, ()| assert_eq!(number, 1));
        assert!(window.start(2, second).is_none());
        late.wake();
        window.poll_woken(|number, ()| panic!("{number} is not done"));
        assert_eq!(window.slots.len(), 1);
    }

    #[test]
    fn waiting_ends_at_the_timeout_or_a_wake_up() {
        let flag = Flag::default();
        let mut window = Window::new();
        assert!(window.start(1, flag.clone()).is_none());
        let started = Instant::now();
        window.wait(Duration::from_millis(30));
        assert!(started.elapsed() >= Duration::from_millis(30));
        let waker = flag.0.borrow().1.clone().expect("polled");
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake_by_ref());
            window.wait(Duration::from_secs(60));
        });
    }

    #[test]
    fn all_calls_share_one_window_in_equal_parts() {
        let budget = Budget::new(8);
        let mut first = budget.share();
        assert_eq!((0..10).filter(|_| first.take()).count(), 8, "one call may have all of it");
        let mut second = budget.share();
        assert!(!second.take(), "nothing is left yet");
        first.keep(6);
        assert!(!first.take(), "it has more than its part");
        assert_eq!((0..10).filter(|_| second.take()).count(), 2);
        first.keep(0);
        assert_eq!((0..10).filter(|_| second.take()).count(), 2, "up to its part");
        drop(first);
        assert_eq!((0..10).filter(|_| second.take()).count(), 4, "that of a call that has ended is free");
    }

    #[test]
    fn in_the_smallest_window_one_event_is_unconfirmed() {
        let budget = Budget::new(1);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(first.take() && !second.take());
        drop(first);
        assert!(second.take());
    }
}
