//! Reloading: `prepare` opens new backends, `reload` decides.

pub(crate) mod prepare;
pub(crate) mod reload;
