//! The commands that read the files of plugins and run none of them, and a file with the verdicts on it.

pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod option_table;
pub(crate) mod schema;

use std::path::Path;

use jackfield_loader::{Candidate, Error, ForeignText, Inspection, Layout, Metadata, Policy};

/// A library, and the verdicts of this host and of the trust policy.
struct Library {
    candidate: Candidate,
    /// The policy; `None` where the configuration can't be read.
    trust: Option<String>,
    trust_refusal: Option<String>,
}

impl Library {
    fn open(file: &Path, policy: Result<&Policy, &jackfield::Error>) -> Result<Self, Error> {
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

    fn inspection(&self) -> &Inspection {
        self.candidate.inspection()
    }

    /// Whether the host can run it only in a process of its own.
    fn process_only(&self) -> bool {
        self.inspection().verdict().is_err() && self.inspection().verdict_in_process().is_ok()
    }

    /// Why the host can't run it at all.
    fn refusal(&self) -> Option<String> {
        let refusal = self.inspection().verdict().err()?;
        (!self.process_only()).then(|| refusal.to_string())
    }
}

/// The language of a plugin, and how the layout of its tables is compared, such as `C, layout by digest`.
/// Only plugins in Rust may have layouts that are compared field by field, which shows when they are loaded.
fn language(metadata: &Metadata) -> ForeignText {
    let by_digest = |language: &str| format!("{language}, {}", Layout::ByDigest).into();
    match metadata.language.as_raw() {
        "rust" => "Rust".into(),
        "c" => by_digest("C"),
        "c++" => by_digest("C++"),
        other => by_digest(other),
    }
}
