//! What the driver's errors mean to a projector. Matched on codes and kinds, never on text.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::store::{StoreError, StoreErrorKind};

/// A key, or the values of a unique index, are taken.
const DUPLICATE_KEY: i32 = 11_000;
/// No such collection (`NamespaceNotFound`).
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The server is about to come back, has another primary, is out of something, or broke off for a reason
/// that passes or that its operator has to see to. Names as in MongoDB's list of error codes.
const PASSING: [i32; 47] = [
    6,      // HostUnreachable
    7,      // HostNotFound
    24,     // LockTimeout
    43,     // CursorNotFound: the server started anew while a cursor was read
    46,     // LockBusy
    50,     // MaxTimeMSExpired
    64,     // WriteConcernTimeout: the write is there, its copies are late
    89,     // NetworkTimeout
    91,     // ShutdownInProgress
    94,     // NotYetInitialized
    112,    // WriteConflict
    117,    // ConflictingOperationInProgress
    133,    // FailedToSatisfyReadPreference
    134,    // ReadConcernMajorityNotAvailableYet
    145,    // PooledConnectionsDropped
    175,    // QueryPlanKilled: the collection was renamed or dropped while it was read
    189,    // PrimarySteppedDown
    202,    // NetworkInterfaceExceededTimeLimit
    215,    // DatabaseDropPending
    216,    // ElectionInProgress
    237,    // CursorKilled
    239,    // SnapshotTooOld
    246,    // SnapshotUnavailable
    249,    // StaleDbVersion
    261,    // TooManyLogicalSessions
    262,    // ExceededTimeLimit
    264,    // TooManyFilesOpen
    276,    // IndexBuildAborted
    314,    // ObjectIsBusy
    365,    // TemporarilyUnavailable
    371,    // UserWritesBlocked
    391,    // ReauthenticationRequired
    402,    // ResourceExhausted
    407,    // PooledConnectionAcquisitionExceededTimeLimit
    433,    // AdmissionQueueOverflow
    449,    // RateLimitExceeded
    9_001,  // SocketException
    10_058, // NotWritablePrimary, as older servers say it
    10_107, // NotWritablePrimary
    11_600, // InterruptedAtShutdown
    11_601, // Interrupted
    11_602, // InterruptedDueToReplStateChange
    13_388, // StaleConfig
    13_435, // NotPrimaryNoSecondaryOk
    13_436, // NotPrimaryOrSecondary
    14_031, // OutOfDiskSpace
    46_841, // ClientMarkedKilled
];

/// The same from DocumentDB, which hands on in a write error what PostgreSQL said, as PostgreSQL keeps it.
/// Seen was `40P01`, whose victim alone is named while its neighbours are done.
const PASSING_SQLSTATES: [i32; 12] = [
    sqlstate(*b"25006"), // read_only_sql_transaction
    sqlstate(*b"40001"), // serialization_failure
    sqlstate(*b"40P01"), // deadlock_detected
    sqlstate(*b"53100"), // disk_full
    sqlstate(*b"53200"), // out_of_memory
    sqlstate(*b"53300"), // too_many_connections
    sqlstate(*b"55P03"), // lock_not_available
    sqlstate(*b"57014"), // query_canceled
    sqlstate(*b"57P01"), // admin_shutdown
    sqlstate(*b"57P02"), // crash_shutdown
    sqlstate(*b"57P03"), // cannot_connect_now
    sqlstate(*b"58030"), // io_error
];

/// The number that PostgreSQL keeps an SQLSTATE as: six bits a character, the first one lowest.
const fn sqlstate(text: [u8; 5]) -> i32 {
    let [first, second, third, fourth, fifth] = text;
    sixbit(first) | sixbit(second) << 6 | sixbit(third) << 12 | sixbit(fourth) << 18 | sixbit(fifth) << 24
}

const fn sixbit(character: u8) -> i32 {
    (character.wrapping_sub(b'0') & 0x3f) as i32
}

/// The document, or the request as it stands, will be refused every time.
const REFUSED: [i32; 26] = [
    2,      // BadValue
    9,      // FailedToParse
    14,     // TypeMismatch
    15,     // Overflow: nested too deep
    16,     // InvalidLength: more statements than a command may have
    22,     // InvalidBSON
    52,     // DollarPrefixedFieldName
    57,     // DottedFieldName
    59,     // CommandNotFound
    66,     // ImmutableField
    67,     // CannotCreateIndex
    72,     // InvalidOptions
    73,     // InvalidNamespace
    85,     // IndexOptionsConflict
    86,     // IndexKeySpecsConflict
    115,    // CommandNotSupported
    121,    // DocumentValidationFailure
    171,    // CannotIndexParallelArrays: two fields of one index hold arrays
    197,    // InvalidIndexSpecificationOption
    238,    // NotImplemented
    10_334, // BSONObjectTooLarge
    17_261, // a text index met a language that is no text
    17_262, // a text index met a language that it does not know
    17_419, // a document grew past what a collection takes
    17_420, // a document is larger than a collection takes
    40_415, // a field of the request that the server does not know
];

