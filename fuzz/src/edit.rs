//! What is done to a text.

use proptest::prelude::*;
use proptest::sample::Index;

/// Words that parsers are known to stumble over, and those of the contract.
pub const WORDS: &[&str] = &[
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\u{0}",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "\u{10ffff}",
    "é",
    "٣",
    "ſ",
    "\\ud800",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "{}",
    "[]",
    "\"\"",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "01",
    "1e3",
    "1e999",
    "1.",
    ".5",
    "+1",
    "1,5",
    "0.00",
    "1.500",
    "12.50",
    "0.000000000000000001",
    "0.0000000000000000001",
    "9999999999999999999999999999",
    "99999999999999999999999999999",
    "79228162514264337593543950335",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "NaN",
    "Infinity",
    "EUR",
    "JPY",
    "POINTS",
    "eur",
    "XAU",
    "user/42",
    "/",
    "a:b",
    "a::b",
    "a: b",
    "till",
    "sales",
    "wallet:1",
    "wallet:2",
    "1970-01-01",
    "2025-02-29",
    "2025-03-01T12:00:00Z",
    "2025-03-01T12:00:00.000001Z",
    "2025-03-01T12:00:00.0000001Z",
    "2025-03-01T24:00:00Z",
    "2025-03-01T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "+010000-01-01T00:00:00Z",
    "-000001-01-01T00:00:00Z",
    "do",
    "id",
    "at",
    "meta",
    "correlation",
    "post",
    "transfer",
    "hold",
    "settle",
    "void",
    "reverse",
    "batch",
    "record",
    "legs",
    "account",
    "debit",
    "credit",
    "amount",
    "currency",
    "from",
    "to",
    "floor",
    "ceiling",
    "daily_out",
    "limits",
    "data",
    "commands",
    "atomic",
    "expected_version",
    "keep_rest",
    "up_to",
    "force",
    "scale",
    "clock",
];

/// One change of a text; places are shares of its length.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Cut(Index, Index),
    Repeat(Index, Index, u8),
    Move(Index, Index, Index),
    /// A piece of another text of the corpus.
    Splice(Index, Index, Index, Index),
    /// What stands between two signs of punctuation.
    Word(Index, Index),
    Insert(Index, Index),
    Byte(Index, u8),
    End(Index),
}

impl Arbitrary for Edit {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let at = any::<Index>;
        prop_oneof![
            2 => (at(), at()).prop_map(|(from, to)| Self::Cut(from, to)),
            2 => (at(), at(), any::<u8>()).prop_map(|(from, to, times)| Self::Repeat(from, to, times)),
            2 => (at(), at(), at()).prop_map(|(from, to, into)| Self::Move(from, to, into)),
            2 => (at(), at(), at(), at()).prop_map(|(seed, from, to, into)| Self::Splice(seed, from, to, into)),
            8 => (at(), at()).prop_map(|(place, word)| Self::Word(place, word)),
            2 => (at(), at()).prop_map(|(place, word)| Self::Insert(place, word)),
            1 => (at(), any::<u8>()).prop_map(|(place, byte)| Self::Byte(place, byte)),
            1 => at().prop_map(Self::End),
        ]
        .boxed()
    }
}

/// Longest text that is made.
const BYTES_MAX: usize = 64 * 1024;

pub(crate) fn edited(seeds: &[Vec<u8>], seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = seed.to_vec();
    for edit in edits {
        apply(edit, &mut text, seeds);
        text.truncate(BYTES_MAX);
    }
    text
}

fn apply(edit: &Edit, text: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let length = text.len();
    let place = |index: &Index| index.index(length + 1);
    match edit {
        Edit::Cut(from, to) => drop(text.drain(range(place(from), place(to)))),
        Edit::Repeat(from, to, times) => {
            let range = range(place(from), place(to));
            let piece = text[range.clone()].repeat(usize::from(*times));
            text.splice(range, piece);
        }
        Edit::Move(from, to, into) => {
            let piece: Vec<u8> = text.drain(range(place(from), place(to))).collect();
            let into = into.index(text.len() + 1);
            text.splice(into..into, piece);
        }
        Edit::Splice(seed, from, to, into) => {
            let other = seed.get(seeds);
            let piece = &other[range(from.index(other.len() + 1), to.index(other.len() + 1))];
            let into = place(into);
            text.splice(into..into, piece.iter().copied());
        }
        Edit::Word(at, word) => {
            let between = tokens(text);
            text.splice(at.get(&between).clone(), word.get(WORDS).bytes());
        }
        Edit::Insert(at, word) => {
            let at = place(at);
            text.splice(at..at, word.get(WORDS).bytes());
        }
        Edit::Byte(at, byte) if length > 0 => text[at.index(length)] = *byte,
        Edit::Byte(..) => {}
        Edit::End(at) => text.truncate(place(at)),
    }
}

const fn range(one: usize, other: usize) -> std::ops::Range<usize> {
    if one < other { one..other } else { other..one }
}

/// The pieces between two signs of punctuation; at least one, which may be empty.
fn tokens(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let is_sign = |byte: &u8| b"\"{}[]:,;_-./ ".contains(byte);
    let mut tokens = Vec::new();
    let mut start = 0;
    for end in (0..text.len()).filter(|at| is_sign(&text[*at])).chain([text.len()]) {
        if start < end || end == text.len() {
            tokens.push(start..end);
        }
        start = end + 1;
    }
    tokens.retain(|token| token.start <= token.end);
    if tokens.is_empty() {
        tokens.push(0..0);
    }
    tokens
}
