//! Divides entries into bodies, for `deliver` and for `preview` alike.

use std::ops::Range;

use crate::{
    entries::{Entry, Limits, next_part},
    platform::Platform,
};

/// The bodies of one batch.
pub(crate) struct Bodies<'a, P> {
    platform: &'a P,
    limits: Limits,
    pub(crate) entries: &'a [Entry<'a>],
}

impl<'a, P: Platform> Bodies<'a, P> {
    pub(crate) fn new(platform: &'a P, entries: &'a [Entry<'a>]) -> Self {
        Self { platform, limits: platform.limits(), entries }
    }

    /// The entries from `start` (which is not the end) that make the next body, or the reason why the entry at `start`
    /// is too large for any body.
    pub(crate) fn next(&self, start: usize) -> Result<Range<usize>, String> {
        let rest = &self.entries[start..];
        let sizes = rest.iter().map(|entry| entry.bytes.len());
        let count = next_part(sizes, &self.limits, |count| self.platform.overhead(count));
        if count > 0 {
            return Ok(start..start + count);
        }
        let room = self.limits.body_bytes.saturating_sub(self.platform.overhead(1));
        let most = self.limits.entry_bytes.min(room);
        let size = rest[0].bytes.len();
        Err(format!("the event is {size} bytes as sent; the limit is {most}"))
    }

    /// The body of these entries.
    pub(crate) fn body(&self, part: Range<usize>) -> Vec<u8> {
        let entries = &self.entries[part];
        let bytes: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let mut body = Vec::with_capacity(bytes + self.platform.overhead(entries.len()));
        self.platform.frame(entries, &mut body);
        body
    }
}
