//! Writing the answer into the user's file; all else in the file stays.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use jackfield_loader::files::{self, Access, FileError, Mode, ReplaceLock, Replacement, Survives};

use crate::config::interpolation::Values;
use crate::config::syntax::DeValue;
use crate::config::toml::{Document, Mistakes};
use crate::consent::consent::{FileAnswer, parse};
use crate::error::Error;
use crate::files::Stamp;

/// Longest file that is read, in bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// The number of times that another program may change the file between the read and the write.
const TRIES: usize = 8;

/// Sets `telemetry.enabled` in `file`; with `first`, only when the file has no answer.
pub(super) fn set(file: &Path, enabled: bool, first: bool) -> Result<(), Error> {
    let failed = |error| Error::Write { what: "consent", file: file.to_owned(), error };
    let target = target(file).map_err(|error| failed(error.into()))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::create_folder(folder).map_err(failed)?;
    let _lock = ReplaceLock::of(&target).map_err(failed)?;
    for _ in 0..TRIES {
        let (text, old) = match read(&target).map_err(io::Error::from) {
            Ok((text, metadata)) => (text, Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => return Err(Error::ReadConsent { file: file.to_owned(), error }),
        };
        let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if first && parse(bare, file) != FileAnswer::Silent {
            return Ok(());
        }
        let edited = edit(&text, enabled, file).map_err(|error| match error {
            Error::Config { at, reason } => Error::Consent { at, reason },
            error => error,
        })?;
        if edited == text {
            return Ok(());
        }
        let mode = old.as_ref().map_or(Mode::Private, Mode::Like);
        let replacement = Replacement::prepare(&target, edited.as_bytes(), mode, Survives::PowerFailure);
        let replacement = replacement.map_err(failed)?;
        // An editor does not respect the lock.
        let now = fs::metadata(&target).ok();
        if now.as_ref().map(Stamp::of) == old.as_ref().map(Stamp::of) {
            return replacement.publish().map_err(failed);
        }
    }
    Err(failed(io::Error::new(io::ErrorKind::ResourceBusy, "another program keeps changing it: try again")))
}

fn read(target: &Path) -> Result<(String, fs::Metadata), FileError> {
    let open = files::open(target, Access::Read)?;
    let metadata = open.metadata()?;
    Ok((files::read_open(&open, LARGEST)?, metadata))
}

/// The file behind the links that `file` may be. One that leads nowhere may come back, and is not made up for.
fn target(file: &Path) -> Result<PathBuf, FileError> {
    let target = files::behind_links(file)?;
    if target != file && !target.exists() {
        return Err(FileError::DanglingLink { target });
    }
    Ok(target)
}

/// `text` with the answer; all else stays byte for byte, line ends included.
fn edit(text: &str, enabled: bool, file: &Path) -> Result<String, Error> {
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text),
    };
    let (values, mistakes) = (Values::none(), Mistakes::default());
    let document = Document { file, text, values: &values, mistakes: &mistakes };
    let Some(table) = document.parse() else { return mistakes.first_or(String::new()) };
    let Some(telemetry) = table.get_ref().get("telemetry") else {
        return Ok(mark.to_owned() + &appended(text, enabled));
    };
    let at = telemetry.span();
    let DeValue::Table(entries) = telemetry.get_ref() else {
        return Err(document.error(at, "`telemetry`: expected a table, so that `enabled` can be set in it"));
    };
    if let Some(value) = entries.get("enabled") {
        return match value.get_ref() {
            DeValue::Boolean(same) if *same == enabled => Ok(mark.to_owned() + text),
            DeValue::Table(_) | DeValue::Array(_) => {
                Err(document.error(value.span(), "`telemetry.enabled`: expected true or false"))
            }
            _ => Ok(mark.to_owned() + &replaced(text, value.span(), &enabled.to_string())),
        };
    }
    // The possible forms of a table without the key. The right one is found by parsing the result.
    let end = line_end(text);
    let start = at.start.min(text.len());
    let header = text[start..].find('\n').map_or(text.len(), |found| start + found + 1);
    let new_line = if text[..header].ends_with('\n') { "" } else { end };
    let inline = if entries.is_empty() { "" } else { "," };
    let forms = [
        replaced(text, header..header, &format!("{new_line}enabled = {enabled}{end}")),
        replaced(text, start + 1..start + 1, &format!(" enabled = {enabled}{inline}")),
        appended(text, enabled),
        replaced(text, 0..0, &format!("telemetry.enabled = {enabled}{end}")),
    ];
    let fits = |form: &String| matches!(parse(form, file), FileAnswer::Says { enabled: said, .. } if said == enabled);
    match forms.into_iter().find(fits) {
        Some(form) => Ok(mark.to_owned() + &form),
        None => {
            Err(document
                .error(at, "`telemetry`: `enabled` can't be set in a table of this form: set it by hand"))
        }
    }
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn replaced(text: &str, at: Range<usize>, with: &str) -> String {
    match (text.get(..at.start), text.get(at.end..)) {
        (Some(before), Some(behind)) => format!("{before}{with}{behind}"),
        _ => text.to_owned(),
    }
}

fn appended(text: &str, enabled: bool) -> String {
    let end = line_end(text);
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => end,
        _ => &end.repeat(2),
    };
    format!("{text}{gap}[telemetry]{end}enabled = {enabled}{end}")
}
