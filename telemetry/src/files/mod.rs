//! Files of state: how they are judged, opened, replaced.

pub(crate) mod data_folder;
pub(crate) mod replace;
pub(crate) mod stamp;
pub(crate) mod writable;
