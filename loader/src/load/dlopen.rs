//! Hands the verified bytes to the dynamic linker, and explains its errors.

use std::{ffi::c_void, path::PathBuf, time::Duration};

use jackfield_plugin_api::abi::Descriptor;

use crate::boundary::text::{self, ForeignText};
use crate::inspect::facts::SYMBOL;
use crate::library::content::{Content, Library};
use crate::library::error::LinkerError;

/// Longest message of the dynamic linker, in characters.
const MESSAGE_LIMIT: usize = 600;

/// Why the dynamic linker did not load a library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A library that the plugin needs, itself or through another one, is missing.
    #[error("needs {library}{}, which the dynamic linker does not find: install it; folders next to the plugin are not searched", if *.direct { "" } else { " (through another library)" })]
    MissingLibrary {
        /// Its name.
        library: ForeignText,
        /// Whether the plugin itself names it.
        direct: bool,
    },
    /// The plugin was linked against a newer C library.
    #[error(
        "needs {version} of the C library, which is newer than this system's: get a build for an older system ({message})"
    )]
    LibcTooOld {
        /// The symbol version, such as `GLIBC_2.39`.
        version: ForeignText,
        /// The message of the dynamic linker.
        message: ForeignText,
    },
    /// The space for thread-local variables is used up.
    #[error(
        "no room left for thread-local variables: start the tool with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096, or build the plugin without the initial-exec TLS model ({message})"
    )]
    StaticTls {
        /// The message of the dynamic linker.
        message: ForeignText,
    },
    /// The plugin uses a symbol that no library defines.
    #[error(
        "uses a symbol that no library defines: its vendor must link it against the library that has it ({message})"
    )]
    UndefinedSymbol {
        /// The message of the dynamic linker.
        message: ForeignText,
    },
    /// The program is linked statically with musl, which then loads nothing.
    #[error(
        "this program is linked statically and can load no library: build it with -C target-feature=-crt-static, or link the plugin into it"
    )]
    StaticProgram,
    /// Another error of the dynamic linker.
    #[error("the dynamic linker refuses it: {message}")]
    Linker {
        /// The message of the dynamic linker.
        message: ForeignText,
    },
    /// The plugin's child process did not load it.
    #[error("{message}")]
    InProcess {
        /// The same line as in this process.
        message: ForeignText,
    },
    /// Its static constructors did not return in time. They continue, and hold the dynamic loader's lock: no
    /// other library can be loaded, and the normal end of the process waits for them.
    /// [`exit`](crate::boundary::process::exit) does not.
    ///
    /// # Platform
    /// With glibc, new threads of Rust wait for this lock too: see
    /// [`hanging_load`](crate::load::loaded_libraries::hanging_load).
    #[error(
        "its static constructors have not returned within {after:.1?} and hold the dynamic loader's lock; isolation = \"process\" keeps it out of this process"
    )]
    Hangs {
        /// The time that they have taken.
        after: Duration,
    },
    /// The static constructors of another library have not returned.
    #[error(
        "`{}` has been loading for {:.1} s and holds the dynamic loader's lock; isolation = \"process\" keeps it out of this process", text::show(by), since.as_secs_f64()
    )]
    Blocked {
        /// The file of that library.
        by: PathBuf,
        /// The time since the load began.
        since: Duration,
    },
    /// The operating system gave no thread to load it on.
    #[error("no thread to load it on: {message}")]
    NoThread {
        /// The error of the system.
        message: ForeignText,
    },
    /// The process has loaded the maximum number of libraries.
    #[error(
        "{limit} libraries are loaded already, and none is ever unloaded: restart the tool, or use isolation = \"process\""
    )]
    TooManyImages {
        /// The limit.
        limit: usize,
    },
}

/// A loaded library, which stays loaded until the process ends, or a plugin that is built in.
pub(crate) struct Opened {
    /// Never dropped, because that would unload the library. `None` for what is built in.
    _library: Option<Library>,
    /// The address of the descriptor, if the symbol exists. It is looked up at once: later, another library's
    /// constructors may hold the dynamic loader's lock.
    pub(crate) descriptor: Option<*const c_void>,
}

// SAFETY: the library is never unloaded, nor is this program, so that the address is valid for every thread.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

pub(crate) fn open(content: &Content, needed: &[ForeignText]) -> Result<Opened, LoadError> {
    let library = content.load().map_err(|LinkerError(message)| {
        #[cfg(windows)]
        if let Some(error) = windows::explain(&message, needed) {
            return error;
        }
        explain(&message, needed)
    })?;
    // SAFETY: the symbol is only used as an address.
    let symbol = unsafe { library.get::<*const c_void>(SYMBOL.as_bytes()) };
    let descriptor = symbol.ok().map(|symbol| symbol.as_raw_ptr().cast_const());
    Ok(Opened { _library: Some(library), descriptor })
}

