//! What the driver's errors mean to a projector. Matched on codes and kinds, never on text.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::store::{StoreError, StoreErrorKind};

/// A key, or the values of a unique index, are taken.
const DUPLICATE_KEY: i32 = 11_000;
/// No such collection (`NamespaceNotFound`).
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The server is about to come back, has another primary, or broke off for a reason that passes.
/// `16908292` is DocumentDB's "deadlock detected", which names the victim alone.
const PASSING: [i32; 19] = [
    6,          // HostUnreachable
    7,          // HostNotFound
    24,         // LockTimeout
    50,         // MaxTimeMSExpired
    64,         // WriteConcernFailed: the write is there, its copies are late
    89,         // NetworkTimeout
    91,         // ShutdownInProgress
    112,        // WriteConflict
    134,        // ReadConcernMajorityNotAvailableYet
    189,        // PrimarySteppedDown
    262,        // ExceededTimeLimit
    9_001,      // SocketException
    10_107,     // NotWritablePrimary
    11_600,     // InterruptedAtShutdown
    11_602,     // InterruptedDueToReplStateChange
    13_435,     // NotPrimaryNoSecondaryOk
    13_436,     // NotPrimaryOrSecondary
    133,        // FailedToSatisfyReadPreference
    16_908_292, // deadlock detected
];

/// The document, or the request as it stands, will be refused every time.
const REFUSED: [i32; 13] = [
    2,      // BadValue
    9,      // FailedToParse
    14,     // TypeMismatch
    15,     // Overflow: nested too deep
    16,     // InvalidLength: more statements than a command may have
    22,     // InvalidBSON
    52,     // DollarPrefixedFieldName
    57,     // DottedFieldName
    67,     // CannotCreateIndex
    121,    // DocumentValidationFailure
    10_334, // BSONObjectTooLarge
    17_419, // a document grew past what a collection takes
    17_420, // a document is larger than a collection takes
];

/// The failure that a code of the server stands for.
pub(super) fn of_code(code: i32, message: impl Into<String>) -> StoreError {
    let kind = match code {
        DUPLICATE_KEY => StoreErrorKind::Duplicate,
        NAMESPACE_NOT_FOUND => StoreErrorKind::NotFound,
        code if PASSING.contains(&code) => StoreErrorKind::Unavailable,
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
