//! Requests to delete a machine's data, and their receipts.

use std::{fmt, sync::Arc};

use jackfield_loader::{ForeignText, plugin_api::Deletion};
use serde::Serialize;

/// A recipient of requests to delete a machine's data, besides the backends.
pub trait DeletionRequestor: Send + Sync {
    /// Sends the request, and returns the outcome.
    fn request(&self, machine_id: &str) -> Deletion;
}

impl<F: Fn(&str) -> Deletion + Send + Sync> DeletionRequestor for F {
    fn request(&self, machine_id: &str) -> Deletion {
        self(machine_id)
    }
}

/// Deletion by an e-mail that the user sends. The receipt has a complete `mailto:` link.
#[derive(Debug, Clone)]
pub struct EmailDeletion {
    address: String,
    tool: String,
}

impl EmailDeletion {
    /// To `address`, about the data of `tool`.
    pub fn new(address: impl Into<String>, tool: impl Into<String>) -> Self {
        Self { address: address.into(), tool: tool.into() }
    }
}

impl DeletionRequestor for EmailDeletion {
    /// Never [`Deletion::Sent`]: only the user can send it.
    fn request(&self, machine_id: &str) -> Deletion {
        let subject = escaped(&format!("Data deletion request for {}", self.tool));
        let body =
            escaped(&format!("Please delete all telemetry of {} from machine {machine_id}.", self.tool));
        Deletion::Unsupported(format!(
            "send this e-mail yourself: mailto:{}?subject={subject}&body={body}",
            self.address
        ))
    }
}

/// Percent-encodes a field of a `mailto:` link (RFC 6068).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// A recipient that the tool's author has added.
#[derive(Clone)]
pub(crate) struct Requestor {
    pub(crate) name: String,
    pub(crate) by: Arc<dyn DeletionRequestor>,
}

impl fmt::Debug for Requestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requestor").field(&self.name).finish()
    }
}

/// The receipt of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The name of the backend or recipient.
    pub name: String,
    /// The outcome.
    pub outcome: ReceiptOutcome,
    /// Its answer, in one line.
    pub detail: ForeignText,
}

/// The outcome of a request for deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptOutcome {
    /// The recipient has accepted the request. Only the recipient knows whether the data are deleted.
    Sent,
    /// The backend has no way to request a deletion.
    Unsupported,
    /// The request could not be sent.
    Failed,
}

impl Receipt {
    pub(crate) fn new(name: impl Into<String>, deletion: Deletion) -> Self {
        let (outcome, detail) = match deletion {
            Deletion::Sent(detail) => (ReceiptOutcome::Sent, detail),
            Deletion::Unsupported(detail) => (ReceiptOutcome::Unsupported, detail),
            Deletion::Failed(detail) => (ReceiptOutcome::Failed, detail),
        };
        Self { name: name.into(), outcome, detail: detail.into() }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            ReceiptOutcome::Sent => "sent",
            ReceiptOutcome::Unsupported => "unsupported",
            ReceiptOutcome::Failed => "failed",
        };
        write!(f, "{}: {outcome}", self.name)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_is_never_said_to_be_sent() {
        let receipt =
            Receipt::new("e-mail", EmailDeletion::new("privacy@tool.example", "my tool").request("m1"));
        assert_eq!(receipt.outcome, ReceiptOutcome::Unsupported);
        assert_eq!(
            receipt.to_string(),
            "e-mail: unsupported: send this e-mail yourself: mailto:privacy@tool.example?subject=Data%20deletion%20\
             request%20for%20my%20tool&body=Please%20delete%20all%20telemetry%20of%20my%20tool%20from%20machine%20m1."
        );
    }
}
