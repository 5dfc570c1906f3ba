//! Whether a file may be loaded by the trust policy. What is examined are the open file, its open folders and the bytes
//! that were taken from it, so that nothing can be exchanged between this look and the next step.

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
