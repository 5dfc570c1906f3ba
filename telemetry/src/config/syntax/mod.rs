//! The syntax of a configuration: TOML, or without the feature `config-file` its smallest part.

mod error;
#[cfg(any(test, not(feature = "config-file")))]
#[cfg_attr(feature = "config-file", allow(dead_code, reason = "only its tests use it"))]
mod subset;
#[cfg(feature = "config-file")]
mod toml_parser;

pub(crate) use self::error::SyntaxError;
#[cfg(not(feature = "config-file"))]
pub(crate) use self::subset::{DeString, DeTable, DeValue, Spanned, parse};
#[cfg(feature = "config-file")]
pub(crate) use self::toml_parser::parse;
#[cfg(feature = "config-file")]
pub(crate) use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};
