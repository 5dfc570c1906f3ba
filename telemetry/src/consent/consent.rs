//! Whether anything may be collected, and who decided that.
//!
//! Events are collected when both the author and the user consent. The author decides in code. This module decides for the
//! user; the first line that applies counts:
//!
//! | decided by | the answer |
//! | --- | --- |
//! | [`ConsentOptions::force_enabled`] | on; nothing below is asked |
//! | `DO_NOT_TRACK`, `{PREFIX}_DO_NOT_TRACK` | off, by any value but an empty one, `0` and `false` |
//! | `{PREFIX}_TELEMETRY_ENABLED`, `TELEMETRY_ENABLED` | off, by any value but an empty one, `1`, `true`, `yes` and `on` |
//! | the user's file can't be read, can't be parsed, or may be written by another user | off |
//! | `telemetry.enabled = false` in the user's file | off |
//! | `{PREFIX}_TELEMETRY_ENABLED` | on, for this run |
//! | `TELEMETRY_ENABLED` | on, only with [`ConsentOptions::unprefixed_opt_in`] |
//! | `telemetry.enabled = true` in the user's file | on |
//! | nobody | off |
//!
//! Only [`ConsentOptions::force_enabled`] stands above an opt-out. A variable without a prefix, which every tool on the machine reads, can
//! turn all tools off, and turn none on. `{PREFIX}_TELEMETRY_LOCAL` and `TELEMETRY_LOCAL` (any value but an empty one,
//! `0`, `false`, `no` and `off`) turn *on* into *local only*; they give no consent.
//!
//! # The file
//! TOML, at most 1 MiB; only `telemetry.enabled` is read. The file's consent counts when the file belongs to the user or
//! root, and no other user can write it. A write replaces the file atomically, so that a reader sees the old text or the
//! new one, and holds a lock, so that two processes keep each other's keys. A symbolic link to an existing file is
//! followed; link, mode, owner, comments and other keys stay. A new file has mode 0600, and its folders 0700.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use jackfield_loader::{ForeignText, show_path};

use crate::config::interpolation::Values;
use crate::config::paths::Environment;
use crate::config::syntax::DeValue;
use crate::config::toml::{Document, Mistakes};
use crate::error::{Error, Place};

/// What the tool's author decides about consent.
#[derive(Debug, Clone, Default)]
pub struct ConsentOptions {
    /// The prefix of the tool's environment variables, without the `_`: `MYTOOL` for `MYTOOL_TELEMETRY_ENABLED`.
    pub prefix: Option<String>,
    /// The user's configuration file of the tool; `None` when there is no folder for it.
    pub file: Option<PathBuf>,
    /// Whether an organisation has decided for its people: nobody is asked, and no opt-out counts.
    pub force_enabled: bool,
    /// Whether `TELEMETRY_ENABLED=true` without a prefix consents for this tool.
    pub unprefixed_opt_in: bool,
}

/// What may be done with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// Nothing: no event is made, stored or sent.
    Off,
    /// Events may be stored on this machine, and may not leave it.
    LocalOnly,
    /// Events may be stored and sent.
    On,
}

/// An environment variable, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; bytes that are not UTF-8 are replaced.
    pub value: ForeignText,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, ForeignText::cut(self.value.as_raw(), 40))
    }
}

/// The reason of the answer. Its text completes "… because".
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsentReason {
    /// The tool's author, for an organisation.
    Forced,
    /// A variable.
    Variable(Variable),
    /// A line of the user's file.
    File {
        /// The file and the line.
        at: Place,
        /// What it says.
        enabled: bool,
    },
    /// The user's file, which can't be trusted or parsed.
    BadFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: ForeignText,
    },
    /// Nobody: the user has not been asked, or has not answered.
    NoAnswer,
}

impl fmt::Display for ConsentReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("enforced by your organisation through the tool"),
            Self::Variable(variable) => write!(f, "{variable}"),
            Self::File { at, enabled } => write!(f, "telemetry.enabled = {enabled} at {at}"),
            Self::BadFile { file, reason } => {
                write!(f, "no consent can be read from {}: {reason}", show_path(file))
            }
            Self::NoAnswer => f.write_str("nobody has consented yet"),
        }
    }
}

/// What may be done with events, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consent {
    /// What may be done.
    pub collection: Collection,
    /// The reason for off or on.
    pub why: ConsentReason,
    /// The variable that keeps events on this machine, if it is set.
    pub local: Option<Variable>,
    /// A variable that would consent if it had the tool's prefix.
    pub ignored: Option<Variable>,
}

impl Consent {
    /// Whether anything may be collected.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.collection != Collection::Off
    }
}