impl Opened {
    /// A plugin of this program, with this descriptor.
    pub(crate) fn built_in(descriptor: *const Descriptor) -> Self {
        Self { _library: None, descriptor: Some(descriptor.cast()) }
    }
}

/// Recognizes messages of glibc, musl and macOS.
fn explain(message: &str, needed: &[ForeignText]) -> LoadError {
    let missing = message
        .split_once(": cannot open shared object file")
        .map(|(before, _)| before)
        .or_else(|| between(message, "Error loading shared library ", ": "))
        .or_else(|| between(message, "Library not loaded: ", "\n"));
    if let Some(library) = missing {
        let library = ForeignText::cut(library, 200);
        let direct = needed.contains(&library);
        return LoadError::MissingLibrary { library, direct };
    }
    let (says, message) = (|words| message.contains(words), ForeignText::cut(message, MESSAGE_LIMIT));
    if let Some(version) = between(message.as_raw(), "version `", "' not found")
        && version.starts_with("GLIBC_")
    {
        return LoadError::LibcTooOld { version: version.into(), message };
    }
    if says("static TLS block") {
        return LoadError::StaticTls { message };
    }
    if says("undefined symbol") || says("symbol not found") {
        return LoadError::UndefinedSymbol { message };
    }
    if says("Dynamic loading not supported") {
        return LoadError::StaticProgram;
    }
    LoadError::Linker { message }
}

/// The loader of Windows says that something is missing, and not what.
#[cfg(windows)]
mod windows {
    use std::ptr;

    use windows_sys::Win32::Foundation::FreeLibrary;
    use windows_sys::Win32::System::LibraryLoader::{
        GetModuleHandleW, LOAD_LIBRARY_AS_DATAFILE, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS, LoadLibraryExW,
    };

    use super::LoadError;
    use crate::boundary::text::ForeignText;

    /// `ERROR_MOD_NOT_FOUND` and `ERROR_PROC_NOT_FOUND`, as the standard library ends a message of any language.
    const NO_MODULE: &str = "(os error 126)";
    const NO_PROCEDURE: &str = "(os error 127)";

    pub(super) fn explain(message: &str, needed: &[ForeignText]) -> Option<LoadError> {
        if message.contains(NO_PROCEDURE) {
            return Some(LoadError::UndefinedSymbol {
                message: ForeignText::cut(message, super::MESSAGE_LIMIT),
            });
        }
        let missing = || needed.iter().find(|library| !is_there(library.as_raw()));
        let library = message.contains(NO_MODULE).then(missing).flatten()?.clone();
        Some(LoadError::MissingLibrary { library, direct: true })
    }

    /// Whether the loader finds a library. Nothing of it runs.
    fn is_there(library: &str) -> bool {
        // Names for sets of functions, which the system resolves to libraries.
        let is_set =
            |prefix: &str| library.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
        if is_set("api-ms-") || is_set("ext-ms-") {
            return true;
        }
        let name: Vec<u16> = library.encode_utf16().chain([0]).collect();
        let flags = LOAD_LIBRARY_AS_DATAFILE | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS;
        // SAFETY: the name ends with 0; a handle is freed once, and one of `GetModuleHandleW` is not owned.
        unsafe {
            if !GetModuleHandleW(name.as_ptr()).is_null() {
                return true;
            }
            let found = LoadLibraryExW(name.as_ptr(), ptr::null_mut(), flags);
            !found.is_null() && FreeLibrary(found) != 0
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_missing_library_is_found_among_those_that_the_plugin_needs() {
            let needed = |last: &str| {
                ["KERNEL32.dll", "api-ms-win-core-synch-l1-2-0.dll", "WS2_32.dll", last].map(Into::into)
            };
            let missing = "Module not found. (os error 126)";
            let absent = LoadError::MissingLibrary { library: "absent.dll".into(), direct: true };
            assert_eq!(explain(missing, &needed("absent.dll")), Some(absent));
            assert_eq!(explain(missing, &needed("ntdll.dll")), None);
            assert_eq!(explain("Bad image. (os error 193)", &needed("absent.dll")), None);
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> String {
        explain(message, &["libnope.so.1".into()]).to_string()
    }

    #[test]
    fn a_missing_library_is_named_by_glibc_musl_and_macos() {
        let direct = LoadError::MissingLibrary { library: "libnope.so.1".into(), direct: true };
        for message in [
            "libnope.so.1: cannot open shared object file: No such file or directory",
            "Error loading shared library libnope.so.1: No such file or directory (needed by /x/libp.so)",
            "dlopen(/x/libp.dylib, 6): Library not loaded: libnope.so.1\n  Referenced from: /x/libp.dylib",
        ] {
            assert_eq!(explain(message, &["libnope.so.1".into()]), direct);
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
        let musl = line("Dynamic loading not supported");
        assert!(musl.contains("-C target-feature=-crt-static"), "{musl}");
        let other = line("version `FOO_1' not found\nmore");
        assert_eq!(other, "the dynamic linker refuses it: version `FOO_1' not found\\nmore");
    }
}
