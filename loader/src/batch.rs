//! A batch of events in memory that it owns.
//!
//! A call that misses its deadline goes on inside the plugin, so the batch must outlive whoever sent it: it owns the
//! memory that its views point into, and clones share it.

use std::{marker::PhantomData, sync::Arc};

use jackfield_plugin_api::{self as api, abi};

/// Immutable events, with the memory that their text lies in. Cheap to clone.
#[derive(Clone)]
pub struct Batch {
    events: Arc<Vec<abi::Event>>,
    memory: Arc<Memory>,
}

/// What the views of a batch point into. It is never looked at again, only dropped.
struct Memory {
    _owner: Arc<dyn Owner>,
    _strings: Vec<abi::Str>,
    _pairs: Vec<abi::Pair>,
}

trait Owner: Send {}
impl<T: Send> Owner for T {}

// SAFETY: the views point into `memory`, which is immutable while any clone lives: the owner is reachable by no one
// but its drop, which `O: Send` allows on any thread.
unsafe impl Send for Batch {}
// SAFETY: as above; shared access reads the views alone.
unsafe impl Sync for Batch {}
// SAFETY: as for `Batch`.
unsafe impl Send for Memory {}
// SAFETY: as for `Batch`.
unsafe impl Sync for Memory {}

/// The fields of one event. `json` is the whole event on one line, without a line feed.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields of `jackfield_plugin_api::Event`, where they are documented")]
pub struct EventFields<'list, 'a> {
    pub json: &'a str,
    pub id: &'a str,
    pub timestamp: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub machine_id: &'a str,
    pub tool_name: &'a str,
    pub tool_version: &'a str,
    pub os: &'a str,
    pub arch: &'a str,
    pub os_version: &'a str,
    pub runtime_version: &'a str,
    pub error: Option<&'a str>,
    pub args: Option<&'list [&'a str]>,
    pub metadata: Option<&'list [(&'a str, &'a str)]>,
    pub time_unix_nanos: i64,
    pub duration_ms: Option<u64>,
    pub exit_code: Option<i64>,
}

/// Collects the events of a batch under construction. Their strings borrow from the batch's owner.
pub struct BatchWriter<'a> {
    parts: Parts,
    borrowed: PhantomData<&'a str>,
}

/// A batch under construction, without the lifetime that kept its strings to the owner.
struct Parts {
    events: Vec<abi::Event>,
    strings: Vec<abi::Str>,
    pairs: Vec<abi::Pair>,
}

impl<'a> BatchWriter<'a> {
    /// Adds an event.
    pub fn push(&mut self, event: &EventFields<'_, 'a>) {
        let mut present = 0;
        let mut flag = |set: bool, bit: u32| {
            if set {
                present |= bit;
            }
        };
        flag(event.duration_ms.is_some(), abi::EVENT_HAS_DURATION);
        flag(event.exit_code.is_some(), abi::EVENT_HAS_EXIT_CODE);
        flag(event.args.is_some(), abi::EVENT_HAS_ARGS);
        flag(event.error.is_some(), abi::EVENT_HAS_ERROR);
        flag(event.metadata.is_some(), abi::EVENT_HAS_METADATA);

        // The lists may still move, so until `finish` their pointers hold an index.
        let args = event.args.unwrap_or_default();
        let args_at = self.parts.strings.len();
        self.parts.strings.extend(args.iter().map(|text| abi::Str::new(text)));
        let metadata = event.metadata.unwrap_or_default();
        let metadata_at = self.parts.pairs.len();
        self.parts.pairs.extend(
            metadata
                .iter()
                .map(|(key, value)| abi::Pair { key: abi::Str::new(key), value: abi::Str::new(value) }),
        );
        self.parts.events.push(abi::Event {
            json: abi::Str::new(event.json),
            id: abi::Str::new(event.id),
            timestamp: abi::Str::new(event.timestamp),
            kind: abi::Str::new(event.kind),
            name: abi::Str::new(event.name),
            machine_id: abi::Str::new(event.machine_id),
            tool_name: abi::Str::new(event.tool_name),
            tool_version: abi::Str::new(event.tool_version),
            os: abi::Str::new(event.os),
            arch: abi::Str::new(event.arch),
            os_version: abi::Str::new(event.os_version),
            runtime_version: abi::Str::new(event.runtime_version),
            error: event.error.map_or(abi::Str::EMPTY, abi::Str::new),
            args: abi::StrList { ptr: std::ptr::without_provenance(args_at), len: args.len() },
            metadata: abi::PairList { ptr: std::ptr::without_provenance(metadata_at), len: metadata.len() },
            time_unix_nanos: event.time_unix_nanos,
            duration_ms: event.duration_ms.unwrap_or_default(),
            exit_code: event.exit_code.unwrap_or_default(),
            present,
            reserved: 0,
        });
    }

    /// Number of events so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.events.len()
    }

    /// Whether there is no event yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.events.is_empty()
    }
}