/// What the user's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileAnswer {
    /// The file is missing, or has no answer.
    Silent,
    Says {
        at: Place,
        enabled: bool,
    },
    Bad {
        file: PathBuf,
        reason: String,
    },
}

/// The names of the variables; those with the tool's prefix come first.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) do_not_track: Vec<String>,
    pub(super) enabled: Vec<String>,
    pub(super) local: Vec<String>,
}

impl Names {
    pub(super) fn new(prefix: Option<&str>) -> Self {
        let both = |name: &str| {
            let own = prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| format!("{prefix}_{name}"));
            own.into_iter().chain([name.to_owned()]).collect()
        };
        Self {
            do_not_track: both("DO_NOT_TRACK"),
            enabled: both("TELEMETRY_ENABLED"),
            local: both("TELEMETRY_LOCAL"),
        }
    }
}

/// A variable with a value that is not empty.
pub(super) fn variable(environment: &dyn Environment, name: &str) -> Option<Variable> {
    let value: OsString = environment.var(name)?;
    let value = value.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then(|| Variable { name: name.to_owned(), value: value.into() })
}

pub(super) fn is_one_of(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

pub(super) fn decide(
    options: &ConsentOptions,
    names: &Names,
    environment: &dyn Environment,
    file: impl FnOnce() -> FileAnswer,
) -> Consent {
    let answer = |collection, why| Consent { collection, why, local: None, ignored: None };
    if options.force_enabled {
        return answer(Collection::On, ConsentReason::Forced);
    }
    let set = |names: &[String], counts: &dyn Fn(&str) -> bool| {
        let mut set = names.iter().filter_map(|name| variable(environment, name));
        set.find(|variable| counts(variable.value.as_raw()))
    };
    let says_yes = |value: &str| is_one_of(value, &["1", "true", "yes", "on"]);
    let local = set(&names.local, &|value| !is_one_of(value, &["0", "false", "no", "off"]));
    let opt_out = set(&names.do_not_track, &|value| !is_one_of(value, &["0", "false"]))
        .or_else(|| set(&names.enabled, &|value| !says_yes(value)));
    if let Some(variable) = opt_out {
        return Consent { local, ..answer(Collection::Off, ConsentReason::Variable(variable)) };
    }
    let opt_in = set(&names.enabled, &says_yes);
    // The last name is the one without a prefix.
    let unprefixed = opt_in.as_ref().is_some_and(|variable| Some(&variable.name) == names.enabled.last());
    let (opt_in, ignored) =
        if unprefixed && !options.unprefixed_opt_in { (None, opt_in) } else { (opt_in, None) };
    let (enabled, why) = match (file(), opt_in) {
        (FileAnswer::Bad { file, reason }, _) => {
            (false, ConsentReason::BadFile { file, reason: reason.into() })
        }
        (FileAnswer::Says { at, enabled: false }, _) => (false, ConsentReason::File { at, enabled: false }),
        (_, Some(variable)) => (true, ConsentReason::Variable(variable)),
        (FileAnswer::Says { at, enabled }, None) => (enabled, ConsentReason::File { at, enabled }),
        (FileAnswer::Silent, None) => (false, ConsentReason::NoAnswer),
    };
    let collection = match (enabled, &local) {
        (false, _) => Collection::Off,
        (true, Some(_)) => Collection::LocalOnly,
        (true, None) => Collection::On,
    };
    Consent { collection, why, local, ignored }
}

/// The answer in `text`, the content of `file`.
pub(super) fn parse(text: &str, file: &Path) -> FileAnswer {
    let (values, mistakes) = (Values::none(), Mistakes::default());
    let document = Document { file, text, values: &values, mistakes: &mistakes };
    let bad = |reason: String| FileAnswer::Bad { file: file.to_owned(), reason };
    // `Bad` names the file already.
    let table = match mistakes.first_or(document.parse()) {
        Ok(table) => table,
        Err(Error::Config { at, reason }) => return bad(format!("line {}: {reason}", at.line)),
        Err(error) => return bad(error.to_string()),
    };
    let Some(table) = table else { return FileAnswer::Silent };
    let Some(telemetry) = table.get_ref().get("telemetry") else { return FileAnswer::Silent };
    let line = |at| document.place(&at).line;
    let DeValue::Table(entries) = telemetry.get_ref() else {
        return bad(format!("line {}: `telemetry`: expected a table", line(telemetry.span())));
    };
    let Some(enabled) = entries.get("enabled") else { return FileAnswer::Silent };
    match enabled.get_ref() {
        DeValue::Boolean(value) => FileAnswer::Says { at: document.place(&enabled.span()), enabled: *value },
        _ => bad(format!("line {}: `telemetry.enabled`: expected true or false", line(enabled.span()))),
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
