//! Signals, and how images write the one that ends them.

use std::fmt;

/// The kernel's signals of real time: the first and the last that a C library gives to programs.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// Linux's names, without `SIG`, as `kill -l` and docker know them.
const NAMES: [(&str, u8); 36] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("RTMIN", RTMIN),
    ("RTMAX", RTMAX),
];

/// A signal that is sent to an instance's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(u8);

impl Signal {
    /// Asks: the process may finish what it does.
    pub const TERM: Self = Self(15);
    /// Does not ask.
    pub const KILL: Self = Self(9);

    /// Reads an image's `StopSignal` as docker does: a number, or a name in any case with or without `SIG`, of which those
    /// of real time may be counted from either end (`RTMIN+3`, `SIGRTMAX-2`). None for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        let counted = |from: &str, sign| {
            let count = name.strip_prefix(from)?.strip_prefix(sign)?;
            count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse::<u8>().ok())?
        };
        let number = match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => Some(*number),
            None if text.starts_with(|first: char| first.is_ascii_digit()) => text.parse().ok(),
            None => counted("RTMIN", '+')
                .and_then(|count| RTMIN.checked_add(count))
                .or_else(|| counted("RTMAX", '-').and_then(|count| RTMAX.checked_sub(count)).filter(|it| *it >= RTMIN)),
        };
        number.filter(|number| (1..=RTMAX).contains(number)).map(Self)
    }

    /// Its number on Linux.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_signal_is_read_in_every_form_that_docker_writes_and_reads() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("SIGQUIT", 3),
            ("QUIT", 3),
            ("quit", 3),
            ("sigquit", 3),
            ("SIGUSR1", 10),
            ("SIGINT", 2),
            ("SIGWINCH", 28),
            ("SIGKILL", 9),
            ("3", 3),
            ("09", 9),
            (" 15 ", 15),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMIN+3", 37),
            ("rtmin+15", 49),
            ("SIGRTMAX-2", 62),
            ("RTMAX", 64),
            ("37", 37),
            ("64", 64),
        ] {
            assert_eq!(Signal::parse(text).map(Signal::number), Some(number), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_signal_of_this_kernel_is_none() {
        for text in [
            "",
            "0",
            "65",
            "-9",
            "+9",
            "300",
            "999999999999",
            "SIG",
            "SIG9",
            "SIGNOPE",
            "TERM15",
            "9.0",
            "0x9",
            "RTMIN+",
            "RTMIN++3",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMAX-31",
            "RTMIN+99999",
            "SIGTERM;SIGKILL",
            "SIGTERM\0",
        ] {
            assert_eq!(Signal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_signal_is_told_by_its_name() {
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal::parse("37").unwrap().to_string(), "signal 37");
    }
}
