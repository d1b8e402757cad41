//! What goes to the terminal. Whoever read it may be gone (`| head`; Ctrl-C also ends a `| tee`):
//! that must end no command half-way, so nothing here fails.

use std::fmt::Arguments;
use std::io::Write;

/// [`println!`] that does not panic when nobody reads.
macro_rules! outln {
    ($($part:tt)*) => {
        $crate::terminal::write(&mut std::io::stdout(), format_args!("{}\n", format_args!($($part)*)))
    };
}

/// [`print!`] that does not panic when nobody reads; what it wrote is seen at once.
macro_rules! out {
    ($($part:tt)*) => { $crate::terminal::write(&mut std::io::stdout(), format_args!($($part)*)) };
}

/// [`eprintln!`] that does not panic when nobody reads.
macro_rules! errln {
    ($($part:tt)*) => {
        $crate::terminal::write(&mut std::io::stderr(), format_args!("{}\n", format_args!($($part)*)))
    };
}

pub(crate) use {errln, out, outln};

/// Writes what can be written.
pub fn write(to: &mut dyn Write, text: Arguments<'_>) {
    let _ = to.write_fmt(text).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader is gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        write(&mut Closed, format_args!("{}", 1));
        let mut read = Vec::new();
        write(&mut read, format_args!("{}", 1));
        assert_eq!(read, b"1");
    }
}
