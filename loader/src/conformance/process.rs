//! The settings of the process, which belong to the tool: a plugin must not change them.

use std::collections::{BTreeMap, BTreeSet};

/// The settings of the process at one time, by their names.
///
/// # Platform
/// Environment and working folder. On Unix also actions of signals, the signal mask of the calling thread,
/// locale, umask, limits of resources, and the files of the standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessState(BTreeMap<String, String>);

impl ProcessState {
    /// Reads the settings.
    #[must_use]
    pub fn now() -> Self {
        let mut found = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            found.insert(
                format!("environment variable {}", name.to_string_lossy()),
                value.to_string_lossy().into_owned(),
            );
        }
        let folder =
            std::env::current_dir().map_or_else(|e| e.to_string(), |at| at.to_string_lossy().into_owned());
        found.insert("working folder".to_owned(), folder);
        #[cfg(unix)]
        unix::look(&mut found);
        Self(found)
    }

    /// The names of the settings that differ. A value may be a secret.
    #[must_use]
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != later.0.get(*name)).cloned().collect()
    }
}

#[cfg(unix)]
mod unix {
    use std::{collections::BTreeMap, ffi::CStr, mem::zeroed, ptr};

    /// The highest signal. The system refuses a number above its own limit.
    const LAST_SIGNAL: i32 = 64;

    pub(super) fn look(found: &mut BTreeMap<String, String>) {
        for signal in 1..=LAST_SIGNAL {
            // SAFETY: zeros are a valid action.
            let mut action: libc::sigaction = unsafe { zeroed() };
            // SAFETY: without a new action, the call only reads.
            if unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } == 0 {
                let value = format!("{:#x} {:#x}", action.sa_sigaction, action.sa_flags);
                found.insert(format!("handler of signal {signal}"), value);
            }
        }
        // SAFETY: a set of signals is plain data.
        let mut mask: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: without a new set, the call only reads.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask) };
        let blocked: Vec<String> = (1..=LAST_SIGNAL)
            // SAFETY: the system has filled in the set, and refuses an unknown number.
            .filter(|signal| unsafe { libc::sigismember(&raw const mask, *signal) } == 1)
            .map(|signal| signal.to_string())
            .collect();
        found.insert("signal mask".to_owned(), blocked.join(","));
        // SAFETY: the call only reads. The text is valid until the next call.
        let locale = unsafe { libc::setlocale(libc::LC_ALL, ptr::null()) };
        if !locale.is_null() {
            // SAFETY: as above.
            let locale = unsafe { CStr::from_ptr(locale) }.to_string_lossy().into_owned();
            found.insert("locale".to_owned(), locale);
        }
        // SAFETY: the mask can only be read by setting it, and is restored at once.
        let umask = unsafe { libc::umask(0o077) };
        // SAFETY: as above.
        unsafe { libc::umask(umask) };
        found.insert("umask".to_owned(), format!("{umask:o}"));
        for (name, limit) in [
            ("limit of descriptors", libc::RLIMIT_NOFILE),
            ("limit of core dumps", libc::RLIMIT_CORE),
            ("limit of memory", libc::RLIMIT_AS),
        ] {
            // SAFETY: plain data.
            let mut value: libc::rlimit = unsafe { zeroed() };
            // SAFETY: the call only reads.
            unsafe { libc::getrlimit(limit, &raw mut value) };
            found.insert(name.to_owned(), format!("{} {}", value.rlim_cur, value.rlim_max));
        }
        for (name, descriptor) in [
            ("standard input", libc::STDIN_FILENO),
            ("standard output", libc::STDOUT_FILENO),
            ("standard error", libc::STDERR_FILENO),
        ] {
            // SAFETY: plain data.
            let mut file: libc::stat = unsafe { zeroed() };
            // SAFETY: the system refuses a number that is no descriptor.
            let is_open = unsafe { libc::fstat(descriptor, &raw mut file) } == 0;
            let identity =
                is_open.then(|| format!("{} {} {:o}", file.st_dev, file.st_ino, file.st_mode & libc::S_IFMT));
            found.insert(name.to_owned(), identity.unwrap_or_else(|| "closed".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_without_its_value() {
        let before = ProcessState(
            [("umask", "22"), ("locale", "C"), ("gone", "s3cret")].map(|(a, b)| (a.into(), b.into())).into(),
        );
        let later = ProcessState(
            [("umask", "22"), ("locale", "de"), ("new", "s3cret")].map(|(a, b)| (a.into(), b.into())).into(),
        );
        assert_eq!(before.changed(&later), ["gone", "locale", "new"]);
        assert_eq!(before.changed(&before), [""; 0]);
    }

    #[test]
    fn nothing_changes_by_looking() {
        let before = ProcessState::now();
        assert!(before.changed(&ProcessState::now()).is_empty());
    }
}
