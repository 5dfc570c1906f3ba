//! Whether anything waits, for whoever only wants to know.

use super::{Spool, cursor::Cursors, segment};

impl Spool {
    /// Whether one of these backends is not done with some segment. Reads no event and takes no lock; a line that is not
    /// whole yet counts.
    pub(crate) fn has_waiting<S: AsRef<str>>(&self, backends: &[S]) -> bool {
        let inner = &self.inner;
        let Ok(Some(folder)) = inner.folder("read") else { return false };
        let Ok(listing) = segment::list(&*folder) else { return false };
        let cursors = Cursors::load_or_default(&*folder);
        listing.segments.iter().filter(|listed| listed.len > 0).any(|listed| {
            let name = listed.name.to_string();
            backends.iter().any(|backend| {
                let place = cursors.place(backend.as_ref(), &name);
                place.is_none_or(|place| place.at != listed.len || !place.ahead.is_empty())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::spool::{Limits, Settle, Spool};

    #[test]
    fn an_event_waits_until_each_backend_that_is_asked_about_is_done_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::on_disk(folder.path().join("spool"), Limits::default());
        assert!(!spool.has_waiting(&["a"]), "there is no folder");
        spool.append(b"{}").expect("room");
        assert!(spool.has_waiting(&["a"]) && !spool.has_waiting::<&str>(&[]));
        let mut deliverer = spool.try_claim(&["a", "b"]).expect("a folder").expect("nobody has it");
        let chunk = deliverer.next("a", 10, 1000).expect("readable").expect("one waits");
        deliverer.commit(&chunk, &[Settle::Done]).expect("writable");
        assert!(!spool.has_waiting(&["a"]));
        assert!(spool.has_waiting(&["b"]) && spool.has_waiting(&["a", "b"]));
    }
}
