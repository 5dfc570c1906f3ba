//! The unconfirmed events of a call: futures that run concurrently in the future of the call, polled when they are woken,
//! and the budget that limits their number.
//!
//! [`Window::poll_woken`] returns only when every woken future has been polled. When the result of a future has been
//! read, the results of all futures that completed before it have been read as well. `publish` needs this, because of
//! the order in which lapin passes on returned messages.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
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

/// The slots whose futures have been woken, and who waits for the first of them.
#[derive(Default)]
struct Woken(Mutex<(Vec<usize>, Option<Waker>)>);

impl Woken {
    fn lock(&self) -> MutexGuard<'_, (Vec<usize>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let waiting = {
            let mut woken = self.woken.lock();
            woken.0.push(self.slot);
            woken.1.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
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
            std::mem::swap(&mut batch, &mut self.woken.lock().0);
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

    /// Is ready when a future has been woken.
    pub(crate) fn poll_any(&self, context: &Context<'_>) -> Poll<()> {
        let mut woken = self.woken.lock();
        if woken.0.is_empty() {
            woken.1 = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
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
    fn who_waits_for_any_future_is_woken_by_the_first() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let flags = [Flag::default(), Flag::default()];
        let mut window = Window::new();
        for (number, flag) in flags.iter().enumerate() {
            assert!(window.start(number, flag.clone()).is_none());
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        assert!(window.poll_any(&context).is_pending());
        flags.iter().for_each(Flag::set);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(window.poll_any(&context).is_ready());
        window.poll_woken(|_, ()| {});
        assert!(window.poll_any(&context).is_pending());
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
