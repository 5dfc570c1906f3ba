//! `${…}` in the strings of a configuration.
//!
//! | written | stands for |
//! | --- | --- |
//! | `${NAME}` | the environment variable, which must be set |
//! | `${NAME:-default}` | the environment variable; the default, if the variable is not set or empty |
//! | `${file:/path}` | the content of a regular file of at most 64 KiB, without a newline at its end; only in `[backend.config]` |
//! | `$${` | a plain `${` |
//!
//! A default and a path may contain further references, such as `${file:${CREDENTIALS_DIRECTORY}/token}`. A reference in a
//! default that is not needed is not evaluated. At most 16 references may be inside each other. No error shows a value,
//! because it may be a secret.

use std::{
    cell::RefCell,
    ffi::OsString,
    path::{Path, PathBuf},
};

use jackfield_loader::files::{self, Access, Facts, FileError, Owner};
use jackfield_loader::show_path;

use crate::config::values::absolute;

/// The largest file of a value, in bytes.
const LARGEST: u64 = 64 << 10;

/// The most references inside each other. Each one is a call inside a call, and a thread's stack is limited.
const DEEPEST: usize = 16;

/// Returns the value of an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What references stand for.
pub(crate) struct Values<'a> {
    variable: Lookup<'a>,
    /// Where relative paths start.
    folder: PathBuf,
    /// Whether a file is used although others than root and the user can write it.
    trusts_all: bool,
    used: RefCell<Used>,
}

/// The values that were used so far.
#[derive(Default)]
pub(crate) struct Used {
    /// References, such as `NAME` and `file:/path`, and their values.
    pub(crate) values: Vec<(String, String)>,
    pub(crate) files: Vec<PathBuf>,
    /// The keys whose strings have a reference, such as `backend.config.hosts[0].port`.
    pub(crate) keys: Vec<String>,
}

/// Why a string can't be used.
#[derive(Debug)]
pub(crate) enum Fault {
    Text(String),
    /// The file of a value can't be used.
    File {
        file: PathBuf,
        reason: String,
    },
}

/// A string whose references are replaced.
pub(crate) struct Filled {
    pub(crate) text: String,
    /// Whether there was a reference.
    pub(crate) has_reference: bool,
}

impl<'a> Values<'a> {
    pub(crate) fn new(variable: Lookup<'a>, folder: &Path, trusts_all: bool) -> Self {
        Self { variable, folder: folder.to_owned(), trusts_all, used: RefCell::default() }
    }

    /// For a file that may have no references: each one is an error.
    pub(crate) fn none() -> Values<'static> {
        Values::new(&|_| None, Path::new("/"), false)
    }

    /// How many values, files and keys were used so far.
    pub(crate) fn mark(&self) -> [usize; 3] {
        let used = self.used.borrow();
        [used.values.len(), used.files.len(), used.keys.len()]
    }

    /// What was used after `mark`.
    pub(crate) fn used_since(&self, [values, files, keys]: [usize; 3]) -> Used {
        let used = self.used.borrow();
        Used {
            values: used.values[values..].to_vec(),
            files: used.files[files..].to_vec(),
            keys: used.keys[keys..].to_vec(),
        }
    }

    pub(crate) fn note_key(&self, key: &str) {
        self.used.borrow_mut().keys.push(key.to_owned());
    }

    /// `text` with its references replaced. `is_option`: it is an option of a plugin, which may come from a file.
    pub(crate) fn fill_in(&self, text: &str, is_option: bool) -> Result<Filled, Fault> {
        self.refuse_shell(text, is_option)?;
        let mut scan = Scan { values: self, is_option, rest: text, depth: 0, has_reference: false };
        let text = scan.text(false, true)?;
        if text.contains('\0') {
            return Err(Fault::Text(
                "found a NUL character, which no path and no C string can hold".to_owned(),
            ));
        }
        Ok(Filled { text, has_reference: scan.has_reference })
    }

    /// Refuses the beginning of a path that only a shell replaces. `~/` is replaced in paths that are no options.
    fn refuse_shell(&self, text: &str, is_option: bool) -> Result<(), Fault> {
        let Some((first, _)) = text.split_once('/') else { return Ok(()) };
        let name = match first.strip_prefix('$') {
            Some(name) if is_variable(name) && (self.variable)(name).is_some() => name,
            None if is_option && first == "~" => "HOME",
            _ => return Ok(()),
        };
        Err(Fault::Text(format!("found `{first}/`, which only a shell replaces: write `${{{name}}}/`")))
    }

    fn variable(&self, name: &str) -> Result<Option<String>, Fault> {
        let Some(value) = (self.variable)(name) else { return Ok(None) };
        let not_utf8 = |_| Fault::Text(format!("the environment variable {name} is not UTF-8"));
        let value = value.into_string().map_err(not_utf8)?;
        self.used.borrow_mut().values.push((name.to_owned(), value.clone()));
        Ok(Some(value))
    }

    /// The content of the file; `written` is its path as the configuration has it.
    fn file(&self, path: &str, written: &str) -> Result<String, Fault> {
        let file = absolute(path, &self.folder);
        self.used.borrow_mut().files.push(file.clone());
        let text = self.read(&file).map_err(|error| {
            let reason = format!("file {}: can't be used: {error}", show_path(&file));
            Fault::File { file, reason }
        })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
        self.used.borrow_mut().values.push((format!("file:{written}"), line.clone()));
        Ok(line)
    }

    fn read(&self, file: &Path) -> Result<String, FileError> {
        let open = files::open(file, Access::ReadLinked)?;
        if !self.trusts_all {
            files::judge(&Facts::of_file(&open)?, Owner::UserOrRoot, file)
                .map_err(|reason| FileError::Untrusted { what: "it".to_owned(), reason })?;
        }
        files::read_open(&open, LARGEST)
    }
}

