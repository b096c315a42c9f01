//! What events are called: the process that told of them, and a number in it.

use std::fmt;
use std::str::FromStr;

/// `3f9a01bc-17`: the 17th event of a process that drew these 8 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Drawn by chance when the process began.
    pub boot: u32,
    /// Goes up by one.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.boot, self.number)
    }
}

/// It is no id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no id of an event: expected one such as 3f9a01bc-17")]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let (boot, number) = text.split_once('-').filter(|(boot, _)| plain && boot.len() == 8).ok_or(NoEventId)?;
        let boot = u32::from_str_radix(boot, 16).map_err(|_| NoEventId)?;
        Ok(Self { boot, number: number.parse().map_err(|_| NoEventId)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        for id in [EventId { boot: 0x3f9a_01bc, number: 17 }, EventId { boot: 0, number: u64::MAX }] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "-", "17", "3f9a01bc", "3f9a01bc-", "3f9a01b-17", "3F9A01BC-17", "+f9a01bc-17", "3f9a01bc-+7"]
        {
            assert_eq!(text.parse::<EventId>(), Err(NoEventId), "{text}");
        }
    }
}
