//! Every format and every ending, over HTTP/1.1 and HTTP/2 on both sides: what the client got, how it was counted and logged, and what the provider saw.
//! The rules that say what must come out stand in `endings`, and know nothing of the relay's code.

mod cell;
mod client;
#[allow(dead_code, reason = "shared with the wire tests, which use the rest")]
#[path = "../wire/config.rs"]
mod config;
mod endings;
mod formats;
#[allow(dead_code, reason = "shared with the wire tests, which use the rest")]
#[path = "../wire/house.rs"]
mod house;
mod log;
#[allow(dead_code, reason = "shared with the wire tests, which use the rest")]
#[path = "../wire/raw.rs"]
mod raw;
mod told;

use cell::Cell;
use client::Protocol;
use endings::Ending;
use formats::FORMATS;

/// One row of the matrix: all formats.
fn row(ending: Ending, client: Protocol, upstream: Protocol) {
    let cells = FORMATS.iter().map(|format| Cell { format, ending, client, upstream });
    let found: Vec<String> = cells.flat_map(Cell::differences).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

macro_rules! rows {
    ($($name:ident: $ending:ident,)+) => {
        rows!(@over h1_to_h1 H1 H1 $($name $ending)+);
        rows!(@over h2_to_h1 H2 H1 $($name $ending)+);
        rows!(@over h1_to_h2 H1 H2 $($name $ending)+);
        rows!(@over h2_to_h2 H2 H2 $($name $ending)+);
    };
    (@over $module:ident $client:ident $upstream:ident $($name:ident $ending:ident)+) => {
        mod $module {
            $(#[test] fn $name() { crate::row(crate::Ending::$ending, crate::Protocol::$client, crate::Protocol::$upstream); })+
        }
    };
}

rows! {
    a_whole_answer_passes_unchanged_and_is_complete: Complete,
    a_client_that_leaves_cancels_the_upstream: ClientGone,
    an_upstream_that_breaks_off_is_told: Cut,
    an_upstream_whose_connection_is_reset_is_told: Reset,
    an_answer_without_its_end_is_told_where_the_format_has_one: Truncated,
    an_answer_short_of_its_length_breaks_the_framing: ShortLength,
    an_upstream_that_breaks_http_is_told: BadChunk,
    no_head_in_time_is_a_504: NoHead,
    no_first_byte_in_time_is_a_504: NoFirstByte,
    a_pause_too_long_is_told: Idle,
    an_answer_that_takes_too_long_is_told: Total,
    a_shutdown_that_can_not_wait_is_told: Drained,
    a_budget_that_is_spent_is_told: Spent,
    an_error_midway_passes_and_is_counted: ErrorMidway,
    an_error_in_place_of_the_answer_passes_and_is_counted: ErrorFirst,
}
