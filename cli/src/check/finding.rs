//! What one check has found.

use serde::{Deserialize, Serialize};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    Fail,
    Skipped,
}

/// What one check has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was seen; of a check that was skipped, why.
    pub(super) found: String,
    /// What to do; of a failure only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

/// Why a check does not pass.
#[derive(Debug)]
pub(super) enum CancellationToken {
    Fail { found: String, advice: String },
    Skip(String),
}

/// What a check answers: what was seen, in a few words.
pub(super) type Checked = Result<String, CancellationToken>;

pub(super) fn fail(found: impl Into<String>, advice: impl Into<String>) -> CancellationToken {
    CancellationToken::Fail { found: found.into(), advice: advice.into() }
}

pub(super) fn skip(why: impl Into<String>) -> CancellationToken {
    CancellationToken::Skip(why.into())
}

impl From<Checked> for Finding {
    fn from(checked: Checked) -> Self {
        let (verdict, found, advice) = match checked {
            Ok(found) => (Verdict::Pass, found, String::new()),
            Err(CancellationToken::Fail { found, advice }) => (Verdict::Fail, found, advice),
            Err(CancellationToken::Skip(why)) => (Verdict::Skipped, why, String::new()),
        };
        Self { verdict, found, advice }
    }
}
