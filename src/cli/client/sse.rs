//! Server-sent events, as they come in pieces.

/// The longest line that is waited for, and the most that an event says: none has so much.
const LONGEST: usize = 4 << 20;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Frame {
    /// Its id, if it has one.
    pub(in crate::cli) id: Option<String>,
    /// What it is called.
    pub(in crate::cli) event: String,
    /// What it says.
    pub(in crate::cli) data: String,
}

/// Puts events together.
#[derive(Debug, Default)]
pub(in crate::cli) struct Frames {
    pending: Vec<u8>,
    frame: Frame,
    has_data: bool,
}

impl Frames {
    /// The events that are whole with this piece.
    pub(in crate::cli) fn push(&mut self, piece: &[u8]) -> Vec<Frame> {
        let begun = self.pending.len();
        self.pending.extend_from_slice(piece);
        // What has come before has no end of a line, and is not looked at again: a long line may come byte by byte.
        let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') else {
            if self.pending.len() > LONGEST {
                self.pending.clear();
            }
            return Vec::new();
        };
        let rest = self.pending.split_off(begun + end + 1);
        let lines = std::mem::replace(&mut self.pending, rest);
        lines.split_inclusive(|byte| *byte == b'\n').filter_map(|line| self.line(line)).collect()
    }

    /// The event that this line ends, if it is one's end.
    fn line(&mut self, line: &[u8]) -> Option<Frame> {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return std::mem::take(&mut self.has_data).then_some(frame);
        }
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match key {
            "id" => self.frame.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.frame.event),
            "data" => {
                let is_next = std::mem::replace(&mut self.has_data, true);
                if self.frame.data.len() + value.len() < LONGEST {
                    self.frame.data.extend(is_next.then_some('\n'));
                    self.frame.data.push_str(value);
                }
            }
            // A comment, or what we don't know.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: a-1\nevent: phase\ndata: {\"x\":1}\n\n:\n\nevent: pull\r\ndata:one\r\ndata: two\r\n\r\nid: a-2\n\n";

    fn frame(id: Option<&str>, event: &str, data: &str) -> Frame {
        Frame { id: id.map(str::to_owned), event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        let expected = [frame(Some("a-1"), "phase", "{\"x\":1}"), frame(None, "pull", "one\ntwo")];
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut frames = Frames::default();
            let all: Vec<_> = STREAM.as_bytes().chunks(size).flat_map(|piece| frames.push(piece)).collect();
            assert_eq!(all, expected, "in pieces of {size}");
        }
    }
}