/// The failure that a code of the server stands for.
pub(super) fn of_code(code: i32, message: impl Into<String>) -> StoreError {
    let kind = match code {
        DUPLICATE_KEY => StoreErrorKind::Duplicate,
        NAMESPACE_NOT_FOUND => StoreErrorKind::NotFound,
        code if PASSING.contains(&code) || PASSING_SQLSTATES.contains(&code) => StoreErrorKind::Unavailable,
        code if REFUSED.contains(&code) => StoreErrorKind::Refused(code),
        code => StoreErrorKind::Server(code),
    };
    StoreError::new(kind, message)
}

/// The failure that an error of the driver stands for.
pub(super) fn of_driver(error: &Error) -> StoreError {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => {
            of_code(command.code, command_text(command.code, &command.code_name, &command.message))
        }
        ErrorKind::Write(WriteFailure::WriteError(write)) => of_code(write.code, write.message.clone()),
        ErrorKind::InvalidArgument { .. } | ErrorKind::Bson(_) | ErrorKind::InvalidTlsConfig { .. } => {
            StoreError::new(StoreErrorKind::Refused(0), text(error))
        }
        // The network, the choice of a server, an answer that broke off: all of it may pass.
        _ => StoreError::new(StoreErrorKind::Unavailable, text(error)),
    }
}

/// What is stored, or what the server answered, does not have the shape that it should.
pub(super) fn malformed(error: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Malformed, error.to_string())
}

/// What the driver says, for people: without the labels and sources that it adds for machines, to an
/// error and to those that its text repeats.
fn text(error: &Error) -> String {
    let mut text = error.kind.to_string().replace("Kind: ", "");
    while let Some(start) = text.find(MACHINE_WORDS_BEGIN) {
        let end = text.get(start..).and_then(|rest| rest.find(MACHINE_WORDS_END));
        let end = end.map_or(text.len(), |end| start + end + MACHINE_WORDS_END.len());
        text.replace_range(start..end, "");
    }
    text
}

/// Where the driver's text goes on for machines, and where that ends.
const MACHINE_WORDS_BEGIN: &str = ", labels: ";
const MACHINE_WORDS_END: &str = "server response: None";

fn command_text(code: i32, name: &str, message: &str) -> String {
    if name.is_empty() { format!("{message} (code {code})") } else { format!("{message} (code {code}, {name})") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use bson::doc;
    use mongodb::error::CommandError;

    fn command(code: i32, name: &str, message: &str) -> Error {
        let answer = doc! { "code": code, "codeName": name, "errmsg": message };
        let command: CommandError = bson::deserialize_from_document(answer).unwrap();
        Error::from(ErrorKind::Command(command))
    }

    #[test]
    fn what_the_driver_says_while_a_server_is_away_passes() {
        for lost in [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset] {
            assert_eq!(of_driver(&Error::from(io::Error::from(lost))).kind, StoreErrorKind::Unavailable, "{lost}");
        }
        for (code, name) in [(50, "MaxTimeMSExpired"), (189, "PrimarySteppedDown"), (11_600, "InterruptedAtShutdown")] {
            assert_eq!(of_driver(&command(code, name, "")).kind, StoreErrorKind::Unavailable, "{name}");
        }
    }

    #[test]
    fn a_code_that_stands_for_outages_and_bugs_alike_is_neither() {
        for message in [
            "unexpected EOF",
            "terminating connection due to unexpected postmaster exit",
            "failed to connect",
            "the database system is starting up",
            "collation is not supported",
        ] {
            assert_eq!(of_driver(&command(1, "InternalError", message)).kind, StoreErrorKind::Server(1), "{message}");
        }
    }

    #[test]
    fn a_write_error_is_known_by_its_code() {
        let table = [
            (11_000, StoreErrorKind::Duplicate),
            (26, StoreErrorKind::NotFound),
            (16_908_292, StoreErrorKind::Unavailable), // deadlock detected
            (112, StoreErrorKind::Unavailable),
            (14_031, StoreErrorKind::Unavailable),
            (16, StoreErrorKind::Refused(16)),
            (52, StoreErrorKind::Refused(52)),
            (121, StoreErrorKind::Refused(121)),
            (171, StoreErrorKind::Refused(171)),
            (10_334, StoreErrorKind::Refused(10_334)),
            (13, StoreErrorKind::Server(13)), // Unauthorized: until an operator grants it
            (8, StoreErrorKind::Server(8)),
        ];
        for (code, kind) in table {
            assert_eq!(of_code(code, "").kind, kind, "{code}");
        }
    }

    #[test]
    fn no_code_is_in_two_lists() {
        let mut all: Vec<i32> = [PASSING.as_slice(), &PASSING_SQLSTATES, &REFUSED].concat();
        all.extend([DUPLICATE_KEY, NAMESPACE_NOT_FOUND]);
        let codes: std::collections::BTreeSet<i32> = all.iter().copied().collect();
        assert_eq!(codes.len(), all.len());
    }

    #[test]
    fn an_error_tells_people_its_code_and_what_the_server_said() {
        let error = of_driver(&command(13, "Unauthorized", "not allowed on shop"));
        assert_eq!(error.to_string(), "not allowed on shop (code 13, Unauthorized)");
    }
}
