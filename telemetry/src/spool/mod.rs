//! Events on disk, from the moment they are tracked until every backend has settled them.
//!
//! # Format, version 1
//! A folder of one user and one tool, mode 0700. A folder of another user, or that others can write to, is refused. It
//! holds:
//!
//! | file | holds |
//! | --- | --- |
//! | `MMMMMMMMMMMM-PPPPPPPP-RRRRRRRR.v1.jsonl` | a *segment*: one JSON object a line, each ended by a line feed, nothing else. The name is hexadecimal: milliseconds since 1970 at its creation, process, random number |
//! | `claim.v1.lock` | nothing; its lock is held by the one process that delivers |
//! | `cursors.v1.json` | what each backend has settled, as byte offsets in each segment; a second line with a check sum |
//! | `counters.v1.json` | events lost, by reason; a second line with a check sum; written under the lock of `counters.v1.lock` |
//! | `dropped-REASON-NUMBER-PPPPPPPP-RRRRRRRR.v1.mark` | nothing; the name has a number that a full disk had no room for in `counters.v1.json` |
//! | `dead-letters.v1.jsonl` | dead letters, one object a line: backend, reason, `rejected_at` in milliseconds since 1970, the event |
//!
//! A file `*.v1.tmp` is about to replace another file. **Every file of any version has `.v<number>.` before
//! its extension.** Files of another version than 1 are left alone: reported, never read, never deleted.
//!
//! # Writers
//! A process writes to its own segment, each event with one `write(2)`. Nothing is left in memory when [`Spool::append`]
//! returns: a kill loses nothing that was appended. There is no fsync: a loss of power may lose the last seconds. A writer
//! holds the exclusive advisory lock on its segment while it lives. A writer takes over a segment that has no writer, ends
//! with a whole line and is young, so that many short runs of a tool leave one file. A segment ends at 1 MiB, at a quarter
//! of [`Limits::max_events`] and after a thirtieth of [`Limits::max_age`]. Before the next segment is begun, whole segments
//! without a writer are dropped, the oldest first, until all limits hold. The writer checks that its file still has a name:
//! after 50 ms or 64 events of writing, and at its end. When the name is gone, the events since the last check go to a new
//! file, and the events before that check are counted as lost.
//!
//! # Readers
//! A line is complete with its line feed. A tail without a line feed in a segment without a writer is torn: this tail alone
//! is dropped and counted. So is a line that is no event. One process delivers at a time, see [`Deliverer`].
//!
//! # Limits
//! Cursors that can't be written stay in memory, and are written when there is room; a delivery *at most once* sends nothing
//! meanwhile. A line has at most 1 MiB. Missing or damaged counters and cursors begin again at 0: events are then delivered
//! again rather than lost. Events that are appended while the folder or the disk can't be written are lost and counted; the
//! tool gets no error.

pub(crate) mod chunk;
pub(crate) mod counters;
pub(crate) mod cursor;
pub(crate) mod dead_letters;
pub(crate) mod disk;
pub(crate) mod eviction;
pub(crate) mod fs;
pub(crate) mod handle;
pub(crate) mod reader;
pub(crate) mod segment;
pub(crate) mod stats;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

pub use crate::error::DropReason;
pub use crate::spool::chunk::Chunk;
pub use crate::spool::dead_letters::Rejected;
pub use crate::spool::disk::Disk;
pub use crate::spool::fs::{Entry, Facts, File, Folder, FolderError, Fs};
pub use crate::spool::handle::Spool;
pub use crate::spool::reader::{Committed, Deliverer, Settle};
pub use crate::spool::stats::{BackendStats, SpoolStats};
pub use crate::spool::store::Limits;
