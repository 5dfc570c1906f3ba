//! The configuration that operators write, and where files are.

pub(crate) mod effective;
pub(crate) mod interpolation;
pub(crate) mod model;
pub(crate) mod parse;
pub(crate) mod paths;
pub(crate) mod platforms;
pub(crate) mod plugin_lock;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod serialized;
pub(crate) mod source_file;
pub(crate) mod syntax;
pub(crate) mod toml;
pub(crate) mod values;
