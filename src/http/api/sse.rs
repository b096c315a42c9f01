//! Server-sent events, byte for byte: what the stream of them is made of.

use serde::Serialize;

/// What a stream begins with, so that whoever hands it on passes its head on at once.
pub(super) const HELLO: &[u8] = b": hello\n\n";
/// What says that a stream is well on which nothing happens. Whoever comes back goes on after this id: those that it did not hear
/// of are passed over as well.
pub(super) fn beat(id: &str) -> String {
    format!("id: {id}\n\n")
}

/// Adds an event. Its data is one line, since JSON has no line ends outside of its texts, and escapes those in them.
pub(super) fn frame(portion: &mut Vec<u8>, id: Option<&str>, event: &str, data: &impl Serialize) {
    if let Some(id) = id {
        portion.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    portion.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
    // What is told is plain data and has a JSON form, and memory takes every byte.
    let _ = serde_json::to_writer(&mut *portion, data);
    portion.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_frame_is_an_id_a_name_and_one_line_whatever_is_in_it() {
        let mut portion = HELLO.to_vec();
        frame(&mut portion, Some("3f9a01bc-17"), "phase", &json!({"reason": "a\nb\r\n\ndata: c"}));
        frame(&mut portion, None, "pull", &json!({"pulled": 1}));
        portion.extend_from_slice(beat("3f9a01bc-19").as_bytes());
        let expected = ": hello\n\nid: 3f9a01bc-17\nevent: phase\ndata: {\"reason\":\"a\\nb\\r\\n\\ndata: c\"}\n\n\
                        event: pull\ndata: {\"pulled\":1}\n\nid: 3f9a01bc-19\n\n";
        assert_eq!(String::from_utf8(portion).unwrap(), expected);
    }
}
