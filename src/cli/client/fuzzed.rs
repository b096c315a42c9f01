//! Streams of events, as a gateway or whoever is between sends them, as a fuzz target: they are the same in whatever pieces they
//! come, and what is read of them is read again as the same.

use super::sse::{Frame, Frames};

/// As it comes in pieces of so many bytes.
fn read(stream: &[u8], size: usize) -> Vec<Frame> {
    let mut frames = Frames::default();
    stream.chunks(size).flat_map(|piece| frames.push(piece)).collect()
}

/// As a server writes it.
fn write(frame: &Frame) -> String {
    let id = frame.id.as_ref().map(|id| format!("id: {id}\n")).unwrap_or_default();
    let data: String = frame.data.split('\n').map(|line| format!("data: {line}\n")).collect();
    format!("{id}event: {}\n{data}\n", frame.event)
}

pub(crate) fn event_streams(bytes: &[u8]) -> bool {
    let whole = read(bytes, bytes.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(read(bytes, size), whole, "in pieces of {size}");
    }
    let written: String = whole.iter().map(write).collect();
    assert_eq!(read(written.as_bytes(), 64), whole, "{written:?}");
    // An event ends with its empty line: without it nothing is told, however much of it has come.
    if let Some(cut) = written.strip_suffix("\n") {
        assert_eq!(read(cut.as_bytes(), 64), whole[..whole.len() - 1], "{cut:?}");
    }
    !whole.is_empty()
}
