//! Other backends while events flow.

pub(crate) mod prepare;
pub(crate) mod reload;
