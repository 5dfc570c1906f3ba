//! The optional tables of a plugin: deletion and diagnostics.

use std::time::Duration;

use jackfield_loader::{
    conformance::{Answer, Instance, Terms},
    plugin_api::{Outcome, abi, deletion, diagnostics},
};

use crate::check::{
    endpoint,
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, CheckResult, Harness, SHORT, TIMEOUT, fail, skip},
    sample_events,
};

const NO_TABLE: &str = "the plugin does not offer it";

const SENT: &str = "sent";
const REACHABLE: &str = "reachable";
const UNREACHABLE: &str = "unreachable";
const REFUSED: &str = "refused";

pub(super) fn deletion(harness: &Harness) -> CheckResult {
    let (instance, is_away) = endpoint::open_at_or_configured(harness, fake_platform::closed_address()?)?;
    let terms = Terms::new(SHORT);
    let answer = instance.request_deletion(sample_events::MACHINE, &sample_events::ordinary(1), &terms);
    let answer = answer.ok_or_else(|| skip(NO_TABLE))?;
    harness::judge("request", &answer, &terms)?;
    let words = [
        (deletion::DELETION_SENT, SENT),
        (deletion::DELETION_UNSUPPORTED, "unsupported"),
        (deletion::DELETION_FAILED, "failed"),
    ];
    let word = explained("request", &answer, "DELETION_", &words)?;
    let can_know = harness.subject.plugin().metadata().acknowledges;
    if word == SENT && is_away && can_know {
        return Err(fail(
            "the request is reported as sent to a platform that is away",
            "answer DELETION_SENT when the platform has taken the request, and DELETION_FAILED when it has not",
        ));
    }
    harness::end(instance)?;
    Ok(format!("{word}: {}", harness::said(&answer)))
}

pub(super) fn preview(harness: &Harness) -> CheckResult {
    let silent = SilentPlatform::start()?;
    let (instance, _) = endpoint::open_at_or_configured(harness, silent.address()?)?;
    // `open` may contact the platform, but `preview` must not.
    while silent.was_contacted() {}
    let terms = Terms::new(TIMEOUT);
    let answer = instance.preview(&sample_events::ordinary(3), &terms).ok_or_else(|| skip(NO_TABLE))?;
    harness::judge("preview", &answer, &terms)?;
    if silent.was_contacted() {
        return Err(fail(
            "`preview` went to the platform",
            "a preview shows the requests of `send`, and sends nothing",
        ));
    }
    let (labels, bytes) = &answer.previewed;
    if answer.status != abi::STATUS_OK || labels.is_empty() {
        return Err(fail(
            format!("`preview` showed nothing of 3 events: {}", harness::said(&answer)),
            "hand each request or message that `send` would make to `sink->message`",
        ));
    }
    if labels.iter().any(String::is_empty) {
        return Err(fail(
            "a message of `preview` has no label",
            "label each with one line, such as its method and URL",
        ));
    }
    harness::end(instance)?;
    Ok(format!("{} messages, {bytes} bytes, and nothing was sent", labels.len()))
}

pub(super) fn probe(harness: &Harness) -> CheckResult {
    let (away, silent) = (fake_platform::closed_address()?, SilentPlatform::start()?);
    let mut seen = Vec::new();
    for (address, platform) in
        [(away, "by a platform that is away"), (silent.address()?, "by a platform that does not answer")]
    {
        let (instance, is_placed) = endpoint::open_at_or_configured(harness, address)?;
        while silent.was_contacted() {}
        let (word, took) = probed(&instance)?;
        // A platform that accepts a connection may be all that can be told.
        if word == REACHABLE && is_placed && (address == away || !silent.was_contacted()) {
            return Err(fail(
                format!("`probe` says that the platform is reachable, {platform}"),
                "answer PROBE_REACHABLE when the platform has answered, and PROBE_UNSUPPORTED when that can't be found out",
            ));
        }
        harness::end(instance)?;
        let platform = if is_placed { format!(" {platform}") } else { String::new() };
        seen.push(format!("{word} after {}{platform}", harness::seconds(took)));
    }
    seen.dedup();
    if harness.subject.plugin().metadata().acknowledges
        && let Some(word) = probed_delivering(harness.open()?, &[UNREACHABLE, REFUSED])?
    {
        seen.push(format!("{word} by the given one, which takes events"));
    }
    let kits = match harness.task.answering.map(|address| endpoint::open_at(harness, address)) {
        None | Some(Err(CheckError::Skipped(_))) => None,
        Some(opened) => Some(opened?),
    };
    // What its answer to a probe means is the plugin's affair.
    if let Some(instance) = kits
        && let Some(word) = probed_delivering(instance, &[UNREACHABLE])?
    {
        seen.push(format!("{word} by one that answers"));
    }
    Ok(seen.join(", "))
}

/// The answer of a probe in a word, and its time.
fn probed(instance: &Instance) -> Result<(&'static str, Duration), CheckError> {
    let words = [
        (diagnostics::PROBE_REACHABLE, REACHABLE),
        (diagnostics::PROBE_UNREACHABLE, UNREACHABLE),
        (diagnostics::PROBE_REFUSED, REFUSED),
        (diagnostics::PROBE_UNSUPPORTED, "unsupported"),
    ];
    let terms = Terms::new(SHORT);
    let answer = instance.probe(&terms).ok_or_else(|| skip(NO_TABLE))?;
    harness::judge("probe", &answer, &terms)?;
    Ok((explained("probe", &answer, "PROBE_", &words)?, answer.took))
}

/// The answer of a probe of a platform to which an event is delivered, which is none of the `wrong` ones. None where no event is.
fn probed_delivering(instance: Instance, wrong: &[&str]) -> Result<Option<&'static str>, CheckError> {
    // Other checks judge it.
    let answer = instance.send(&sample_events::ordinary(1), &Terms::new(TIMEOUT));
    let delivers = answer.outcomes.contains(&Some(Outcome::Delivered));
    let word = if delivers { Some(probed(&instance)?.0) } else { None };
    harness::end(instance)?;
    match word {
        Some(word) if wrong.contains(&word) => Err(fail(
            format!("`probe` says `{word}` of the platform to which `send` delivers"),
            "ask the platform as `send` does, or answer PROBE_UNSUPPORTED",
        )),
        word => Ok(word),
    }
}

/// The word for the number in the answer, which the plugin has to explain.
fn explained(
    what: &str,
    answer: &Answer,
    numbers: &str,
    words: &[(u32, &'static str)],
) -> Result<&'static str, CheckError> {
    let word = match words.iter().find(|(number, _)| *number == answer.number) {
        _ if answer.status != abi::STATUS_OK => "failed",
        Some((_, word)) => word,
        None => {
            let found = format!("`{what}` answered {}", answer.number);
            return Err(fail(found, format!("write one of the {numbers} numbers to `answer`")));
        }
    };
    if answer.explained.as_ref().is_none_or(|(_, message)| message.is_empty()) {
        return Err(fail(
            format!("`{what}` does not explain its answer"),
            "say through `call->explain` which platform was asked for what, or why it was not asked: the user reads it",
        ));
    }
    Ok(word)
}
