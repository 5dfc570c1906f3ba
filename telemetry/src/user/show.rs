//! What is stored, and what would be sent, byte for byte.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::Duration,
};

use jackfield_loader::{Batch, Preview, Unsent, count, escape_in_json, hex, plugin_api::Outcome, to_json};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use crate::api::telemetry::Telemetry;
use crate::consent::consent::Collection;
use crate::delivery::configured_backend::ConfiguredBackend;
use crate::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::instance::select_backends::Selected;
use crate::spool::dead_letters::Rejected;

/// The events and bytes of the shown batch.
const SHOWN_EVENTS: usize = 500;
const SHOWN_BYTES: usize = 512 << 10;
/// The time for a backend to make its preview.
const LIMIT: Duration = Duration::from_secs(10);

/// What is stored, and what would be sent. Its text is the output of `telemetry show`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShowReport {
    /// The waiting events as they are stored: one line of JSON each.
    pub stored: Vec<String>,
    /// The waiting events of the other spool, which these backends do not get: see [`Status::set_apart`](crate::Status::set_apart).
    pub set_apart: Vec<String>,
    /// The dead letters.
    pub dead_letters: Vec<Rejected>,
    /// What each backend would send of the first batch.
    pub outgoing: Vec<OutgoingBatch>,
    /// The number of events in that batch.
    pub previewed: usize,
}

/// What one backend would send.
#[derive(Debug)]
#[non_exhaustive]
pub struct OutgoingBatch {
    /// The name of the backend.
    pub backend: String,
    /// The requests or messages, and the events that would not be sent; or the reason why there is no preview.
    pub preview: Result<Preview, Error>,
}

impl Telemetry {
    /// What is stored, and what each backend would send of it. Opens the backends; sends nothing.
    ///
    /// # Errors
    /// [`Error::Spool`] when the spool can't be read.
    pub fn show(&self) -> Result<ShowReport, Error> {
        let context = self.context();
        let collection = match context.consent.read().collection {
            // The preview shows what would be sent with consent.
            Collection::Off => Collection::On,
            collection => collection,
        };
        let Selected { mut targets, info, .. } = context.select_for(collection);
        let (mut stored, mut set_apart, mut dead_letters) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(spools) = &context.spools {
            let local = info.stays_here(collection);
            for (local, lines) in [(local, &mut stored), (!local, &mut set_apart)] {
                spools.get(local).pending(|line| {
                    lines.push(String::from_utf8_lossy(line).into_owned());
                    true
                })?;
                dead_letters.append(&mut spools.get(local).rejected()?);
            }
        }
        let mut buffer = EventBuffer::new(context.fill());
        let mut bytes = 0;
        for line in &stored {
            bytes += line.len();
            if buffer.len() == SHOWN_EVENTS || (bytes > SHOWN_BYTES && !buffer.is_empty()) {
                break;
            }
            // A line that is no event is shown above, and is not sent.
            let _ = buffer.push_line(line.as_bytes());
        }
        let previewed = buffer.len();
        let batch = buffer.take();
        let outgoing = targets.iter_mut().map(|target| outgoing(target, &batch)).collect();
        Ok(ShowReport { stored, set_apart, dead_letters, outgoing, previewed })
    }
}

