//! The tables that a plugin may have: deletion and diagnostics.

use jackfield_loader::{
    conformance::{HostKind, Terms},
    plugin_api::{abi, deletion, diagnostics},
};

use super::{
    endpoint::{self, Hung},
    finding::{CancellationToken, Checked, fail, skip},
    ground::{self, Ground, SHORT, TIMEOUT},
    samples,
};

pub(super) fn deletion(ground: &Ground) -> Checked {
    let instance = match endpoint::open_at(ground, endpoint::closed()?) {
        Err(CancellationToken::Skip(_)) => ground.open()?,
        other => other?,
    };
    let terms = Terms::new(SHORT);
    let Some(answer) =
        instance.request_deletion("00000000000000000000000000000000", &samples::ordinary(1), &terms)
    else {
        return Err(skip("the plugin does not offer it"));
    };
    ground::judge("request", &answer, &terms)?;
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
    ground::end(instance, HostKind::Today)?;
    Ok(format!("{word}: {}", ground::said(&answer)))
}

pub(super) fn preview(ground: &Ground) -> Checked {
    let hung = Hung::start()?;
    let instance = match endpoint::open_at(ground, hung.address()?) {
        Err(CancellationToken::Skip(_)) => ground.open()?,
        other => other?,
    };
    // What `open` itself has to say to the platform is not the preview's.
    while hung.was_contacted() {}
    let terms = Terms::new(TIMEOUT);
    let Some(answer) = instance.preview(&samples::ordinary(3), &terms) else {
        return Err(skip("the plugin does not offer it"));
    };
    ground::judge("preview", &answer, &terms)?;
    if hung.was_contacted() {
        return Err(fail(
            "`preview` went to the platform",
            "a preview hands over what `send` would send, and sends nothing",
        ));
    }
    let (labels, bytes) = &answer.previewed;
    if answer.status != abi::STATUS_OK || labels.is_empty() {
        return Err(fail(
            format!("`preview` showed nothing of 3 events: {}", ground::said(&answer)),
            "hand each request or message that `send` would make to `sink->message`",
        ));
    }
    if labels.iter().any(String::is_empty) {
        return Err(fail(
            "a message of `preview` has no label",
            "label each with one line, such as its method and URL",
        ));
    }
    ground::end(instance, HostKind::Today)?;
    Ok(format!("{} messages, {bytes} bytes, and nothing was sent", labels.len()))
}

pub(super) fn probe(ground: &Ground) -> Checked {
    let mut seen = Vec::new();
    let hung = Hung::start()?;
    for (address, whom) in [
        (endpoint::closed()?, " by a platform that is away"),
        (hung.address()?, " by a platform that does not answer"),
    ] {
        let (instance, whom) = match endpoint::open_at(ground, address) {
            Err(CancellationToken::Skip(_)) => (ground.open()?, ""),
            other => (other?, whom),
        };
        let terms = Terms::new(SHORT);
        let Some(answer) = instance.probe(&terms) else { return Err(skip("the plugin does not offer it")) };
        ground::judge("probe", &answer, &terms)?;
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
        ground::end(instance, HostKind::Today)?;
        seen.push(format!("{word} after {}{whom}", ground::seconds(answer.took)));
    }
    seen.dedup();
    Ok(seen.join(", "))
}

/// What is behind an answer is for people.
fn explained(what: &str, answer: &jackfield_loader::conformance::Answer) -> Result<(), CancellationToken> {
    if answer.explained.as_ref().is_none_or(|(_, message)| message.is_empty()) {
        return Err(fail(
            format!("`{what}` says nothing beside its number"),
            "tell through `call->explain` what was asked of whom, or why not: the user reads it",
        ));
    }
    Ok(())
}
