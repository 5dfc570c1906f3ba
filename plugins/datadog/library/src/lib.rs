//! The backend `datadog` as a dynamic library.
#![forbid(unsafe_code)]

jackfield_plugin_api::export!(jackfield_datadog::PLUGIN);
