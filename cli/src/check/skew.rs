//! Hosts of other versions, and what any host may do.

use std::{thread, time::Duration};

use jackfield_loader::conformance::{Empty, HostKind, Terms, late_uses};

use super::{
    endpoint,
    finding::{CancellationToken, Checked, fail},
    ground::{self, Ground, SHORT, TIMEOUT},
    samples::{self, Sample},
};

fn under(ground: &Ground, host: HostKind) -> Result<(), CancellationToken> {
    let instance = ground.open_for(host)?;
    let terms = Terms::new(TIMEOUT).host(host);
    let further = host == HostKind::Newer;
    let batch = samples::batch((0..20).map(|number| Sample { further, ..Sample::new(number) }).collect());
    ground::send(&instance, &batch, &terms)?;
    if let Some(answer) = instance.preview(&batch, &terms) {
        ground::judge("preview", &answer, &terms)?;
    }
    ground::end(instance, host)
}

pub(super) fn older(ground: &Ground) -> Checked {
    under(ground, HostKind::Older)?;
    Ok("ABI minor 0, one table, no log records wanted, names without text".to_owned())
}

pub(super) fn newer(ground: &Ground) -> Checked {
    under(ground, HostKind::Newer)?;
    Ok("a larger ABI minor, unknown tables in every list, unknown bits and members of events".to_owned())
}

/// A pointer means nothing where the length is 0.
pub(super) fn empty_pointers(ground: &Ground) -> Checked {
    let instance = ground.open()?;
    for empty in [Empty::Null, Empty::Dangling] {
        let terms = Terms::new(TIMEOUT).empty(empty);
        let blank =
            Sample { blank: true, args: Some(Vec::new()), metadata: Some(Vec::new()), ..Sample::new(0) };
        ground::send(&instance, &samples::batch(vec![blank, Sample::new(1)]), &terms)?;
        ground::send(&instance, &samples::ordinary(0), &terms)?;
    }
    ground::end(instance, HostKind::Today)?;
    Ok("empty views that are null, and ones that lead nowhere".to_owned())
}

/// Nothing uses a call that has returned.
pub(super) fn late_calls(ground: &Ground) -> Checked {
    let instance = match endpoint::open_at(ground, endpoint::closed()?) {
        Err(CancellationToken::Skip(_)) => ground.open()?,
        other => other?,
    };
    ground::send(&instance, &samples::ordinary(10), &Terms::new(SHORT))?;
    thread::sleep(Duration::from_millis(300));
    ground::end(instance, HostKind::Today)?;
    match late_uses() {
        0 => Ok("no call is used after it has returned".to_owned()),
        count => Err(fail(
            format!("calls were used after they had returned: {count} times in all"),
            "the call and its events are borrowed until the function returns: end what works on them before",
        )),
    }
}
