//! A buffer that collects events for a batch: their text in one piece of memory, and their fields as ranges of it.

use std::ops::Range;

use jackfield_loader::{Batch, BatchWriter, EventFields};

use crate::error::Error;
use crate::event::defaults::{EventDefaults, without_nulls};
use crate::event::parse;
use crate::event::parse::{FILLED, MAX_LINE, Parsed};

/// Reads lines, and collects their events until they are taken as a [`Batch`].
#[derive(Debug)]
pub struct EventBuffer {
    fill: EventDefaults,
    events: Events,
}

/// Owns the memory that the views of a batch point into.
#[derive(Debug, Default)]
struct Events {
    /// The JSON of the events, and each string that the JSON contains only in an escaped form.
    text: String,
    records: Vec<Record>,
    /// The strings of all `args`.
    args: Vec<Place>,
    /// The keys and values of all `metadata`.
    metadata: Vec<(Place, Place)>,
}

/// A string in [`Events::text`].
type Place = Range<usize>;

#[derive(Debug)]
struct Record {
    json: Place,
    filled: [Place; FILLED.len()],
    kind: Place,
    name: Place,
    error: Option<Place>,
    args: Option<Range<usize>>,
    metadata: Option<Range<usize>>,
    time_unix_nanos: i64,
    duration_ms: Option<u64>,
    exit_code: Option<i64>,
}

impl EventBuffer {
    /// An empty buffer. `fill` gives the values of members that an event lacks.
    #[must_use]
    pub fn new(fill: EventDefaults) -> Self {
        Self { fill, events: Events::default() }
    }

    /// Reads one line. A blank line is no event and no error.
    ///
    /// # Errors
    /// [`Error::Event`] when the line is not an event; the buffer stays as it was.
    pub fn push_line(&mut self, line: &[u8]) -> Result<(), Error> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let (text, parsed) = parse::parse(line)?;
        self.push_parsed(text, parsed)
    }

    /// Like [`push_line`](Self::push_line), for a line of the spool: text without spaces around it, of an allowed length.
    pub(crate) fn push_stored(&mut self, line: &str) -> Result<(), Error> {
        self.push_parsed(line, parse::parse_text(line)?)
    }

    /// A buffer with memory for so many events and bytes of text.
    pub(crate) fn with_capacity(fill: EventDefaults, events: usize, bytes: usize) -> Self {
        let (text, records) = (String::with_capacity(bytes), Vec::with_capacity(events));
        Self { fill, events: Events { text, records, ..Events::default() } }
    }

    fn push_parsed(&mut self, text: &str, parsed: Parsed<'_>) -> Result<(), Error> {
        if parsed.has_null {
            let rebuilt = without_nulls(text).map_err(|e| Error::event(format!("not JSON: {e}")))?;
            let (text, parsed) = parse::parse(rebuilt.as_bytes())?;
            return self.events.push(text, parsed, &self.fill);
        }
        self.events.push(text, parsed, &self.fill)
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.records.len()
    }

    /// Whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the events' text, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events.text.len()
    }

    /// Takes the complete text of the only event, and empties the buffer.
    pub(crate) fn take_only(&mut self) -> Option<String> {
        let Events { text, records, args, metadata } = &mut self.events;
        let json = records.first()?.json.clone();
        text.truncate(json.end);
        let only = text.split_off(json.start);
        text.clear();
        records.clear();
        args.clear();
        metadata.clear();
        Some(only)
    }

    /// Makes the events into a batch, with a value that lives as long as the batch: until the last call that uses the batch
    /// has returned. Consumes the buffer.
    pub(crate) fn into_batch(self, held: impl Send + 'static) -> Batch {
        self.events.into_batch(held)
    }

    /// Makes the events into a batch, and empties the buffer.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        let (text, records) = (self.events.text.len(), self.events.records.len());
        // The next batch is probably as large.
        let next = Events {
            text: String::with_capacity(text),
            records: Vec::with_capacity(records),
            ..Events::default()
        };
        std::mem::replace(&mut self.events, next).into_batch(())
    }
}

