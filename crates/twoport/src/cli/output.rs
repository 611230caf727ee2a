//! The two ways out: data on standard output, and talk on standard error.
//!
//! It formats nothing. A reader who has gone (a closed pipe) is no error: there is nobody left to
//! tell.

use std::io::{self, Write as _};

use super::Outcome;
use super::exit::Exit;

/// Why a command ended otherwise than it should.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its class. The message is a lowercase fragment, or several lines.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A mistake on the command line or in a configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something of this side that failed.
    pub(crate) fn here(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Says it on standard error.
    pub(crate) fn tell(&self) {
        tell(&self.message);
    }
}

/// Says something on standard error, under the program's name.
pub(crate) fn tell(message: impl std::fmt::Display) {
    line_on_stderr(format_args!("twoport: {message}"));
}

/// A line on standard error as it is: problems that begin with their place, for editors to find.
pub(crate) fn line_on_stderr(line: impl std::fmt::Display) {
    // Where standard error is closed there is nothing left to say it on.
    let _nobody_listens = writeln!(io::stderr().lock(), "{line}");
}

/// Writes data to standard output. A closed pipe ends the program in good order.
pub(crate) fn data(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::here(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}
