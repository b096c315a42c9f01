//! Heads and bodies of requests as a fuzz target: what is let through, actix reads whole and frames alike, in however many
//! pieces it comes. Where the two disagree, one request would hide in another.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use actix_http::h1::{Codec, Message, MessageType};
use actix_http::{Request, ServiceConfig};
use bytes::BytesMut;
use tokio::task::LocalSet;
use tokio_util::codec::Decoder as _;

use super::framing::Framing;
use super::head;

thread_local! {
    /// It has a task that tells what time it is, which wants a place to live in.
    static CONFIG: ServiceConfig = {
        let tasks = LocalSet::new();
        let _entered = tasks.enter();
        ServiceConfig::default()
    };
}

/// What actix reads and writes by.
pub(in crate::http) fn codec() -> Codec {
    CONFIG.with(|config| Codec::new(config.clone()))
}

/// A request as actix has it, and path and query as they were sent where actix has them otherwise.
pub(in crate::http) struct Passed {
    pub(in crate::http) request: Request,
    pub(in crate::http) sent: Option<Box<str>>,
    codec: Codec,
    framing: Framing,
    length: usize,
}

/// The request at the beginning of these bytes, if there is one that is let through.
pub(in crate::http) fn pass(bytes: &[u8]) -> Option<Passed> {
    let head = head::read(bytes).ok()??;
    assert!(head.length <= bytes.len() && head.length <= head::HEAD_MAX, "a head that is not here yet");
    let (sent, passed) = match head.encoded {
        Some((sent, encoded)) => (Some(sent), encoded),
        None => (None, bytes[..head.length].to_vec()),
    };
    let (mut codec, mut buffer) = (codec(), BytesMut::from(&*passed));
    let request = match codec.decode(&mut buffer) {
        Ok(Some(Message::Item(request))) => request,
        refused => unreachable!("actix does not read what was let through: {refused:?}"),
    };
    assert!(buffer.is_empty(), "actix takes less for the head: {buffer:?} would be body");
    Some(Passed { request, sent, codec, framing: head.framing, length: head.length })
}

pub(crate) fn request_heads(bytes: &[u8]) -> bool {
    let Some(mut passed) = pass(bytes) else { return false };
    let (head, body) = bytes.split_at(passed.length);
    for cut in [0, 1, head.len() / 3, head.len() / 2, head.len() - 1] {
        assert_eq!(head::read(&head[..cut]), Ok(None), "a head is complete, or refused, before its last byte");
    }
    let has_body = !passed.framing.is_complete();
    assert_eq!(passed.codec.message_type() != MessageType::None, has_body, "{:?}", passed.framing);
    if !has_body || passed.framing == Framing::Endless {
        return true;
    }
    let (theirs, rest) = read_by_actix(&mut passed.codec, body);
    for pieces in [1, 2, body.len().max(1)] {
        let (mut framing, mut taken) = (passed.framing, 0);
        for piece in body.chunks(body.len().div_ceil(pieces).max(1)) {
            let count = framing.take(piece);
            taken += count;
            if count < piece.len() {
                break;
            }
        }
        match theirs {
            // What is refused here hides nothing, whatever actix would have made of it.
            End::Complete | End::Open if framing == Framing::Broken => {}
            End::Complete => {
                assert!(framing.is_complete() && taken == body.len() - rest, "{framing:?} after {taken} bytes");
            }
            End::Broken => assert_eq!(framing, Framing::Broken, "actix stumbles over what was let through"),
            End::Open => assert!(!framing.is_complete() && framing != Framing::Broken, "actix waits for more"),
        }
    }
    true
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
    /// More is to come.
    Open,
}

/// How actix reads a body, and how many bytes it leaves.
fn read_by_actix(codec: &mut Codec, body: &[u8]) -> (End, usize) {
    let mut buffer = BytesMut::from(body);
    loop {
        match codec.decode(&mut buffer) {
            Ok(Some(Message::Chunk(Some(_)))) => {}
            Ok(Some(_)) => return (End::Complete, buffer.len()),
            Ok(None) => return (End::Open, buffer.len()),
            Err(_) => return (End::Broken, buffer.len()),
        }
    }
}