impl Events {
    fn push<'a>(&mut self, line: &str, mut parsed: Parsed<'a>, fill: &'a EventDefaults) -> Result<(), Error> {
        let start = self.text.len();
        let moved = fill.complete(line, &mut parsed, &mut self.text);
        let json = start..self.text.len();
        if json.len() > MAX_LINE {
            let len = json.len();
            self.text.truncate(start);
            return Err(Error::event(format!(
                "line too long: {len} bytes with its missing members filled in, limit {MAX_LINE}"
            )));
        }
        let mut placer = Placer { text: &mut self.text, line, offset: start + moved };
        let mut optional = |text: &Option<_>| text.as_deref().map(|text| placer.place(text));
        let error = optional(&parsed.error);
        let mut record = Record {
            filled: parsed.filled.each_ref().map(|text| optional(text).unwrap_or_default()),
            kind: placer.place(&parsed.kind),
            name: placer.place(&parsed.name),
            json,
            error,
            args: None,
            metadata: None,
            time_unix_nanos: parsed.time_unix_nanos,
            duration_ms: parsed.duration_ms,
            exit_code: parsed.exit_code,
        };
        if let Some(args) = &parsed.args {
            let start = self.args.len();
            self.args.extend(args.iter().map(|arg| placer.place(arg)));
            record.args = Some(start..self.args.len());
        }
        if let Some(metadata) = &parsed.metadata {
            let start = self.metadata.len();
            self.metadata
                .extend(metadata.iter().map(|(key, value)| (placer.place(key), placer.place(value))));
            record.metadata = Some(start..self.metadata.len());
        }
        self.records.push(record);
        Ok(())
    }

    fn into_batch(self, held: impl Send + 'static) -> Batch {
        let events = self.records.len();
        let built = Batch::build_with_capacity((self, held), events, |(events, _), batch| {
            events.write(batch);
            Ok::<(), std::convert::Infallible>(())
        });
        match built {
            Ok(batch) => batch,
            Err(never) => match never {},
        }
    }

    fn write<'a>(&'a self, batch: &mut BatchWriter<'a>) {
        let at = |place: &Place| &self.text[place.clone()];
        let (mut args, mut metadata) = (Vec::new(), Vec::new());
        for record in &self.records {
            args.clear();
            args.extend(self.args[record.args.clone().unwrap_or_default()].iter().map(at));
            metadata.clear();
            let pairs = &self.metadata[record.metadata.clone().unwrap_or_default()];
            metadata.extend(pairs.iter().map(|(key, value)| (at(key), at(value))));
            let filled = record.filled.each_ref().map(at);
            let [id, timestamp, machine_id, tool_name, tool_version, os, arch, os_version, runtime_version] =
                filled;
            batch.push(&EventFields {
                json: at(&record.json),
                id,
                timestamp,
                kind: at(&record.kind),
                name: at(&record.name),
                machine_id,
                tool_name,
                tool_version,
                os,
                arch,
                os_version,
                runtime_version,
                error: record.error.as_ref().map(at),
                args: record.args.as_ref().map(|_| args.as_slice()),
                metadata: record.metadata.as_ref().map(|_| metadata.as_slice()),
                time_unix_nanos: record.time_unix_nanos,
                duration_ms: record.duration_ms,
                exit_code: record.exit_code,
            });
        }
    }
}

/// Finds a parsed string in the existing text, or appends it.
struct Placer<'a> {
    text: &'a mut String,
    /// The parsed line.
    line: &'a str,
    /// The offset of the line in `text`.
    offset: usize,
}

impl Placer<'_> {
    fn place(&mut self, string: &str) -> Place {
        // A string without escapes is a slice of the line: its address shows it.
        let within = (string.as_ptr() as usize).wrapping_sub(self.line.as_ptr() as usize);
        let start = if within < self.line.len() && within + string.len() <= self.line.len() {
            self.offset + within
        } else {
            self.text.push_str(string);
            self.text.len() - string.len()
        };
        start..start + string.len()
    }
}

#[cfg(test)]
#[path = "batch_buffer_tests.rs"]
mod tests;
