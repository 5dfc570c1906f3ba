//! The lock file: the exact plugins that a host may load with `trust = "pinned"`.
//!
//! ```toml
//! # Comments at the top are kept.
//! [[plugin]]
//! name    = "rabbitmq"
//! version = "1.4.2"
//! target  = "x86_64-unknown-linux-gnu"
//! size    = 3141592
//! sha256  = "0f1e...64 hexadecimal digits"
//! minimum = "1.4.0"          # optional: no older version is used, with `trust = "signed"` neither
//! ```
//!
//! One table for each name and target, in the order of these. At most 1 MiB. Only root and the user may be able to write
//! it and its folder: it decides what code runs.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use jackfield_loader::{
    Pin, Pins,
    files::{self, Mode, Survives},
};

use crate::config::interpolation::Values;
use crate::config::source_file::ConfigFile;
use crate::config::syntax::DeValue;
use crate::config::toml::{Document, Entry, Mistakes};
use crate::error::Error;

/// The comment at the top of a new lock.
const COMMENT: &str = "\
# The plugins that may be loaded where trust = \"pinned\". Made by `jackfield lock`; run it again when one has changed.
# A line `minimum = \"1.2.0\"` in a table keeps older versions out, and is kept.
";

/// A lock file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    file: PathBuf,
    comment: String,
    pins: Vec<Pin>,
}

impl Lock {
    /// A lock with these pins, to be written to `file`.
    #[must_use]
    pub fn new(file: &Path, pins: Vec<Pin>) -> Self {
        Self { file: file.to_owned(), comment: COMMENT.to_owned(), pins }.sorted()
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// [`Error::ReadLock`], also where others could have written it; [`Error::Lock`] with the line.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = ConfigFile::open(file).and_then(|file| {
            file.check_owner()?;
            file.text()
        });
        let text = text.map_err(|error| match error {
            Error::ReadConfig { file, error } => Error::ReadLock { file, error },
            error => error,
        })?;
        Self::parse(&text, file)
    }

    /// Reads the text of `file`, whose name is for messages and for [`Lock::write`].
    ///
    /// # Errors
    /// [`Error::Lock`] with the line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let (values, mistakes) = (Values::none(), Mistakes::default());
        let read = pins(Document { file, text, values: &values, mistakes: &mistakes });
        let pins = mistakes.first_or(read).map_err(|error| match error {
            Error::Config { at, reason } => Error::Lock { at, reason },
            error => error,
        })?;
        let top = text.split_inclusive('\n').take_while(|line| line.starts_with('#'));
        Ok(Self { file: file.to_owned(), comment: top.collect(), pins }.sorted())
    }

    /// The same lock with other pins.
    #[must_use]
    pub fn with(self, pins: Vec<Pin>) -> Self {
        Self { pins, ..self }.sorted()
    }

    fn sorted(mut self) -> Self {
        self.pins.sort_by(|a, b| (&a.name, &a.target).cmp(&(&b.name, &b.target)));
        self
    }

    /// The pins, for a trust policy.
    #[must_use]
    pub fn into_pins(self) -> Pins {
        Pins::new(&self.file, self.pins)
    }

    /// The pins, by name and target.
    #[must_use]
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.comment.clone();
        for Pin { name, version, sha256, size, target, minimum } in &self.pins {
            // A basic string of TOML is one of JSON where no control character is in it.
            let quoted = |text: &str| serde_json::Value::from(text);
            let (name, version, target) = (quoted(name), quoted(version), quoted(target));
            let lines = format!(
                "\n[[plugin]]\nname    = {name}\nversion = {version}\ntarget  = {target}\nsize    = {size}\nsha256  = \"{sha256}\"\n"
            );
            text.push_str(&lines);
            if let Some(minimum) = minimum {
                let _ = writeln!(text, "minimum = \"{minimum}\"");
            }
        }
        text
    }

    /// Puts the file in the place of the old one at once, whose mode it takes over; a new one everybody may read. Where
    /// the place is a link, what it leads to is replaced or made.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self) -> Result<(), Error> {
        let write = || {
            let file = files::behind_links(&self.file)?;
            let old = fs::metadata(&file).ok();
            let mode = old.as_ref().map_or(Mode::Public, Mode::Like);
            files::replace(&file, self.text().as_bytes(), mode, Survives::PowerFailure)
        };
        write().map_err(|error| Error::Write { what: "lock", file: self.file.clone(), error })
    }
}

fn pins(document: Document<'_>) -> Vec<Pin> {
    let Some(table) = document.parse() else { return Vec::new() };
    let mut pins = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in document.entries(table.get_ref(), "", &["plugin"]) {
        for item in document.tables(&entry) {
            let Some(pin) = document.noted(pin(document, &item)) else { continue };
            if !seen.insert((pin.name.clone(), pin.target.clone())) {
                let reason = format_args!("{:?} for {:?} is there already", pin.name, pin.target);
                document.mistakes.note(document.refuse(&item, reason));
            }
            pins.push(pin);
        }
    }
    pins
}

fn pin(document: Document<'_>, item: &Entry<'_, '_>) -> Result<Pin, Error> {
    let [mut name, mut version, mut target] = [None, None, None];
    let (mut size, mut sha256, mut minimum) = (None, None, None);
    for entry in document.table(item, &["name", "version", "target", "size", "sha256", "minimum"]) {
        match entry.key {
            "name" => name = Some(text(document, &entry)?),
            "version" => version = Some(text(document, &entry)?),
            "target" => target = Some(text(document, &entry)?),
            "size" => size = Some(number(document, &entry)?),
            "sha256" => sha256 = Some(parsed(document, &entry)?),
            _ => minimum = Some(parsed(document, &entry)?),
        }
    }
    let missing = |key| document.error(item.value.span(), format!("`plugin.{key}`: missing"));
    Ok(Pin {
        name: name.ok_or_else(|| missing("name"))?,
        version: version.ok_or_else(|| missing("version"))?,
        target: target.ok_or_else(|| missing("target"))?,
        size: size.ok_or_else(|| missing("size"))?,
        sha256: sha256.ok_or_else(|| missing("sha256"))?,
        minimum,
    })
}

/// A string without substitution of variables.
fn text(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<String, Error> {
    match entry.value.get_ref() {
        DeValue::String(text) if text.chars().any(char::is_control) => {
            Err(document.refuse(entry, "a control character in text that people read"))
        }
        DeValue::String(text) => Ok(text.clone().into_owned()),
        _ => Err(document.wrong_type(entry, "a string")),
    }
}

fn number(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<u64, Error> {
    let number = match entry.value.get_ref() {
        DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    };
    number.ok_or_else(|| document.wrong_type(entry, "a number of bytes"))
}

fn parsed<T: FromStr<Err: Display>>(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<T, Error> {
    text(document, entry)?.parse().map_err(|reason| document.refuse(entry, reason))
}

#[cfg(test)]
#[path = "plugin_lock_tests.rs"]
mod tests;
