//! The optional tables of a plugin: deletion and diagnostics.

use jackfield_loader::{
    conformance::{Answer, Terms},
    plugin_api::{abi, deletion, diagnostics},
};

use crate::check::{
    fake_platform::{self, SilentPlatform},
    harness::{self, CheckError, CheckResult, Harness, SHORT, TIMEOUT, fail, skip},
    sample_events,
};

const NO_TABLE: &str = "the plugin does not offer it";

pub(super) fn deletion(harness: &Harness) -> CheckResult {
    let (instance, _) = fake_platform::open_at_or_configured(harness, fake_platform::closed_address()?)?;
    let terms = Terms::new(SHORT);
    let machine = "00000000000000000000000000000000";
    let answer = instance.request_deletion(machine, &sample_events::ordinary(1), &terms);
    let answer = answer.ok_or_else(|| skip(NO_TABLE))?;
    harness::judge("request", &answer, &terms)?;
    let words = [
        (deletion::DELETION_SENT, "sent"),
        (deletion::DELETION_UNSUPPORTED, "unsupported"),
        (deletion::DELETION_FAILED, "failed"),
    ];
    let word = explained("request", &answer, "DELETION_", &words)?;
    harness::end(instance)?;
    Ok(format!("{word}: {}", harness::said(&answer)))
}

pub(super) fn preview(harness: &Harness) -> CheckResult {
    let silent = SilentPlatform::start()?;
    let (instance, _) = fake_platform::open_at_or_configured(harness, silent.address()?)?;
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
    let mut seen = Vec::new();
    let silent = SilentPlatform::start()?;
    let words = [
        (diagnostics::PROBE_REACHABLE, "reachable"),
        (diagnostics::PROBE_UNREACHABLE, "unreachable"),
        (diagnostics::PROBE_REFUSED, "refused"),
        (diagnostics::PROBE_UNSUPPORTED, "unsupported"),
    ];
    for (address, platform) in [
        (fake_platform::closed_address()?, " by a platform that is away"),
        (silent.address()?, " by a platform that does not answer"),
    ] {
        let (instance, is_placed) = fake_platform::open_at_or_configured(harness, address)?;
        let platform = if is_placed { platform } else { "" };
        let terms = Terms::new(SHORT);
        let answer = instance.probe(&terms).ok_or_else(|| skip(NO_TABLE))?;
        harness::judge("probe", &answer, &terms)?;
        let word = explained("probe", &answer, "PROBE_", &words)?;
        harness::end(instance)?;
        seen.push(format!("{word} after {}{platform}", harness::seconds(answer.took)));
    }
    seen.dedup();
    Ok(seen.join(", "))
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
