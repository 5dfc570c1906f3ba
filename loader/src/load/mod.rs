//! The library of a plugin, loaded into this process.
//!
//! - [`dlopen`]: hands the verified bytes to the dynamic linker;
//! - [`check`]: what the library exports is what the contract says;
//! - [`tables`]: its functions, and how each is called;
//! - [`loaded_libraries`]: each library is loaded once, and stays.

pub(crate) mod check;
pub(crate) mod dlopen;
pub(crate) mod loaded_libraries;
pub(crate) mod tables;
