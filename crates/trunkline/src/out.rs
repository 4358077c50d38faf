//! Printing for people and for pipes.
//!
//! Owns what happens when the reader of the output has seen enough (`trunkline models | head`): the program ends, as any
//! other would, instead of failing in a panic. Its macros take the place of the standard ones everywhere below.
//! Must not know what is printed.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// What a shell says of a program that a closed pipe ended (128 and the number of SIGPIPE): no success, for checks end early too.
const UNREAD: i32 = 141;

/// Prints a line to standard output.
macro_rules! println {
    () => { $crate::out::print(format_args!("\n")) };
    ($($argument:tt)*) => {{
        $crate::out::print(format_args!($($argument)*));
        $crate::out::print(format_args!("\n"));
    }};
}

/// Prints to standard output.
macro_rules! print {
    ($($argument:tt)*) => { $crate::out::print(format_args!($($argument)*)) };
}

/// Prints; ends the program when nobody reads any more. Whatever else keeps output from being written ends it as a failure.
pub(crate) fn print(text: Arguments<'_>) {
    let Err(error) = std::io::stdout().lock().write_fmt(text) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(UNREAD);
    }
    eprintln!("error: failed to write the output: {error}");
    std::process::exit(1);
}