impl Parts {
    fn finish(mut self, owner: Arc<dyn Owner>) -> Batch {
        for event in &mut self.events {
            event.args.ptr = self.strings[event.args.ptr.addr()..].as_ptr();
            event.metadata.ptr = self.pairs[event.metadata.ptr.addr()..].as_ptr();
        }
        Batch {
            events: Arc::new(self.events),
            memory: Arc::new(Memory { _owner: owner, _strings: self.strings, _pairs: self.pairs }),
        }
    }
}

impl Batch {
    /// Builds a batch over `owner`, the memory that holds the text. `fill` is lent the owner and pushes events whose
    /// strings borrow from it, so nothing is copied.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn build<O: Send + 'static, E>(
        owner: O,
        fill: impl for<'a> FnOnce(&'a O, &mut BatchWriter<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        Self::build_with_capacity(owner, 0, fill)
    }

    /// [`build`](Self::build), with room for `events` events from the start.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn build_with_capacity<O: Send + 'static, E>(
        owner: O,
        events: usize,
        fill: impl for<'a> FnOnce(&'a O, &mut BatchWriter<'a>) -> Result<(), E>,
    ) -> Result<Self, E> {
        // An `Arc` promises nothing about exclusive access when it moves, as a `Box` does, so views stay valid.
        let owner = Arc::new(owner);
        let parts = Parts { events: Vec::with_capacity(events), strings: Vec::new(), pairs: Vec::new() };
        let mut writer = BatchWriter { parts, borrowed: PhantomData };
        fill(&owner, &mut writer)?;
        let parts = writer.parts;
        Ok(parts.finish(owner))
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events, for reading.
    #[must_use]
    pub fn view(&self) -> api::Batch<'_> {
        // SAFETY: every view came in through `push`, borrowed from the owner or the lists that `memory` keeps.
        unsafe { api::Batch::from_events(&self.events) }
    }

    /// A batch of some of these events, in the order of `indexes`, that shares their memory.
    ///
    /// # Panics
    /// When an index is out of range.
    #[must_use]
    pub fn select(&self, indexes: &[usize]) -> Self {
        Self {
            events: Arc::new(indexes.iter().map(|&index| self.events[index]).collect()),
            memory: Arc::clone(&self.memory),
        }
    }

    /// The batch's C form, valid as long as `self`.
    pub(crate) fn to_abi(&self) -> abi::Batch {
        abi::Batch {
            size: size_of::<abi::Batch>() as u32,
            event_size: size_of::<abi::Event>() as u32,
            events: self.events.as_ptr(),
            len: self.events.len(),
            tables: abi::Tables::EMPTY,
        }
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `count` events with the ids `0`, `1`, ...
    pub(crate) fn numbered(count: usize) -> Batch {
        let ids: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        Batch::build::<_, std::convert::Infallible>(ids, |ids, writer| {
            for id in ids {
                writer.push(&EventFields { id, json: "{}", ..EventFields::default() });
            }
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn views_survive_the_growth_of_the_lists_and_the_move_of_the_batch() {
        let text: Vec<(String, String)> =
            (0..100).map(|n| (format!("key{n}"), format!("value{n}"))).collect();
        let batch = Batch::build::<_, std::convert::Infallible>(text, |text, writer| {
            for (key, value) in text {
                writer.push(&EventFields {
                    name: key,
                    args: Some(&[key, value]),
                    metadata: Some(&[(key, value)]),
                    exit_code: Some(-1),
                    ..EventFields::default()
                });
            }
            Ok(())
        })
        .unwrap();
        let moved = std::thread::Builder::new().spawn(move || batch).unwrap().join().unwrap();
        for (n, event) in moved.view().iter().enumerate() {
            assert_eq!(event.name(), format!("key{n}"));
            assert_eq!(event.args().unwrap().collect::<Vec<_>>(), [format!("key{n}"), format!("value{n}")]);
            assert_eq!(event.metadata().map(|(_, value)| value).collect::<Vec<_>>(), [format!("value{n}")]);
            assert_eq!(event.exit_code(), Some(-1));
            assert_eq!((event.duration(), event.error()), (None, None));
        }
    }

    #[test]
    fn a_selection_outlives_the_batch_it_came_from() {
        let batch = numbered(10);
        let odd = batch.select(&[9, 1, 3]);
        drop(batch);
        assert_eq!(odd.view().iter().map(|event| event.id()).collect::<Vec<_>>(), ["9", "1", "3"]);
    }

    #[test]
    fn an_absent_list_is_not_an_empty_one() {
        let batch = Batch::build::<_, std::convert::Infallible>((), |(), writer| {
            writer.push(&EventFields { args: Some(&[]), ..EventFields::default() });
            writer.push(&EventFields::default());
            Ok(())
        })
        .unwrap();
        let args: Vec<_> = batch.view().iter().map(|event| event.args().map(|args| args.len())).collect();
        assert_eq!(args, [Some(0), None]);
    }
}
