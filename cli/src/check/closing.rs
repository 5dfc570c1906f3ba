//! The end of an instance, in every order that the contract allows.

use std::{thread, time::Duration};

use jackfield_loader::{
    conformance::{HostKind, Terms},
    plugin_api::abi,
};

use super::{
    endpoint::{self, Hung},
    finding::{CancellationToken, Checked, fail, skip},
    ground::{self, Ground, SHORT, TIMEOUT},
    samples,
};

pub(super) fn twice(ground: &Ground) -> Checked {
    let instance = ground.open()?;
    ground::send(&instance, &samples::ordinary(1), &Terms::new(TIMEOUT))?;
    ground::close(&instance, HostKind::Today)?;
    let terms = Terms::new(TIMEOUT);
    ground::judge("close", &instance.close(&terms), &terms)?;
    ground::free(instance)?;
    // Without a close before it, as a host does with an instance that has panicked.
    ground::free(ground.open()?)?;
    Ok("closed twice, and freed without being closed".to_owned())
}

pub(super) fn send_after(ground: &Ground) -> Checked {
    let instance = ground.open()?;
    ground::close(&instance, HostKind::Today)?;
    let answer = ground::send(&instance, &samples::ordinary(3), &Terms::new(TIMEOUT))?;
    ground::free(instance)?;
    Ok(match answer.status {
        abi::STATUS_OK => "answered as before".to_owned(),
        _ => format!("answered: {}", ground::said(&answer)),
    })
}

pub(super) fn in_flight(ground: &Ground) -> Checked {
    const BEFORE: Duration = Duration::from_millis(100);
    if ground.subject.is_serial() {
        return Err(skip("a serial plugin is not entered twice at once"));
    }
    let hung = Hung::start()?;
    let instance = match endpoint::open_at(ground, hung.address()?) {
        Err(CancellationToken::Skip(_)) => ground.open()?,
        other => other?,
    };
    let terms = Terms::new(SHORT);
    let closing = Terms::new(TIMEOUT);
    let batch = samples::ordinary(1000);
    let (sent, closed) = thread::scope(|scope| {
        let sender = thread::Builder::new()
            .name("check-send".to_owned())
            .spawn_scoped(scope, || instance.send(&batch, &terms));
        thread::sleep(BEFORE);
        let closed = instance.close(&closing);
        (sender.ok().and_then(|sender| sender.join().ok()), closed)
    });
    let Some(sent) = sent else {
        return Err(fail("no thread can be had", "run it where threads can be started"));
    };
    ground::judge("close", &closed, &closing)?;
    ground::judge("send", &sent, &terms)?;
    ground::free(instance)?;
    Ok(format!("`close` took {}, `send` {}", ground::seconds(closed.took), ground::seconds(sent.took)))
}

pub(super) fn after_failure(ground: &Ground) -> Checked {
    let (instance, how) = match endpoint::open_at(ground, endpoint::closed()?) {
        Err(CancellationToken::Skip(_)) => (ground.open()?, "with a call that was cancelled from the start"),
        other => (other?, "with a platform that is away"),
    };
    let terms = Terms::new(SHORT);
    terms.cancel.cancel();
    ground::send(&instance, &samples::ordinary(10), &terms)?;
    ground::send(&instance, &samples::ordinary(10), &Terms::new(SHORT))?;
    ground::end(instance, HostKind::Today)?;
    Ok(format!("closed {how}"))
}

/// Two instances have nothing to do with each other.
pub(super) fn several(ground: &Ground) -> Checked {
    let (first, second) = (ground.open()?, ground.open()?);
    let before = ground::send(&second, &samples::ordinary(1), &Terms::new(TIMEOUT))?;
    ground::send(&first, &samples::ordinary(1), &Terms::new(TIMEOUT))?;
    ground::end(first, HostKind::Today)?;
    let answer = ground::send(&second, &samples::ordinary(1), &Terms::new(TIMEOUT))?;
    if before.status == abi::STATUS_OK && answer.status != abi::STATUS_OK {
        return Err(fail(
            format!("the end of one instance ended another one: {}", ground::said(&answer)),
            "keep what belongs to an instance in the instance, and nothing in statics",
        ));
    }
    ground::end(second, HostKind::Today)?;
    Ok("one goes on when another has ended".to_owned())
}
