use postfold::{Timestamp, parse_time};
use postfold_fuzz::{corpus, fuzz, nearly};
use proptest::prelude::*;

#[test]
fn a_time_that_is_taken_is_the_same_written_and_read_again() {
    fuzz(&nearly(corpus("times.txt")), |bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Ok(time) = parse_time(&text) {
            prop_assert_eq!(Ok(time), text.parse::<Timestamp>().map_err(drop), "{}", &text);
            prop_assert_eq!(time.as_nanosecond() % 1_000, 0, "{}", &text);
            prop_assert!(text.is_ascii() && text.len() >= 20, "{}", &text);
            prop_assert_eq!(parse_time(&time.to_string()), Ok(time));
        }
        Ok(())
    });
}
