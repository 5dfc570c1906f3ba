//! Events on disk, from the moment they are tracked until every backend is done with them.
//!
//! # Format, version 1
//! A folder of one user and one tool, mode 0700. A folder that belongs to somebody else or that others can write to is
//! refused. In it:
//!
//! | file | holds |
//! | --- | --- |
//! | `MMMMMMMMMMMM-PPPPPPPP-RRRRRRRR.v1.jsonl` | a *segment*: one JSON object a line, each ended by a line feed, nothing else. The name is hexadecimal: milliseconds since 1970 at its creation, process, random number |
//! | `claim.v1.lock` | nothing; its lock is held by the one process that delivers |
//! | `cursors.v1.json` | what each backend is done with, byte offsets a segment; a second line with a check sum |
//! | `counters.v1.json` | events lost, by reason; a second line with a check sum; written under the lock of `counters.v1.lock` |
//! | `quarantine.v1.jsonl` | rejected events, one object a line: backend, reason, `rejected_at` in milliseconds since 1970, the event |
//!
//! `*.v1.tmp` are files that are about to take the place of another. **Every file of any version has `.v<number>.` before
//! its extension.** Files of another version than 1 are left alone: reported, never read, never deleted.
//!
//! # Writers
//! A process writes to a segment of its own, each event with one `write(2)`, so that nothing is in memory when
//! [`Spool::append`] returns: a kill loses nothing that was appended. There is no fsync: the system losing power may lose
//! the last seconds. The exclusive advisory lock on a segment says that its writer lives. A writer goes on with a segment
//! that has no writer, ends with a whole line and is young, so that a tool of short runs leaves one file and not
//! thousands. A segment ends at 1 MiB, a quarter of [`Limits::max_events`] and a thirtieth of
//! [`Limits::max_age`]; before the next one is begun, whole segments that nobody writes to leave, the oldest first, until
//! all limits hold. At least every 50 ms of writing, every 64 events and at its end the writer looks whether its file still
//! has a name; if not, what it wrote since the last look goes to a new one, and what was there before is counted.
//!
//! # Readers
//! A line counts once its line feed is there. A tail without one is torn when the segment has no writer: it is dropped
//! and counted, alone. So is a line that is no event. One process delivers at a time, see [`Deliverer`].
//!
//! # Limits
//! Cursors that can't be written down hold in their process, and are written once there is room; a delivery *at most once*
//! sends nothing meanwhile. A line has at most 1 MiB. Counters and cursors that are missing or damaged begin again at nothing: events are then
//! delivered again rather than lost. Events that are appended while the folder or the disk can't be written to are lost,
//! counted, and no error to the tool.

pub(crate) mod chunk;
pub(crate) mod claim;
pub(crate) mod counters;
pub(crate) mod cursor;
pub(crate) mod dead_letters;
pub(crate) mod disk;
pub(crate) mod drop_notice;
pub(crate) mod eviction;
pub(crate) mod fs;
pub(crate) mod limits;
pub(crate) mod open_segment;
pub(crate) mod pair;
pub(crate) mod process_slot;
pub(crate) mod reader;
pub(crate) mod segment;
pub(crate) mod spool;
pub(crate) mod stats;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod trusted_fs;
pub(crate) mod writer;

pub use crate::error::drop_reason::DropReason;
pub use crate::spool::chunk::Chunk;
pub use crate::spool::dead_letters::Rejected;
pub use crate::spool::disk::Disk;
pub use crate::spool::fs::{Entry, Facts, File, Folder, FolderError, Fs};
pub use crate::spool::limits::Limits;
pub use crate::spool::reader::{Committed, Deliverer, Settle};
pub use crate::spool::spool::Spool;
pub use crate::spool::stats::{BackendStats, SpoolStats};
