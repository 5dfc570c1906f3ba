//! The trait by which a plugin describes its platform.

use jackfield_plugin_api::{Outcome, Outcomes};

use crate::{
    client::Answer,
    entries::{Entry, Limits},
    status::StatusTable,
};

/// The differences between platforms.
///
/// The defaults describe a platform that takes a JSON array and whose status alone decides.
pub trait Platform: Sync {
    /// What each status means.
    fn statuses(&self) -> &StatusTable;

    /// The limits of one request.
    fn limits(&self) -> Limits;

    /// Bytes that a body of this many entries has in addition to them, at most.
    fn overhead(&self, entries: usize) -> usize {
        2 + entries.saturating_sub(1)
    }

    /// Appends the body that carries `part` to `body`, which is empty.
    fn frame(&self, part: &[Entry<'_>], body: &mut Vec<u8>) {
        json_array(part, body);
    }

    /// Whether [`accepted`](Self::accepted) reads the body of an answer. If not, events count as delivered as soon as
    /// the head of the answer says so, even when the body does not arrive.
    fn needs_body(&self) -> bool {
        false
    }

    /// Whether `status`, in answer to a [probe](crate::Client::probe), only means that the body has no events. The platform
    /// has then read the request; it would have refused unknown credentials by another status.
    fn dislikes_empty(&self, status: u16) -> bool {
        let _ = status;
        false
    }

    /// The outcomes of `part` after a status that means [`Verdict::Accepted`](crate::Verdict::Accepted): one for all, or one for each entry (an
    /// entry past the end of the list counts as delivered). The request's secrets are removed from reasons.
    ///
    /// Called with an incomplete body, too, when no more came before the deadline. The status is one of success by
    /// then, so a platform without deduplication should report delivered. `part` is empty in a probe.
    fn accepted(&self, part: &[Entry<'_>], answer: &Answer<'_>) -> Outcomes {
        let _ = (part, answer);
        Outcome::Delivered.into()
    }
}

/// Appends `[a,b,c]` to `body`: the entries, each of which is JSON, as an array.
pub fn json_array(part: &[Entry<'_>], body: &mut Vec<u8>) {
    body.push(b'[');
    for (at, entry) in part.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry.bytes);
    }
    body.push(b']');
}
