//! The optional tables of a plugin: deletion and diagnostics.

use jackfield_loader::{
    conformance::{Answer, HostKind, Terms},
    plugin_api::{abi, deletion, diagnostics},
};

use crate::check::{
    fake_platform::{self, SilentPlatform},
    finding::{CheckError, CheckResult, fail, skip},
    harness::{self, Harness, SHORT, TIMEOUT},
    sample_events,
};

pub(crate) fn deletion(harness: &Harness) -> CheckResult {
    let (instance, _) = fake_platform::open_at_or_configured(harness, fake_platform::closed_address()?)?;
    let terms = Terms::new(SHORT);
    let Some(answer) =
        instance.request_deletion("00000000000000000000000000000000", &sample_events::ordinary(1), &terms)
    else {
        return Err(skip("the plugin does not offer it"));
    };
    harness::judge("request", &answer, &terms)?;
    let word = match answer.number {
        _ if answer.status != abi::STATUS_OK => "failed",
        deletion::DELETION_SENT => "sent",
        deletion::DELETION_UNSUPPORTED => "unsupported",
        deletion::DELETION_FAILED => "failed",
        number => {
            let found = format!("`request` answered {number}");
            return Err(fail(found, "write one of the DELETION_ numbers to `answer`"));
        }
    };
    explained("request", &answer)?;
    harness::end(instance, HostKind::Today)?;
    Ok(format!("{word}: {}", harness::said(&answer)))
}

pub(crate) fn preview(harness: &Harness) -> CheckResult {
    let silent = SilentPlatform::start()?;
    let (instance, _) = fake_platform::open_at_or_configured(harness, silent.address()?)?;
    // `open` may contact the platform; only `preview` must not.
    while silent.was_contacted() {}
    let terms = Terms::new(TIMEOUT);
    let Some(answer) = instance.preview(&sample_events::ordinary(3), &terms) else {
        return Err(skip("the plugin does not offer it"));
    };
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
    harness::end(instance, HostKind::Today)?;
    Ok(format!("{} messages, {bytes} bytes, and nothing was sent", labels.len()))
}

pub(crate) fn probe(harness: &Harness) -> CheckResult {
    let mut seen = Vec::new();
    let silent = SilentPlatform::start()?;
    for (address, whom) in [
        (fake_platform::closed_address()?, " by a platform that is away"),
        (silent.address()?, " by a platform that does not answer"),
    ] {
        let (instance, is_placed) = fake_platform::open_at_or_configured(harness, address)?;
        let whom = if is_placed { whom } else { "" };
        let terms = Terms::new(SHORT);
        let Some(answer) = instance.probe(&terms) else { return Err(skip("the plugin does not offer it")) };
        harness::judge("probe", &answer, &terms)?;
        let word = match answer.number {
            _ if answer.status != abi::STATUS_OK => "failed",
            diagnostics::PROBE_REACHABLE => "reachable",
            diagnostics::PROBE_UNREACHABLE => "unreachable",
            diagnostics::PROBE_REFUSED => "refused",
            diagnostics::PROBE_UNSUPPORTED => "unsupported",
            number => {
                let found = format!("`probe` answered {number}");
                return Err(fail(found, "write one of the PROBE_ numbers to `answer`"));
            }
        };
        explained("probe", &answer)?;
        harness::end(instance, HostKind::Today)?;
        seen.push(format!("{word} after {}{whom}", harness::seconds(answer.took)));
    }
    seen.dedup();
    Ok(seen.join(", "))
}

/// The plugin has to explain its answer.
fn explained(what: &str, answer: &Answer) -> Result<(), CheckError> {
    if answer.explained.as_ref().is_none_or(|(_, message)| message.is_empty()) {
        return Err(fail(
            format!("`{what}` does not explain its answer"),
            "say through `call->explain` which platform was asked for what, or why it was not asked: the user reads it",
        ));
    }
    Ok(())
}
