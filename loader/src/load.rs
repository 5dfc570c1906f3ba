//! Hands the verified bytes to the dynamic linker, and explains what it says.

#[cfg(unix)]
pub(crate) use libloading::os::unix::Library;
#[cfg(windows)]
pub(crate) use libloading::os::windows::Library;

use crate::{os::Content, text};

/// Longest message of the dynamic linker that is passed on, in characters.
const MESSAGE_LIMIT: usize = 600;

/// Why the dynamic linker did not load a library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A library that the plugin needs, itself or through another one, is not to be found.
    #[error("needs {library}{}, which the dynamic linker does not find: install it; folders next to the plugin are not searched", if *.direct { "" } else { " (through another library)" })]
    MissingLibrary {
        /// Its name.
        library: String,
        /// Whether the plugin itself names it.
        direct: bool,
    },
    /// The plugin was linked against a newer C library.
    #[error(
        "needs {version} of the C library, which is newer than this system's: get a build for an older system ({message})"
    )]
    LibcTooOld {
        /// The symbol version, such as `GLIBC_2.39`.
        version: String,
        /// What the dynamic linker says.
        message: String,
    },
    /// The room that the process reserves for thread-local variables is used up.
    #[error(
        "no room left for thread-local variables: start the tool with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096, or build the plugin without the initial-exec TLS model ({message})"
    )]
    StaticTls {
        /// What the dynamic linker says.
        message: String,
    },
    /// The plugin uses a symbol that no library defines.
    #[error(
        "uses a symbol that no library defines: its vendor must link it against the library that has it ({message})"
    )]
    UndefinedSymbol {
        /// What the dynamic linker says.
        message: String,
    },
    /// Another refusal of the dynamic linker.
    #[error("the dynamic linker refuses it: {message}")]
    Linker {
        /// What it says.
        message: String,
    },
    /// The process that the plugin was to run in did not load it.
    #[error("{message}")]
    InProcess {
        /// Why, as it would be in this process.
        message: String,
    },
    /// The process has loaded as many libraries as it may.
    #[error(
        "{limit} libraries are loaded already, and none is ever unloaded: restart the tool, or use isolation = \"process\""
    )]
    TooManyImages {
        /// The limit.
        limit: usize,
    },
}

/// Loads `content`, which needs the libraries `needed`.
pub(crate) fn open(content: &Content, needed: &[String]) -> Result<Library, LoadError> {
    content.load().map_err(|message| explain(&message, needed))
}

/// The messages are those of glibc, musl and macOS; any other is passed on as it is.
fn explain(message: &str, needed: &[String]) -> LoadError {
    let missing = message
        .split_once(": cannot open shared object file")
        .map(|(before, _)| before)
        .or_else(|| between(message, "Error loading shared library ", ": "))
        .or_else(|| between(message, "Library not loaded: ", "\n"));
    let message = text::one_line(message, MESSAGE_LIMIT);
    if let Some(library) = missing {
        let library = text::one_line(library, 200);
        let direct = needed.contains(&library);
        return LoadError::MissingLibrary { library, direct };
    }
    if let Some(version) = between(&message, "version `", "' not found")
        && version.starts_with("GLIBC_")
    {
        return LoadError::LibcTooOld { version: version.to_owned(), message };
    }
    if message.contains("static TLS block") {
        return LoadError::StaticTls { message };
    }
    if message.contains("undefined symbol") || message.contains("symbol not found") {
        return LoadError::UndefinedSymbol { message };
    }
    LoadError::Linker { message }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> String {
        explain(message, &["libnope.so.1".to_owned()]).to_string()
    }

    #[test]
    fn a_missing_library_is_named_by_glibc_musl_and_macos() {
        let direct = LoadError::MissingLibrary { library: "libnope.so.1".into(), direct: true };
        for message in [
            "libnope.so.1: cannot open shared object file: No such file or directory",
            "Error loading shared library libnope.so.1: No such file or directory (needed by /x/libp.so)",
            "dlopen(/x/libp.dylib, 6): Library not loaded: libnope.so.1\n  Referenced from: /x/libp.dylib",
        ] {
            assert_eq!(explain(message, &["libnope.so.1".to_owned()]), direct);
        }
        assert!(
            line("libother.so: cannot open shared object file: x")
                .contains("libother.so (through another library)")
        );
    }

    #[test]
    fn known_refusals_say_what_to_do() {
        let glibc = line("/lib/libc.so.6: version `GLIBC_2.39' not found (required by /x/libp.so)");
        assert!(glibc.starts_with("needs GLIBC_2.39 of the C library"), "{glibc}");
        let tls = line("/x/libp.so: cannot allocate memory in static TLS block");
        assert!(tls.contains("GLIBC_TUNABLES"), "{tls}");
        let symbol = line("/x/libp.so: undefined symbol: frobnicate");
        assert!(symbol.contains("undefined symbol: frobnicate"), "{symbol}");
        let other = line("version `FOO_1' not found\nmore");
        assert_eq!(other, "the dynamic linker refuses it: version `FOO_1' not found\\nmore");
    }
}
