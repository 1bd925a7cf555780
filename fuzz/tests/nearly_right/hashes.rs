use postfold::hash::Fields;
use postfold::{Hash, Position, Timestamp};
use postfold_fuzz::fuzz;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// The ten fields as `docs/hash.md` tells an auditor to write them.
fn encoding(fields: &[Option<String>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        let length = field.as_ref().map_or(-1, |text| i32::try_from(text.len()).unwrap());
        bytes.extend(length.to_be_bytes());
        bytes.extend(field.iter().flat_map(|text| text.bytes()));
    }
    bytes
}

/// What was encoded, if it can be told.
fn decoded(mut bytes: &[u8]) -> Vec<Option<String>> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            fields.push(None);
            bytes = rest;
            continue;
        };
        let (text, rest) = rest.split_at(length);
        fields.push(Some(String::from_utf8(text.to_vec()).unwrap()));
        bytes = rest;
    }
    fields
}

#[test]
fn the_hash_is_that_of_the_documented_encoding_which_tells_any_two_events_apart() {
    let text = || prop_oneof![".{0,8}", prop::sample::select(postfold_fuzz::WORDS).prop_map(str::to_owned)];
    let optional = || prop::option::of(text());
    let times = (-377_705_023_201_000_000_i64..253_402_207_200_000_000, -1_000_000_i64..1_000_000);
    let numbers = (0..i64::MAX, prop::option::of(1..i64::MAX), any::<i16>());
    let row = (optional(), optional(), text(), text(), text(), numbers, times, any::<[u8; 32]>());
    fuzz(&row, |(id, stream, kind, data, meta, (position, version, schema), (effective, recorded), before)| {
        let time = |micros| Timestamp::from_microsecond(micros).unwrap();
        let fields = Fields {
            position: Position::new(position),
            id: id.as_deref(),
            stream: stream.as_deref(),
            version,
            kind: &kind,
            schema,
            data: &data,
            meta: &meta,
            effective_at: time(effective),
            recorded_at: time(recorded),
        };
        let before = Hash::from_slice(&before).unwrap();
        let hash = before.chain(&fields);
        let number = |number: i64| Some(number.to_string());
        let written = vec![
            number(position),
            id.clone(),
            stream.clone(),
            version.and_then(number),
            Some(kind.clone()),
            number(schema.into()),
            Some(data.clone()),
            Some(meta.clone()),
            number(effective),
            number(recorded),
        ];
        let bytes = encoding(&written);
        let digest = Sha256::new().chain_update(before.as_bytes()).chain_update(&bytes).finalize();
        prop_assert_eq!(hash.as_bytes().as_slice(), digest.as_slice());
        prop_assert_eq!(decoded(&bytes), written);
        Ok(())
    });
}

#[test]
fn hashes_and_fingerprints_are_read_from_their_text_alone() {
    let seeds = [64, 32, 31].map(|length| "0a9f".repeat(16).as_bytes()[..length].to_vec()).to_vec();
    fuzz(&postfold_fuzz::nearly(seeds), |text| {
        let text = String::from_utf8_lossy(&text).into_owned();
        let hash = serde_json::from_value::<Hash>(text.clone().into()).map(|hash| hash.to_string());
        prop_assert!(hash.is_err() || hash.ok() == Some(text.to_lowercase()));
        let fingerprint = postfold::command::Fingerprint::from_hex(&text).map(|print| print.to_string());
        prop_assert!(fingerprint.is_none() || fingerprint == Some(text.to_lowercase()));
        prop_assert_eq!(Hash::from_slice(text.as_bytes()).is_some(), text.len() == 32);
        Ok(())
    });
}
