//! The trust policy of a configuration.

use std::io;

use jackfield_loader::{LockError, Policy, Trust};

use crate::config::model::PluginsConfig;
use crate::config::plugin_lock::Lock;
use crate::error::error::Error;

impl PluginsConfig {
    /// The policy, with the lock as it is now. A lock that can't be read refuses every file. With `signed` the default lock may
    /// be missing.
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
            Err(refusal) => policy.pins(Err(LockError::new(refusal))),
        }
    }
}
