//! The finding of one check.

use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    Fail,
    Skipped,
}

/// The finding of one check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was seen, or why the check was skipped.
    pub(super) found: String,
    /// What to do about a failure; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

/// Why a check does not pass.
#[derive(Debug)]
pub(super) enum CheckError {
    Failed { found: String, advice: String },
    Skipped(String),
}

/// The result of a check: what was seen, in a few words.
pub(super) type CheckResult = Result<String, CheckError>;

pub(super) fn fail(found: impl Into<String>, advice: impl Into<String>) -> CheckError {
    CheckError::Failed { found: found.into(), advice: advice.into() }
}

pub(super) fn skip(why: impl Into<String>) -> CheckError {
    CheckError::Skipped(why.into())
}

impl From<CheckResult> for Finding {
    fn from(checked: CheckResult) -> Self {
        let (verdict, found, advice) = match checked {
            Ok(found) => (Verdict::Pass, found, String::new()),
            Err(CheckError::Failed { found, advice }) => (Verdict::Fail, found, advice),
            Err(CheckError::Skipped(why)) => (Verdict::Skipped, why, String::new()),
        };
        Self { verdict, found, advice }
    }
}
