//! A hostile child: bytes that say what it does to the host's side of a child. The fuzz target `child` invents them.
//!
//! The first byte is the function that the host has called, the second the number of its events. Steps follow: a byte
//! for the kind, two for a length (little-endian), and so many bytes. An input may end within a step.
//!
//! | kind | what the child does with the bytes |
//! | --- | --- |
//! | 0 | puts them into the ring, as the protocol wants it |
//! | 1 | puts them into the ring as often as their first byte says |
//! | 2 | claims to have put as many bytes as the first eight bytes say |
//! | 3 | writes them anywhere into the shared memory: the first four bytes say where |
//! | 4 | sends them as a part of its log |
//! | 5 | prints them to standard error |
//! | 6 | waits until the host has read |

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fmt, ptr};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record as SpanRecord};
use tracing_core::{Dispatch, Event, Metadata, Subscriber, dispatcher};

use super::channel::{Answer, Channel, ChannelError};
use super::instance::forward;
use super::protocol::Record;
use super::reaper::{StderrLines, emit, pass_on};
use crate::boundary::budget::Budget;
use crate::boundary::log;
use crate::boundary::text::{LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT, REASON_LIMIT};
use crate::guard::call::{CallState, Ended};
use crate::guard::report::Reported;
use crate::load::tables::Function;

const BACKEND: &str = "hostile";

/// What the host has made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostileChild {
    /// Calls that ended.
    pub calls: usize,
    /// Records that reached a call.
    pub records: usize,
    /// Why the host has given up the child.
    pub broken: Option<&'static str>,
}

/// Does what the bytes say, and has the host read it.
///
/// # Panics
/// If the host takes more from a child than it may, or something that can't be shown as one line.
#[must_use]
pub fn hostile_child(bytes: &[u8]) -> HostileChild {
    // One for all inputs, because each is registered and asked for its interest in each target.
    static JUDGE: OnceLock<Dispatch> = OnceLock::new();
    dispatcher::with_default(JUDGE.get_or_init(|| Dispatch::new(Judge)), || Host::new(bytes).run(bytes))
}

struct Host {
    function: Function,
    events: usize,
    channel: Channel,
    /// How many bytes the child has put into the ring.
    put: u64,
    call: Arc<CallState>,
    answer: Answer,
    /// What the child has answered to a request for deletion or a probe.
    number: AtomicU32,
    log: Vec<u8>,
    budget: Mutex<Budget>,
    stderr: StderrLines,
    seen: HostileChild,
}

impl Host {
    fn new(bytes: &[u8]) -> Self {
        let number = 1 + u32::from(bytes.first().copied().unwrap_or_default()) % 7;
        let events = usize::from(bytes.get(1).copied().unwrap_or_default());
        let function = Function::of(number).expect("a number of a function");
        let (channel, _) = Channel::new().expect("memory to share");
        Self {
            function,
            events,
            channel,
            put: 0,
            call: started(events),
            answer: Answer::new(function, events),
            number: AtomicU32::new(0),
            log: Vec::new(),
            budget: Mutex::new(log::budget()),
            stderr: StderrLines::new(BACKEND),
            seen: HostileChild::default(),
        }
    }

    fn run(mut self, bytes: &[u8]) -> HostileChild {
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some(([kind, low, high], behind)) = rest.split_first_chunk::<3>() {
            let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
            let (step, behind) = behind.split_at(length);
            self.step(*kind, step);
            rest = behind;
        }
        self.read();
        self.stderr.end(&mut emit);
        log::emit_left_out(&self.budget, BACKEND);
        self.seen
    }

    fn step(&mut self, kind: u8, bytes: &[u8]) {
        match (kind % 7, bytes) {
            (0, bytes) => self.put(bytes),
            (1, [times, bytes @ ..]) => (0..*times).for_each(|_| self.put(bytes)),
            (2, bytes) => {
                let Some(claimed) = bytes.first_chunk::<8>() else { return };
                // To put nothing after so many bytes is to claim them.
                self.put = u64::from_le_bytes(*claimed);
                self.channel.memory.put(self.put, &[]);
            }
            (3, bytes) => {
                let Some((place, bytes)) = bytes.split_first_chunk::<4>() else { return };
                let memory = &self.channel.memory;
                let at = u32::from_le_bytes(*place) as usize % memory.len();
                let length = bytes.len().min(memory.len() - at);
                // SAFETY: the place lies within the mapping. The host's atomics are not in use meanwhile.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory.base().add(at), length) };
            }
            (4, bytes) => {
                self.log.extend_from_slice(bytes);
                pass_on(&mut self.log, BACKEND, &self.budget);
            }
            (5, bytes) => self.stderr.push(bytes, Instant::now(), &mut emit),
            (6, _) => self.read(),
            _ => {}
        }
    }

    /// Puts bytes into the ring. The host reads when the ring is full.
    fn put(&mut self, mut bytes: &[u8]) {
        let mut is_full = false;
        while !bytes.is_empty() && self.seen.broken.is_none() {
            let count = self.channel.memory.put(self.put, bytes);
            self.put = self.put.wrapping_add(count as u64);
            bytes = &bytes[count..];
            if count == 0 && is_full {
                // The child has claimed another number than the host has read.
                return;
            }
            is_full = count == 0;
            if is_full {
                self.read();
            }
        }
    }

