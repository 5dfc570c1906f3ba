//! The host's side of Jackfield: from a name in a configuration to a guarded backend.
//!
//! A plugin passes through stages, each a module with its own error: `find` → `inspect` → `verify` → `load` → `check`,
//! and every call of it through the `guard`.
#![allow(unsafe_code, reason = "the boundary to foreign code: every crate above is spared it")]
