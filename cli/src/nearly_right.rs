//! Command lines that are nearly right: read, or refused with a message.

use clap::FromArgMatches;
use postfold_fuzz::{corpus, fuzz, nearly};
use proptest::prelude::*;

use crate::args::{self, Arguments};
use crate::models::Models;

#[test]
fn a_time_past_the_end_of_the_clock_is_no_time_to_wait() {
    let read = |seconds: &str| {
        let line = ["postfold", "project", "run", "--lease", seconds];
        args::command(&Models::stock().names()).try_get_matches_from(line).is_ok()
    };
    assert!(read("5") && read("0.5") && read("31536000"));
    for seconds in ["0", "-1", "31536001", "1e19", "1e999", "NaN", "inf", ""] {
        assert!(!read(seconds), "{seconds}");
    }
}

#[test]
fn a_command_line_that_is_nearly_right_is_read_or_refused_with_a_message() {
    let command = args::command(&Models::stock().names());
    fuzz(&nearly(corpus("command_lines.txt")), |line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        let read = command.clone().try_get_matches_from(line.split(' '));
        let read = read.and_then(|matches| Arguments::from_arg_matches(&matches));
        if let Err(error) = read {
            prop_assert!(!error.to_string().is_empty(), "{}", line);
        }
        Ok(())
    });
}
