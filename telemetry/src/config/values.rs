//! Values that several tables of the configuration have.

use std::{
    env,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::config::toml::{Document, Entry};
use crate::error::error::Error;

pub(super) fn absolute(path: &str, folder: &Path) -> PathBuf {
    let home = path.strip_prefix("~/").or((path == "~").then_some(""));
    match (home, env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

pub(super) fn not_empty(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<String, Error> {
    let text = document.string(entry)?;
    if text.is_empty() {
        return Err(document
            .error(entry.value.span(), format!("`{}`: expected a string that is not empty", entry.path)));
    }
    Ok(text)
}

/// A list of strings, each of which is a `T`.
pub(super) fn list<T>(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<Vec<T>, Error>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let texts = document.strings(entry)?;
    let items = texts.iter().enumerate();
    items
        .map(|(at, text)| {
            let refuse = |reason| format!("`{}[{at}]`: {reason}, found {text:?}", entry.path);
            text.parse().map_err(|reason| document.error(entry.value.span(), refuse(reason)))
        })
        .collect()
}
