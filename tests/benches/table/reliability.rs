//! How many events are lost, and how many arrive again, when `jackfield run` is killed at random moments.

use jackfield_tests::{
    Build,
    kill_loop::{BATCH_EVENTS, Destination, Input, kill_loop, lines_of_a_block},
    peers::rabbitmq::broker,
};

use crate::rows::Rows;

const KILLS: usize = 50;

pub(crate) fn measure(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let cli = Build::package("jackfield-cli").release().binary("jackfield");
    for destination in
        [Destination::file(folder.path()), Destination::rabbitmq(broker(), "kills"), Destination::otlp()]
    {
        let name = destination.plugin_name();
        let plugin = Build::plugin(name).release().library();
        let found = kill_loop(&cli, &plugin, Input::Pipe, destination, KILLS);
        let met = |is_met| if is_met { "met" } else { "missed" };
        rows.figure(
            &format!("{name}: events lost, of {} during {KILLS} kills", found.written),
            found.lost.to_string(),
            format!("0: {}", met(found.lost == 0)),
        );
        for (what, count, most) in [
            ("sent again: the batch under way", found.sent_again, BATCH_EVENTS),
            ("read again from the pipe", found.read_again, lines_of_a_block()),
        ] {
            let percent = 100.0 * count as f64 / found.written as f64;
            rows.figure(
                &format!("{name}: events {what}"),
                format!("{count} ({percent:.1} %), {} a kill on average", count / KILLS),
                format!("at most {most} a kill on average: {}", met(count <= KILLS * most)),
            );
        }
    }
}
