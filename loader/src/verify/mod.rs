//! Whether the trust policy allows a file. It judges the open file, its open folders and the bytes that were taken from it,
//! so that no other process can exchange a file between this step and the next one.

//!
//! - [`trust`]: what can be required;
//! - [`policy`]: a requirement with its pins and keys, and the judgement;
//! - [`owner`], [`pin`], [`signature`]: what each requirement looks at.

pub(crate) mod error;
mod owner;
pub(crate) mod pin;
pub(crate) mod policy;
pub(crate) mod signature;
mod signature_file;
pub(crate) mod trust;
