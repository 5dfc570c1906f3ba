//! The tables `backend.limits` and `backend.sandbox`.

use std::{path::Path, time::Duration};

use jackfield_loader::{Limits, Sandbox};

use crate::config::interpolation::is_variable;
use crate::config::syntax::DeValue;
use crate::config::toml::{Document, Entry};
use crate::config::values::{absolute, parse_size};
use crate::error::Error;

/// The unit of the limit of processor time.
const LEAST_CPU: Duration = Duration::from_secs(1);

pub(super) fn limits(document: Document<'_>, entry: &Entry<'_, '_>) -> Limits {
    let mut limits = Limits::default();
    for entry in document.table(entry, &["memory", "cpu", "files", "core_dumps"]) {
        document.noted(limit(document, &entry, &mut limits));
    }
    limits
}

fn limit(document: Document<'_>, entry: &Entry<'_, '_>, limits: &mut Limits) -> Result<(), Error> {
    match entry.key {
        "memory" => {
            let text =
                integer(entry).map_or_else(|| document.string_of(entry, "a size such as \"512MiB\""), Ok)?;
            limits.memory = Some(parse_size(&text).map_err(|error| document.refuse(entry, error))?);
        }
        "cpu" => {
            let time = document.duration(entry)?;
            if time < LEAST_CPU {
                let reason = "expected at least `1s`, the least that a system limits";
                return Err(document.refuse(entry, reason));
            }
            limits.cpu = Some(time);
        }
        "files" => {
            let number = integer(entry).and_then(|number| number.parse().ok());
            let number = number.filter(|number| *number > 0);
            limits.files = Some(number.ok_or_else(|| document.wrong_type(entry, "a whole number above 0"))?);
        }
        _ => {
            let DeValue::Boolean(wanted) = entry.value.get_ref() else {
                return Err(document.wrong_type(entry, "true or false"));
            };
            limits.core_dumps = *wanted;
        }
    }
    Ok(())
}

/// A whole number in decimal digits.
fn integer(entry: &Entry<'_, '_>) -> Option<String> {
    let DeValue::Integer(integer) = entry.value.get_ref() else { return None };
    Some(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?.to_string())
}

pub(super) fn sandbox(document: Document<'_>, entry: &Entry<'_, '_>, folder: &Path) -> Sandbox {
    let mut sandbox = Sandbox::default();
    for entry in document.table(entry, &["read", "write", "env", "network"]) {
        let paths = || -> Result<_, Error> {
            Ok(document.strings(&entry)?.iter().map(|path| absolute(path, folder)).collect())
        };
        let mut read = || {
            match entry.key {
                "read" => sandbox.read = paths()?,
                "write" => sandbox.write = paths()?,
                "env" => sandbox.env = names(document, &entry)?,
                _ => sandbox.network = network(document, &entry)?,
            }
            Ok(())
        };
        document.noted(read());
    }
    sandbox
}

