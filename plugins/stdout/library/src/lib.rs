//! The backend `stdout` as a dynamic library.
#![forbid(unsafe_code)]

jackfield_plugin_api::export!(jackfield_stdout::PLUGIN);