    fn read(&mut self) {
        if self.seen.broken.is_some() {
            return;
        }
        let (call, number, records) = (&self.call, &self.number, &mut self.seen.records);
        let mut each = |record: &Record<'_>| {
            *records += 1;
            forward(call, Some(number), record);
        };
        match self.channel.read(&mut self.answer, &mut each) {
            Ok(None) => {}
            Ok(Some(done)) => {
                self.end(done.status);
                self.call = started(self.events);
                self.answer = Answer::new(self.function, self.events);
            }
            Err(ChannelError::Broken(what)) => {
                self.end(jackfield_plugin_api::abi::STATUS_FAILED);
                self.seen.broken = Some(what);
            }
            Err(_) => unreachable!("a read waits for nothing and starts nothing"),
        }
    }

    fn end(&mut self, status: i32) {
        self.seen.calls += 1;
        assert!(self.call.finish(status), "nobody has given it up");
        let Ended::Finished { reported, explanation, collected, .. } = self.call.abandon() else {
            panic!("it has finished")
        };
        judge(&explanation.subject, REASON_LIMIT);
        judge(&explanation.message, REASON_LIMIT);
        if let Reported::Each(each) = &reported {
            assert_eq!(each.len(), self.events);
        }
        let Ok(preview) = collected.preview(reported, self.events) else { return };
        preview.messages.iter().for_each(|message| judge(&message.label, REASON_LIMIT));
    }
}

fn started(events: usize) -> Arc<CallState> {
    let call = Arc::new(CallState::new(events, Instant::now() + Duration::from_secs(3600)));
    assert!(call.start());
    call
}

/// A text is one printable line, at most so many bytes and an ellipsis.
fn judge(text: &str, most: usize) {
    assert!(text.len() <= most + '…'.len_utf8(), "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Wants every log record, and judges it.
struct Judge;

impl Visit for Judge {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        judge(&format!("{value:?}"), LOG_MESSAGE_LIMIT);
    }
}

impl Subscriber for Judge {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn event(&self, event: &Event<'_>) {
        judge(event.metadata().target(), LOG_TARGET_LIMIT);
        event.record(&mut Self);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use super::super::protocol::{log_record, record};
    use super::*;

    /// Its kind and its bytes.
    type Step<'a> = (u8, &'a [u8]);

    /// A call of a function, and the steps of the child.
    fn input(function: Function, steps: &[Step<'_>]) -> Vec<u8> {
        let mut bytes = vec![function as u8 - 1, 3];
        for (kind, step) in steps {
            bytes.push(*kind);
            bytes.extend(u16::try_from(step.len()).unwrap().to_le_bytes());
            bytes.extend(*step);
        }
        bytes
    }

    fn bytes(record: &Record<'_>) -> Vec<u8> {
        [&record.head(), record.first, record.second].concat()
    }

    /// `JACKFIELD_SEEDS=FOLDER` is the folder of the seeds, by default a temporary one.
    #[test]
    fn every_seed_of_a_child_is_read_as_it_is_meant() {
        let long = [b'x'; 20_000];
        let done = bytes(&Record { kind: record::DONE, y: 7, ..Record::default() });
        let report = bytes(&Record {
            kind: record::REPORT,
            code: 2,
            x: 1,
            y: 1,
            z: 50,
            first: b"why",
            ..Record::default()
        });
        let message =
            bytes(&Record { kind: record::MESSAGE, first: b"POST", second: &long, ..Record::default() });
        let explain = bytes(&Record {
            kind: record::EXPLAIN,
            first: b"url",
            second: b"\x1b[31mno\n",
            ..Record::default()
        });
        let stage = bytes(&Record { kind: record::STAGE, code: 3, first: b"no file", ..Record::default() });
        let number = bytes(&Record { kind: record::NUMBER, x: 2, ..Record::default() });
        let log = [log_record(3, "target\n", "a line\n"), log_record(9, "", "")].concat();
        let (times, many) = ([&[200][..], &report].concat(), [&[255][..], &message].concat());
        let anywhere = [&[0, 16, 0, 0][..], &report].concat();
        let seeds: [(&str, Function, &[Step<'_>], _); 12] = [
            ("sent", Function::Send, &[(0, &report), (6, b""), (0, &done)], (1, 1, false)),
            ("twice", Function::Send, &[(0, &done), (6, b""), (0, &report), (0, &done)], (2, 1, false)),
            ("opened", Function::Open, &[(0, &stage), (0, &explain), (0, &done)], (1, 2, false)),
            ("deleted", Function::Delete, &[(0, &number), (0, &done)], (1, 1, false)),
            ("previewed", Function::Preview, &[(0, &message), (0, &report), (0, &done)], (1, 2, false)),
            ("large", Function::Preview, &[(1, &many), (0, &done)], (1, 255, false)),
            ("no-preview", Function::Probe, &[(0, &message)], (1, 0, true)),
            ("many", Function::Send, &[(1, &times), (1, &times)], (0, 400, false)),
            ("half", Function::Close, &[(0, &done[..20]), (6, b""), (0, &done[20..])], (1, 0, false)),
            ("claims", Function::Free, &[(2, &[1; 8])], (1, 0, true)),
            ("scribbles", Function::Send, &[(3, &anywhere), (2, &[43, 0, 0, 0, 0, 0, 0, 0])], (0, 1, false)),
            ("talks", Function::Send, &[(4, &log), (5, b"panicked\n"), (4, &[3; 7])], (0, 0, false)),
        ];
        let scratch = tempfile::tempdir().unwrap();
        let folder =
            env::var_os("JACKFIELD_SEEDS").map_or_else(|| scratch.path().join("seeds"), PathBuf::from);
        fs::create_dir_all(&folder).unwrap();
        for (name, function, steps, expected) in seeds {
            let seed = input(function, steps);
            fs::write(folder.join(name), &seed).unwrap();
            let seen = hostile_child(&seed);
            assert_eq!((seen.calls, seen.records, seen.broken.is_some()), expected, "{name}: {seen:?}");
        }
    }
}