fn outgoing(target: &mut ConfiguredBackend, batch: &Batch) -> OutgoingBatch {
    let preview = match target.open(LIMIT) {
        Ok(backend) => backend.preview(batch, LIMIT).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let preview = preview.map_err(|reason| Error::Preview { reason: target.conceal(&reason).into() });
    target.close(Duration::from_secs(1));
    OutgoingBatch { backend: target.name.clone(), preview }
}

impl ShowReport {
    /// Writes the report as text: the stored lines as they are, then the messages of each backend.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Stored: {}", count(self.stored.len(), "event"))?;
        for line in &self.stored {
            writeln!(out, "{}", escape_in_json(line))?;
        }
        if !self.set_apart.is_empty() {
            let count = count(self.set_apart.len(), "event");
            writeln!(out, "\nSet apart, not for these backends (see TELEMETRY_LOCAL): {count}")?;
        }
        for line in &self.set_apart {
            writeln!(out, "{}", escape_in_json(line))?;
        }
        writeln!(out, "\nDead letters: {}", count(self.dead_letters.len(), "event"))?;
        for rejected in &self.dead_letters {
            let Rejected { backend, reason, event, .. } = rejected;
            writeln!(out, "{backend}: {reason}\n{}", escape_in_json(event.get()))?;
        }
        for outgoing in &self.outgoing {
            let of = if self.previewed < self.stored.len() { "the first " } else { "" };
            let count = count(self.previewed, "event");
            writeln!(out, "\nTo {}, of {of}{count} (nothing is sent now):", outgoing.backend)?;
            match &outgoing.preview {
                Err(error) => writeln!(out, "can't be told: {error}")?,
                Ok(preview) => {
                    for message in &preview.messages {
                        writeln!(out, "{} ({} bytes)", message.label, message.bytes.len())?;
                        match std::str::from_utf8(&message.bytes) {
                            Ok(text) => writeln!(out, "{}", escape_in_json(text.trim_end_matches('\n')))?,
                            Err(_) => writeln!(out, "{}", message.bytes.escape_ascii())?,
                        }
                    }
                    for unsent in &preview.unsent {
                        writeln!(out, "{}", not_sent(unsent))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The report as one JSON object. It contains events byte for byte as they are stored; a line that is not JSON becomes a
    /// string. A message that is not UTF-8 has the member `bytes_hex` in place of `text`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let object = AsJson {
            stored: self.stored.iter().map(|line| as_stored(line)).collect(),
            set_apart: self.set_apart.iter().map(|line| as_stored(line)).collect(),
            dead_letters: &self.dead_letters,
            previewed: self.previewed,
            outgoing: self.outgoing.iter().map(OutgoingBatch::to_json).collect(),
        };
        to_json(&object).expect("text and numbers can be written")
    }
}

#[derive(Serialize)]
struct AsJson<'a> {
    stored: Vec<Cow<'a, RawValue>>,
    set_apart: Vec<Cow<'a, RawValue>>,
    dead_letters: &'a [Rejected],
    previewed: usize,
    outgoing: Vec<serde_json::Value>,
}

fn as_stored(line: &str) -> Cow<'_, RawValue> {
    // Some valid JSON is refused by readers, such as half of a surrogate pair.
    let is_read = serde_json::from_str::<serde_json::Value>(line).is_ok();
    match serde_json::from_str(line) {
        Ok(raw) if is_read => Cow::Borrowed(raw),
        _ => Cow::Owned(serde_json::value::to_raw_value(line).expect("a string can be written")),
    }
}

impl OutgoingBatch {
    fn to_json(&self) -> serde_json::Value {
        let preview = match &self.preview {
            Ok(preview) => preview,
            Err(error) => return json!({ "backend": self.backend, "error": error.to_string() }),
        };
        let messages: Vec<_> = preview
            .messages
            .iter()
            .map(|message| match std::str::from_utf8(&message.bytes) {
                Ok(text) => json!({ "label": message.label, "text": text }),
                Err(_) => json!({ "label": message.label, "bytes_hex": hex(&message.bytes) }),
            })
            .collect();
        let unsent: Vec<_> = preview.unsent.iter().map(not_sent).collect();
        json!({ "backend": self.backend, "messages": messages, "unsent": unsent })
    }
}

/// `event 3 would be rejected: too old`
fn not_sent(unsent: &Unsent) -> String {
    let (what, reason) = match &unsent.outcome {
        Outcome::Delivered => ("counted as delivered", ""),
        Outcome::Retry { reason, .. } => ("kept for later", &**reason),
        Outcome::Rejected { reason } => ("rejected", &**reason),
        Outcome::TooLarge { reason } => ("too large", &**reason),
    };
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("event {} would not be sent but {what}{colon}{reason}", unsent.event + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_stand_in_the_json_byte_for_byte() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let lines =
            [r#"{"type":"a", "name":"b","id":"\u0041","n":1.50}"#, r#"{"type":"#, r#"{"a":"\ud800"}"#];
        let shown = ShowReport {
            set_apart: Vec::new(),
            stored: lines.map(str::to_owned).to_vec(),
            dead_letters: vec![Rejected {
                backend: "main".into(),
                reason: "old".into(),
                rejected_at: 7,
                event: raw(lines[0]),
            }],
            outgoing: Vec::new(),
            previewed: 1,
        };
        let text = shown.to_json();
        let dead_letters =
            format!(r#"[{{"backend":"main","reason":"old","rejected_at":7,"event":{}}}]"#, lines[0]);
        let stored = format!(r#"[{},"{{\"type\":","{{\"a\":\"\\ud800\"}}"]"#, lines[0]);
        let expected = format!(
            r#"{{"stored":{stored},"set_apart":[],"dead_letters":{dead_letters},"previewed":1,"outgoing":[]}}"#
        );
        assert_eq!(text, expected);
        serde_json::from_str::<serde_json::Value>(&text).expect("readers take it");
    }
}
