//! What `[plugins]` says about trust, and the policy that comes of it.

use std::{io, str::FromStr};

use jackfield_loader::{Policy, Trust};

use crate::config::model::PluginsConfig;
use crate::config::plugin_lock::Lock;
use crate::config::toml::{Document, Entry};
use crate::error::error::Error;

impl PluginsConfig {
    /// What is required of a file, with the lock as it is now. A lock that can't be read refuses every file; with
    /// `signed` one that nobody has named may be missing.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = Policy::new(self.trust).keys(self.keys.iter().cloned()).revoked(self.revoked.clone());
        if !matches!(self.trust, Trust::Pinned | Trust::Signed) {
            return policy;
        }
        let Some(file) = &self.lock else { return policy };
        match Lock::read(file) {
            Ok(lock) => policy.pins(Ok(lock.into_pins())),
            Err(Error::ReadLock { source, .. })
                if self.trust == Trust::Signed
                    && !self.lock_is_named
                    && source.kind() == io::ErrorKind::NotFound =>
            {
                policy
            }
            Err(refusal) => policy.pins(Err(refusal.to_string())),
        }
    }
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