fn network(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<Option<Vec<u16>>, Error> {
    let DeValue::Array(items) = entry.value.get_ref() else {
        if !matches!(entry.value.get_ref(), DeValue::String(_)) {
            return Err(document.wrong_type(entry, "\"any\", \"none\" or a list of ports"));
        }
        let none = document.choice(entry, &[("any", false), ("none", true)])?;
        return Ok(none.then(Vec::new));
    };
    let port = |(at, value)| {
        let path = format!("{}[{at}]", entry.path);
        let item = Entry { path, key: entry.key, key_at: entry.key_at.clone(), value };
        let port = integer(&item).and_then(|number| number.parse().ok()).filter(|port| *port > 0);
        port.ok_or_else(|| document.wrong_type(&item, "a port of TCP, from 1 to 65535"))
    };
    items.iter().enumerate().map(port).collect::<Result<_, _>>().map(Some)
}

/// Names of variables of the environment. What is wrong is not shown: it may be a variable's value.
fn names(document: Document<'_>, entry: &Entry<'_, '_>) -> Result<Vec<String>, Error> {
    let names = document.strings(entry)?;
    if let Some(wrong) = names.iter().position(|name| !is_variable(name)) {
        let reason = "expected the name of a variable: letters, digits and _";
        return Err(document.error(entry.value.span(), format!("`{}[{wrong}]`: {reason}", entry.path)));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::interpolation::Values;
    use crate::config::toml::Mistakes;

    /// What `parse` makes of the table `backend.KEY` in `text`, which begins on line 1 with its content.
    fn read<T>(text: &str, parse: impl Fn(Document<'_>, &Entry<'_, '_>) -> T) -> Result<T, String> {
        let (file, mistakes) = (Path::new("/etc/jf/c.toml"), Mistakes::default());
        let values = Values::new(&|_| Some("/var/x".into()), Path::new("/etc/jf"), false);
        let document = Document { file, text, values: &values, mistakes: &mistakes };
        let table = document.parse().expect("TOML");
        let value = table.get_ref().get("key").expect("the key");
        let entry = Entry { path: "backend.key".to_owned(), key: "key", key_at: value.span(), value };
        let read = parse(document, &entry);
        mistakes.first_or(read).map_err(|error| error.to_string())
    }

    fn read_limits(text: &str) -> Result<Limits, String> {
        read(text, limits)
    }

    fn read_sandbox(text: &str) -> Result<Sandbox, String> {
        read(text, |document, entry| sandbox(document, entry, Path::new("/etc/jf")))
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let all = "[key]\nmemory = '512MiB'\ncpu = '60s'\nfiles = 0x100\ncore_dumps = true";
        let limits = read_limits(all).expect("limits");
        assert_eq!(
            (limits.memory, limits.cpu, limits.files, limits.core_dumps),
            (Some(512 << 20), Some(Duration::from_secs(60)), Some(256), true)
        );
        assert_eq!(read_limits("[key]\nmemory = 1048576").expect("limits").memory, Some(1 << 20));
        assert_eq!(read_limits("[key]").expect("limits"), Limits::default());
    }

    #[test]
    fn sandbox_paths_start_at_the_files_folder() {
        let sandbox =
            read_sandbox("[key]\nread = ['/etc/ssl', 'ca.pem']\nwrite = ['${LOGS}/tool']").expect("one");
        assert_eq!(sandbox.read, [Path::new("/etc/ssl"), Path::new("/etc/jf/ca.pem")]);
        assert_eq!(sandbox.write, [Path::new("/var/x/tool")]);
        assert_eq!(read_sandbox("key = {}").expect("one"), Sandbox::default());
    }

    #[test]
    fn the_network_is_a_word_or_a_list_of_ports() {
        for (text, expected) in [
            ("[key]", None),
            ("key.network = 'any'", None),
            ("key.network = 'none'", Some(vec![])),
            ("key.network = [443, 4318]", Some(vec![443, 4318])),
        ] {
            assert_eq!(read_sandbox(text).expect(text).network, expected, "{text}");
        }
    }

    #[test]
    fn sandbox_variables_are_names() {
        let sandbox = read_sandbox("[key]\nenv = ['VENDOR_REGION', '_2']").expect("one");
        assert_eq!(sandbox.env, ["VENDOR_REGION", "_2"]);
    }

    #[test]
    fn every_mistake_names_its_line_and_key() {
        for (line, expected) in [
            ("memry = 1", "2: `backend.key.memry`: unknown key, did you mean `memory`?"),
            ("memory = '512mb'", "2: `backend.key.memory`: expected a size such as"),
            ("memory = -1", "2: `backend.key.memory`: expected a size such as"),
            ("memory = true", "2: `backend.key.memory`: expected a size such as \"512MiB\", found true"),
            (
                "cpu = 60",
                "2: `backend.key.cpu`: expected a duration with its unit, in quotes, such as \"5s\", found integer 60",
            ),
            ("cpu = '60'", "2: `backend.key.cpu`: expected a duration"),
            ("cpu = '10ms'", "2: `backend.key.cpu`: expected at least `1s`"),
            ("files = '256'", "2: `backend.key.files`: expected a whole number above 0, found a string"),
            ("files = 0", "2: `backend.key.files`: expected a whole number above 0, found integer 0"),
            ("core_dumps = 1", "2: `backend.key.core_dumps`: expected true or false, found integer 1"),
        ] {
            let error = read_limits(&format!("[key]\n{line}")).expect_err(line);
            assert!(error.contains(&format!("c.toml:{expected}")), "{line}: {error}");
        }
        for (line, expected) in [
            ("reads = []", "2: `backend.key.reads`: unknown key, did you mean `read`?"),
            ("read = '/etc'", "2: `backend.key.read`: expected a list of strings, found a string"),
            ("write = [1]", "2: `backend.key.write[0]`: expected a string, found integer 1"),
            (
                "network = 'non'",
                "2: `backend.key.network`: expected \"any\" or \"none\", found \"non\", did you mean",
            ),
            (
                "network = 443",
                "2: `backend.key.network`: expected \"any\", \"none\" or a list of ports, found integer 443",
            ),
            (
                "network = [443, 0]",
                "2: `backend.key.network[1]`: expected a port of TCP, from 1 to 65535, found integer 0",
            ),
            (
                "network = ['443']",
                "2: `backend.key.network[0]`: expected a port of TCP, from 1 to 65535, found a string",
            ),
            ("network = [65536]", "2: `backend.key.network[0]`: expected a port of TCP"),
            ("env = 'HOME'", "2: `backend.key.env`: expected a list of strings, found a string"),
            (
                "env = ['A', 'B=1']",
                "2: `backend.key.env[1]`: expected the name of a variable: letters, digits and _",
            ),
            ("env = ['']", "2: `backend.key.env[0]`: expected the name of a variable"),
            (
                "env = ['${SECRET}']",
                "2: `backend.key.env[0]`: expected the name of a variable: letters, digits and _",
            ),
        ] {
            let error = read_sandbox(&format!("[key]\n{line}")).expect_err(line);
            assert!(error.contains(&format!("c.toml:{expected}")), "{line}: {error}");
        }
        assert!(read_limits("key = 1").expect_err("no table").contains("`backend.key`: expected a table"));
    }
}
