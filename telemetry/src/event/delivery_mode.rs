//! What delivery promises.

/// What delivery promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryMode {
    /// An event leaves the spool after a backend has settled it. A crash in between sends it again, with the same id.
    #[default]
    AtLeastOnce,
    /// An event leaves the spool before it is sent. A failure or a crash loses it.
    AtMostOnce,
}
