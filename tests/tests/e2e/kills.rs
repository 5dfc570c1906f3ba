//! Runs that are killed at random moments while events come.

use jackfield_tests::{
    cli,
    kill_loop::{BATCH_EVENTS, Destination, Input, kill_loop, lines_of_a_block},
    peers::rabbitmq::broker,
    plugin,
};

use crate::rabbitmq::unique;

const KILLS: usize = 10;

/// Fails unless all events arrive, and on average a kill makes at most one batch be sent again and one block be read again.
fn nothing_is_lost(input: Input, destination: Destination) {
    let found = kill_loop(&cli(), &plugin(destination.plugin_name()), input, destination, KILLS);
    assert_eq!(found.lost, 0, "{found:?}");
    assert!(found.sent_again <= KILLS * BATCH_EVENTS, "more than a batch a kill on average: {found:?}");
    assert!(found.read_again <= KILLS * lines_of_a_block(), "more than a block a kill on average: {found:?}");
}

#[test]
fn kills_at_random_moments_lose_no_event_into_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    nothing_is_lost(Input::Pipe, Destination::file(folder.path()));
}

#[test]
fn kills_at_random_moments_lose_no_event_of_a_fifo() {
    let folder = tempfile::tempdir().expect("a folder");
    nothing_is_lost(Input::Fifo, Destination::file(folder.path()));
}

#[test]
fn kills_at_random_moments_lose_no_event_into_rabbitmq() {
    nothing_is_lost(Input::Pipe, Destination::rabbitmq(broker(), &unique("kills")));
}

#[test]
fn kills_at_random_moments_lose_no_event_into_otlp() {
    nothing_is_lost(Input::Pipe, Destination::otlp());
}
