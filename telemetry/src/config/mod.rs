//! The configuration that operators write, and where files are.

pub(crate) mod duration;
pub(crate) mod environment;
pub(crate) mod model;
pub(crate) mod parse;
pub(crate) mod paths;
pub(crate) mod plugin_lock;
pub(crate) mod plugin_name;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod search_path;
#[cfg(unix)]
pub(crate) mod serialized;
pub(crate) mod size;
pub(crate) mod source_file;
pub(crate) mod toml;
pub(crate) mod trust;
pub(crate) mod values;
