//! The log of the host that a plugin sees, and what is wrong with a plugin's records.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::Mutex;

use jackfield_plugin_api::abi;

use super::late::note_record;
use crate::boundary::process::lock;

/// More breaches are not kept.
pub(super) const MOST_BREACHES: usize = 8;

/// A record may come from any thread, and without a call.
static BREACHES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Breaches of the contract by log records, in words.
#[must_use]
pub fn log_breaches() -> Vec<String> {
    lock(&BREACHES).iter().cloned().collect()
}

fn breach(what: impl Into<String>) {
    let mut breaches = lock(&BREACHES);
    if breaches.len() < MOST_BREACHES {
        breaches.insert(what.into());
    }
}

/// What is wrong with a view of text.
///
/// # Safety
/// The view is readable.
pub(super) unsafe fn text_breach(whose: &str, view: abi::Str) -> Option<String> {
    if view.ptr.is_null() && view.len > 0 {
        return Some(format!("{whose} is null and has a length"));
    }
    // SAFETY: the caller vouches for it.
    unsafe { view.to_str() }.is_err().then(|| format!("{whose} is not UTF-8"))
}

/// Judges what a plugin says of a record before and with it.
///
/// # Safety
/// The target is readable.
pub(super) unsafe fn judge(level: u32, target: abi::Str) {
    if !(abi::LEVEL_ERROR..=abi::LEVEL_TRACE).contains(&level) {
        breach(format!("the level {level} of a log record is unknown"));
    }
    // SAFETY: the caller vouches for it.
    unsafe { text_breach("the target of a log record", target) }.into_iter().for_each(breach);
}

pub(super) unsafe extern "C" fn log(_context: *const c_void, record: *const abi::LogRecord) {
    note_record();
    // SAFETY: the contract requires a readable record.
    let Some(record) = (unsafe { record.as_ref() }) else { return breach("a log record is null") };
    // SAFETY: as above, for the record's texts.
    unsafe { judge(record.level, record.target) };
    for (whose, text) in
        [("the file of a log record", record.file), ("the message of a log record", record.message)]
    {
        // SAFETY: as above.
        unsafe { text_breach(whose, text) }.into_iter().for_each(breach);
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn what_is_wrong_with_a_record_is_named() {
        let record = |level, message| abi::LogRecord {
            level,
            line: 0,
            target: abi::Str::new("here"),
            file: abi::Str::EMPTY,
            message,
        };
        let bytes = [b'a', 0xff];
        let (no_text, no_bytes) =
            (abi::Str { ptr: bytes.as_ptr(), len: 2 }, abi::Str { ptr: ptr::null(), len: 2 });
        let lines = record(abi::LEVEL_INFO, abi::Str::new("two\nlines"));
        let records = [lines, record(9, no_text), record(abi::LEVEL_TRACE, no_bytes)];
        // SAFETY: the texts are readable, or null.
        unsafe {
            records.iter().for_each(|record| log(ptr::null(), record));
            log(ptr::null(), ptr::null());
            judge(0, no_text);
        }
        let expected = [
            "a log record is null",
            "the level 0 of a log record is unknown",
            "the level 9 of a log record is unknown",
            "the message of a log record is not UTF-8",
            "the message of a log record is null and has a length",
            "the target of a log record is not UTF-8",
        ];
        assert_eq!(log_breaches(), expected);
    }
}
