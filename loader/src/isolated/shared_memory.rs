//! The memory that a host and one thread of its child share.
//!
//! | offset | content |
//! | --- | --- |
//! | 0 | [`Header`]: which side sleeps, how far the ring is filled, the request |
//! | [`RING_AT`] | the ring: the child's answers, a stream of records |
//! | [`DATA_AT`] | the request's text and events |
//!
//! Neither side can change its length: no access can fail, and a child can't use up memory
//! by it. Data that does not fit is not sent. The child may write anywhere in it at any
//! time. So the host copies data before it checks it, and keeps its own count of what it has read. It reads only
//! atomics: a value that another process changes at the same moment is an old one or a new one, and no undefined
//! behaviour. The rest of the memory the host writes, and never reads.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::{io, ptr, slice};

use crate::boundary::mapping::{Mapping, memory};
use crate::files::size_limit::size_limit;
use crate::reexec::OwnedHandle;

const RING_AT: usize = 4096;
/// Length of the ring, a power of two.
pub(super) const RING: usize = 64 << 10;
pub(super) const DATA_AT: usize = RING_AT + RING;
/// Length of a memory. A batch of a tool has at most 512 KiB and one event. Unwritten pages take no memory.
const LEN: usize = 8 << 20;
/// The least length, in a process that may only write files shorter than [`LEN`].
const LEAST: usize = 256 << 10;

/// The start of a memory, at first all zeros.
#[repr(C)]
pub(super) struct Header {
    child: ByChild,
    host: ByHost,
}

/// The fields that the child writes, on another cache line than the host's.
#[repr(C, align(64))]
struct ByChild {
    /// Number of bytes that the child has put into the ring.
    head: AtomicU64,
    /// The child sleeps until the other side wakes it.
    sleeps: AtomicU32,
    /// It is a child of this kind.
    begun: AtomicU32,
}

#[repr(C, align(64))]
struct ByHost {
    /// Number of bytes that the host has taken out of the ring.
    tail: AtomicU64,
    /// The host sleeps until the other side wakes it.
    sleeps: AtomicU32,
    /// Number of the last request, to which the following fields belong.
    requests: AtomicU32,
    function: AtomicU32,
    /// The most detailed level of log records that the host wants.
    level: AtomicU32,
    timeout_ns: AtomicU64,
    text_at: AtomicU64,
    text_len: AtomicU64,
    events_at: AtomicU64,
    events: AtomicU64,
    /// The caller of the last request has stopped waiting.
    cancelled: AtomicU32,
}

/// A request without its data.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RequestHeader {
    pub(super) function: u32,
    pub(super) level: u32,
    pub(super) timeout_ns: u64,
    pub(super) text: (usize, usize),
    /// Offset and number of the events.
    pub(super) events: (usize, usize),
}

/// A mapping of a memory.
pub(super) struct SharedMemory {
    handle: OwnedHandle,
    mapping: Mapping,
}

