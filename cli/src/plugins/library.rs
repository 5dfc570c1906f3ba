//! A library, and the verdicts on it: of this host, and of the trust policy.

use std::path::Path;

use jackfield_loader::{Candidate, Error, Inspection, Policy};

pub(super) struct Library {
    candidate: Candidate,
    /// The policy; `None` where the configuration can't be read.
    pub(super) trust: Option<String>,
    pub(super) trust_refusal: Option<String>,
}

impl Library {
    pub(super) fn open(file: &Path, policy: Result<&Policy, &jackfield::Error>) -> Result<Self, Error> {
        let candidate = Candidate::open(file)?;
        let (trust, trust_refusal) = match policy {
            Ok(policy) => {
                let refusal = candidate.allowed_by(policy).err().map(|refusal| refusal.to_string());
                (Some(policy.trust().to_string()), refusal)
            }
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        Ok(Self { candidate, trust, trust_refusal })
    }

    pub(super) fn inspection(&self) -> &Inspection {
        self.candidate.inspection()
    }

    /// Whether the host can run it only in a process of its own.
    pub(super) fn process_only(&self) -> bool {
        self.inspection().verdict().is_err() && self.inspection().verdict_in_process().is_ok()
    }

    /// Why the host can't run it at all.
    pub(super) fn refusal(&self) -> Option<String> {
        let refusal = self.inspection().verdict().err()?;
        (!self.process_only()).then(|| refusal.to_string())
    }
}
