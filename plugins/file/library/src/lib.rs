//! The backend `file` as a dynamic library.
#![forbid(unsafe_code)]

jackfield_plugin_api::export!(jackfield_file::PLUGIN);