impl SharedMemory {
    pub(super) fn new() -> io::Result<Self> {
        // Past the limit of files the kernel would end the process by a signal.
        let limit = size_limit().unwrap_or(u64::MAX);
        let len = usize::try_from(limit).unwrap_or(usize::MAX).min(LEN);
        if len < LEAST {
            let message = format!(
                "{LEAST} bytes of memory to share, but this process may write files of at most {limit} bytes: raise the limit (ulimit -f)"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Self::map(memory(len)?)
    }

    /// Maps the memory behind a handle.
    pub(super) fn map(handle: OwnedHandle) -> io::Result<Self> {
        let mapping = Mapping::shared(&handle)?;
        if mapping.len() < LEAST {
            return Err(io::Error::other("the shared memory is too short"));
        }
        Ok(Self { mapping, handle })
    }

    /// A handle for the other side.
    pub(super) fn share(&self) -> io::Result<OwnedHandle> {
        self.handle.try_clone()
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping begins with a header, is aligned to a page, and lives as long as `self`.
        unsafe { &*self.base().cast::<Header>() }
    }

    /// The ring as the host reads it: the child may write there at any time.
    fn ring(&self) -> &[AtomicU8] {
        // SAFETY: the ring lies within the mapping, which lives as long as `self`. No other reference leads there.
        unsafe { slice::from_raw_parts(self.base().add(RING_AT).cast::<AtomicU8>(), RING) }
    }

    pub(super) const fn base(&self) -> *mut u8 {
        self.mapping.base()
    }

    pub(super) const fn len(&self) -> usize {
        self.mapping.len()
    }

    // The host's side.

    /// Publishes a request. Its data must be in place.
    pub(super) fn post(&self, request: &RequestHeader) {
        let (host, set) = (&self.header().host, Ordering::Relaxed);
        host.function.store(request.function, set);
        host.level.store(request.level, set);
        host.timeout_ns.store(request.timeout_ns, set);
        host.text_at.store(request.text.0 as u64, set);
        host.text_len.store(request.text.1 as u64, set);
        host.events_at.store(request.events.0 as u64, set);
        host.events.store(request.events.1 as u64, set);
        host.cancelled.store(0, set);
        host.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells the child that the request is cancelled.
    pub(super) fn cancel(&self) {
        self.header().host.cancelled.store(1, Ordering::Release);
    }

    /// Whether the process is a child of this kind.
    pub(super) fn has_begun(&self) -> bool {
        self.header().child.begun.load(Ordering::Acquire) != 0
    }

    /// Whether the ring has bytes after the first `taken`.
    pub(super) fn has_answer(&self, taken: u64) -> bool {
        self.header().child.head.load(Ordering::SeqCst) != taken
    }

    /// Appends the bytes after the first `taken` to `into`, and returns their total; `None` if that is
    /// invalid.
    pub(super) fn take(&self, taken: u64, into: &mut Vec<u8>) -> Option<u64> {
        // Read once, because the child may change it at any time.
        let head = self.header().child.head.load(Ordering::Acquire);
        let filled = usize::try_from(head.wrapping_sub(taken)).ok().filter(|filled| *filled <= RING)?;
        let (ring, at) = (self.ring(), (taken as usize) % RING);
        into.extend((0..filled).map(|n| ring[(at + n) % RING].load(Ordering::Relaxed)));
        self.header().host.tail.store(head, Ordering::Release);
        Some(head)
    }

    /// Whether the child sleeps and must be woken. The caller wakes it.
    pub(super) fn wake_child(&self) -> bool {
        wake(&self.header().child.sleeps)
    }

    /// Notes whether the host sleeps.
    pub(super) fn host_sleeps(&self, sleeps: bool) {
        self.header().host.sleeps.store(u32::from(sleeps), Ordering::SeqCst);
    }

    // The child's side.

    pub(super) fn begin(&self) {
        self.header().child.begun.store(1, Ordering::Release);
    }

    /// Whether there is a request after the one with this number.
    pub(super) fn has_request(&self, after: u32) -> bool {
        self.header().host.requests.load(Ordering::SeqCst) != after
    }

    pub(super) fn request(&self) -> RequestHeader {
        let (host, get) = (&self.header().host, Ordering::Relaxed);
        let number = |number: &AtomicU64| number.load(get) as usize;
        RequestHeader {
            function: host.function.load(get),
            level: host.level.load(get),
            timeout_ns: host.timeout_ns.load(get),
            text: (number(&host.text_at), number(&host.text_len)),
            events: (number(&host.events_at), number(&host.events)),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.header().host.cancelled.load(Ordering::Acquire) != 0
    }

    /// Puts bytes into the ring, after the first `put`, and returns how many had room.
    pub(super) fn put(&self, put: u64, bytes: &[u8]) -> usize {
        let tail = self.header().host.tail.load(Ordering::Acquire);
        let room = RING.saturating_sub(put.wrapping_sub(tail) as usize);
        let count = room.min(bytes.len());
        let at = (put as usize) % RING;
        let first = count.min(RING - at);
        // SAFETY: both parts lie within the ring. The host reads them after `head` is stored.
        unsafe {
            let ring = self.base().add(RING_AT);
            ptr::copy_nonoverlapping(bytes.as_ptr(), ring.add(at), first);
            ptr::copy_nonoverlapping(bytes.as_ptr().add(first), ring, count - first);
        }
        self.header().child.head.store(put.wrapping_add(count as u64), Ordering::SeqCst);
        count
    }

    /// Whether the host sleeps and must be woken. The caller wakes it.
    pub(super) fn wake_host(&self) -> bool {
        wake(&self.header().host.sleeps)
    }

    /// Notes whether the child sleeps.
    pub(super) fn child_sleeps(&self, sleeps: bool) {
        self.header().child.sleeps.store(u32::from(sleeps), Ordering::SeqCst);
    }
}

fn wake(sleeps: &AtomicU32) -> bool {
    sleeps.load(Ordering::SeqCst) != 0 && sleeps.swap(0, Ordering::SeqCst) != 0
}

#[cfg(test)]
impl SharedMemory {
    /// The ends of the host and the child. They stay until the process ends. Miri has no memfd: there, the memory is that of
    /// the process, and the ends have a descriptor of something else.
    pub(super) fn ends() -> [std::mem::ManuallyDrop<Self>; 2] {
        let ends = if cfg!(miri) {
            #[repr(C, align(4096))]
            struct Page([u8; 4096]);
            let pages: Vec<_> = (0..LEAST / 4096).map(|_| Page([0; 4096])).collect();
            let base = pages.leak().as_mut_ptr().cast();
            let end = || Self {
                handle: std::fs::File::open("/dev/null").unwrap().into(),
                mapping: Mapping::of_memory(base, LEAST),
            };
            [end(), end()]
        } else {
            let host = Self::new().unwrap();
            let child = Self::map(host.share().unwrap()).unwrap();
            [host, child]
        };
        ends.map(std::mem::ManuallyDrop::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_longer_than_the_ring_arrives_whole() {
        let [host, child] = SharedMemory::ends();
        let sent: Vec<u8> = (0..5 * RING + 77).map(|n| (n % 251) as u8).collect();
        let (mut put, mut taken, mut arrived) = (0_u64, 0_u64, Vec::new());
        while arrived.len() < sent.len() {
            put += child.put(put, &sent[put as usize..]) as u64;
            taken = host.take(taken, &mut arrived).unwrap();
            assert!(!host.has_answer(taken));
        }
        assert!(arrived == sent);
    }

    #[test]
    fn the_host_reads_while_the_child_writes() {
        let [host, child] = SharedMemory::ends();
        let sent: Vec<u8> = (0..RING + 77).map(|n| (n % 251) as u8).collect();
        let mut arrived = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut put = 0;
                while put < sent.len() {
                    // In pieces, so that the host meets some of them.
                    let end = sent.len().min(put + 1000);
                    put += child.put(put as u64, &sent[put..end]);
                    std::thread::yield_now();
                }
            });
            let mut taken = 0;
            while arrived.len() < sent.len() {
                taken = host.take(taken, &mut arrived).unwrap();
                std::thread::yield_now();
            }
        });
        assert!(arrived == sent);
    }

    #[test]
    fn a_count_beyond_the_ring_is_invalid() {
        let [host, child] = SharedMemory::ends();
        let mut arrived = Vec::new();
        for claimed in [RING as u64 + 1, u64::MAX, 1 << 63] {
            child.header().child.head.store(claimed, Ordering::Release);
            assert_eq!(host.take(0, &mut arrived), None, "{claimed}");
        }
        child.header().child.head.store(0, Ordering::Release);
        assert_eq!(host.take(1, &mut arrived), None, "less than was taken");
        assert!(arrived.is_empty());
    }

    #[test]
    #[cfg(unix)]
    #[cfg_attr(miri, ignore = "Miri has no memfd")]
    fn neither_side_can_change_the_length() {
        let [host, child] = SharedMemory::ends();
        assert_eq!(host.len(), child.len());
        for memory in [&host, &child] {
            for len in [4096, 2 * LEN as u64] {
                assert!(rustix::fs::ftruncate(&memory.handle, len).is_err(), "{len}");
            }
            assert!(rustix::io::pwrite(&memory.handle, b"x", LEN as u64).is_err());
        }
    }
}
