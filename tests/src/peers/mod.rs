//! What the plugins talk to in the tests. Every peer listens on a free port of 127.0.0.1 and ends with the value that stands
//! for it.

pub mod http;
pub mod pki;
pub mod rotel;
pub mod python;
