//! Whether the trust policy allows a file. It judges the open file, its open folders and the bytes that were
//! read, so that no process can exchange the file before the next stage.
//!
//! - [`trust`]: the requirements, and the check of the owner;
//! - [`policy`]: a requirement with its pins and keys, and the verdict, also on the signature beside a file;
//! - [`pin`]: the requirements of a lock file;
//! - [`signature`]: a key, and a signature.

pub(crate) mod error;
pub(crate) mod pin;
pub(crate) mod policy;
pub(crate) mod signature;
pub(crate) mod trust;