/// The rest of a text, from left to right.
struct Scan<'v, 't> {
    values: &'v Values<'v>,
    is_option: bool,
    rest: &'t str,
    /// How many references are around the rest.
    depth: usize,
    has_reference: bool,
}

impl<'t> Scan<'_, 't> {
    /// The text until its end, or behind the `}` that ends the reference around it. Unless it `counts`, nothing is looked up.
    fn text(&mut self, is_nested: bool, counts: bool) -> Result<String, Fault> {
        let mut out = String::new();
        loop {
            let start = self.rest.find("${");
            let end = self.rest.find('}').filter(|end| is_nested && start.is_none_or(|start| *end < start));
            if let Some(end) = end {
                out.push_str(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
                return Ok(out);
            }
            let Some(start) = start else { break };
            out.push_str(&self.rest[..start]);
            let is_escaped = self.rest[..start].ends_with('$');
            self.rest = &self.rest[start + 2..];
            if is_escaped {
                out.push('{');
            } else {
                self.has_reference = true;
                if self.depth == DEEPEST {
                    return Err(too_deep());
                }
                self.depth += 1;
                out.push_str(&self.reference(counts)?);
                self.depth -= 1;
            }
        }
        if is_nested {
            return Err(unclosed());
        }
        out.push_str(self.rest);
        Ok(out)
    }

    /// The value of the reference whose `${` is before the rest.
    fn reference(&mut self, counts: bool) -> Result<String, Fault> {
        if let Some(rest) = self.rest.strip_prefix("file:") {
            self.rest = rest;
            let path = self.text(true, counts)?;
            let written = &rest[..rest.len() - self.rest.len() - 1];
            return match () {
                () if !self.is_option => {
                    Err(Fault::Text("`${file:…}` is possible in `[backend.config]` alone".to_owned()))
                }
                () if written.is_empty() => {
                    Err(Fault::Text("expected a path after `${file:`, found nothing".to_owned()))
                }
                () if counts => self.values.file(&path, written),
                () => Ok(String::new()),
            };
        }
        let length = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or_else(unclosed)?;
        let (name, rest) = self.rest.split_at(length);
        let ends = ["}", ":-"].into_iter().find_map(|end| Some((end, rest.strip_prefix(end)?)));
        let Some((end, rest)) = ends.filter(|_| is_variable(name)) else { return Err(self.unknown()) };
        self.rest = rest;
        let value = if counts { self.values.variable(name)? } else { Some(String::new()) };
        if end == "}" {
            let unset = || Fault::Text(format!("the environment variable {name} is not set"));
            return value.ok_or_else(unset);
        }
        let value = value.filter(|value| !value.is_empty());
        let default = self.text(true, counts && value.is_none())?;
        Ok(value.unwrap_or(default))
    }

    fn unknown(&self) -> Fault {
        // What is behind a colon may be a default, and a secret.
        let Some(end) = self.rest.find(['}', ':']) else { return unclosed() };
        let found = &self.rest[..end];
        Fault::Text(format!(
            "expected a variable's name between `${{` and `}}`, of letters, digits and _ (`${{NAME}}`, \
             `${{NAME:-default}}`), or `${{file:PATH}}`, found {found:?} (`$${{` writes a plain `${{`)"
        ))
    }
}

fn unclosed() -> Fault {
    Fault::Text("expected `}` after `${`, found the end (`$${` writes a plain `${`)".to_owned())
}

fn too_deep() -> Fault {
    Fault::Text(format!(
        "expected at most {DEEPEST} references `${{…}}` inside each other, found more: write fewer defaults in defaults"
    ))
}

pub(crate) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
#[path = "interpolation_tests.rs"]
mod tests;
