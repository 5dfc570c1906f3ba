//! The library of a plugin, loaded into this process.
//!
//! - [`dlopen`]: hands the verified bytes to the dynamic linker;
//! - [`check`]: checks what the library exports;
//! - [`tables`]: its functions, and how each is called;
//! - [`loaded_libraries`]: loads each library once.

pub(crate) mod check;
pub(crate) mod dlopen;
pub(crate) mod loaded_libraries;
pub(crate) mod tables;
