//! Hosts of other versions, and rules for all hosts.

use std::{thread, time::Duration};

use jackfield_loader::conformance::{Empty, HostKind, Memory, Terms};

use crate::check::{
    endpoint, fake_platform,
    harness::{self, CheckError, CheckResult, Harness, SHORT, TIMEOUT},
    sample_events::{self, Sample},
};

fn under(harness: &Harness, host: HostKind) -> Result<(), CheckError> {
    let instance = harness.open_for(host)?;
    let terms = Terms::new(TIMEOUT).host(host);
    let further = host == HostKind::Newer;
    let batch =
        sample_events::batch((0..20).map(|number| Sample { further, ..Sample::new(number) }).collect());
    harness::send(&instance, &batch, &terms)?;
    if let Some(answer) = instance.preview(&batch, &terms) {
        harness::judge("preview", &answer, &terms)?;
    }
    harness::close(&instance, host)?;
    harness::free(instance)
}

pub(super) fn older(harness: &Harness) -> CheckResult {
    under(harness, HostKind::Older)?;
    Ok("ABI minor 0, one table, no log records wanted, names without text".to_owned())
}

pub(super) fn newer(harness: &Harness) -> CheckResult {
    under(harness, HostKind::Newer)?;
    Ok("a larger ABI minor, unknown tables in every list, unknown bits and members of events".to_owned())
}

/// Opens an instance and sends every shape of events, in memory of this kind.
fn in_memory(harness: &Harness, memory: Memory) -> Result<(), CheckError> {
    let terms = Terms::new(TIMEOUT).memory(memory);
    let instance = harness.open_with(&harness.task.config, &terms)?;
    harness::send(&instance, &sample_events::batch(sample_events::shapes()), &terms)?;
    harness::send(&instance, &sample_events::ordinary(100), &terms)?;
    harness::end(instance)
}

/// The host's tables, the configuration, the batch and the call belong to the host.
pub(super) fn read_only(harness: &Harness) -> CheckResult {
    in_memory(harness, Memory::ReadOnly)?;
    Ok("host, configuration, batch, events and call in memory that can't be written".to_owned())
}

/// What a call was given is not used after it has returned.
pub(super) fn lent_memory(harness: &Harness) -> CheckResult {
    in_memory(harness, Memory::Lent)?;
    // A thread that still runs may use it.
    harness.wait_for_threads();
    Ok("what a call was given can't be read after it has returned".to_owned())
}

/// A view has a length, and nothing behind it is the plugin's to read.
pub(super) fn view_ends(harness: &Harness) -> CheckResult {
    in_memory(harness, Memory::Guarded)?;
    Ok("memory ends behind the configuration, and behind each text and list of events".to_owned())
}

/// A pointer has no meaning if the length is 0.
pub(super) fn empty_pointers(harness: &Harness) -> CheckResult {
    let instance = harness.open()?;
    for empty in [Empty::Null, Empty::Dangling] {
        let terms = Terms::new(TIMEOUT).empty(empty);
        let blank =
            Sample { blank: true, args: Some(Vec::new()), metadata: Some(Vec::new()), ..Sample::new(0) };
        harness::send(&instance, &sample_events::batch(vec![blank, Sample::new(1)]), &terms)?;
        harness::send(&instance, &sample_events::ordinary(0), &terms)?;
    }
    harness::end(instance)?;
    Ok("empty views with a null pointer, and with a dangling pointer".to_owned())
}

/// The plugin must not use a call that has returned, which [`child`](crate::check::child) looks for after each check.
pub(super) fn late_calls(harness: &Harness) -> CheckResult {
    let (instance, _) = endpoint::open_at_or_configured(harness, fake_platform::closed_address()?)?;
    harness::send_ordinary(&instance, 10, SHORT)?;
    // This is time for a thread of the plugin to use the call too late, which no event tells.
    thread::sleep(Duration::from_millis(300));
    // A call that is kept may be used in the next one.
    harness::send_ordinary(&instance, 10, SHORT)?;
    harness::end(instance)?;
    Ok("no call is used after it has returned".to_owned())
}
