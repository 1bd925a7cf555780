//! How a command ends: the exit codes of the contract, and the message that goes with them.

use std::io;

use postfold::Error;

use crate::terminal;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for is done.
    Done,
    /// It found a problem: a refused command, a failed verification.
    Problem,
    /// It cannot be meant so.
    Usage,
    /// A server cannot be reached, or refuses.
    Infrastructure,
    /// This signal ended it before it was done.
    Interrupted(u8),
}

impl Exit {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Problem => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            // As shells say it.
            Self::Interrupted(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How it ends.
    pub(crate) exit: Exit,
    /// What is wrong and what to do; `None` where nothing needs to be said.
    pub(crate) message: Option<String>,
}

impl Failure {
    /// The data is not as it should be.
    pub(crate) fn problem(message: impl Into<String>) -> Self {
        Self { exit: Exit::Problem, message: Some(message.into()) }
    }

    /// The command line, the environment or a named file cannot be used.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: Some(message.into()) }
    }

    /// A server does not do its part.
    pub(crate) fn infrastructure(message: impl Into<String>) -> Self {
        Self { exit: Exit::Infrastructure, message: Some(message.into()) }
    }

    /// stdout takes nothing more. A reader that has seen enough, such as `head`, is no trouble.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: None };
        }
        Self::infrastructure(format!("the output cannot be written: {error}"))
    }

    /// Says it on stderr.
    pub(crate) fn tell(self) -> Exit {
        if let Some(message) = self.message {
            terminal::say(message);
        }
        self.exit
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Name { .. } | Error::Url(_) | Error::Query(_) => Self::usage(message),
            Error::SeveralCurrencies { account, currencies } => {
                let currencies = currencies.join(", ");
                Self::usage(format!("{account} is open in {currencies}: say which with --currency"))
            }
            Error::Refused(_)
            | Error::UnknownAccount { .. }
            | Error::EntryNotFound { .. }
            | Error::NotAnEntry { .. }
            | Error::SumTooLarge { .. }
            | Error::Damaged { .. }
            | Error::Payload(_) => Self::problem(message),
            _ => Self::infrastructure(message),
        }
    }
}
