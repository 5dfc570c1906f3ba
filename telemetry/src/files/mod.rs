//! The data folder and what can be told of a file without reading it. Files are opened, judged, replaced and locked by
//! [`jackfield_loader::files`].

pub(crate) mod data_folder;
pub(crate) mod stamp;
pub(crate) mod writable;
