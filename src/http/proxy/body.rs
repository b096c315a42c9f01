//! Where the body of a function's answer ends, and what of the bytes that come belongs to it.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::http::connection::Chunk;

/// What is still to come of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, and what stands after them.
    Chunked(Chunk),
    /// Everything until the function closes.
    UntilClose,
    /// What comes is no body, but another protocol.
    Tunnel,
}

/// What came is no chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoChunk;

impl Framing {
    /// A body of chunks that has not begun.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Start);

    /// Whether all of it has come.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }

    /// Whether the function's end is the end of the body.
    pub(super) fn ends_with_connection(self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// How much can be read at once that belongs to it for sure, in bytes.
    pub(super) fn left(self) -> usize {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => usize::try_from(left).unwrap_or(usize::MAX),
            Self::Chunked(_) => 0,
            Self::UntilClose | Self::Tunnel => usize::MAX,
        }
    }

    /// Takes from the bytes that came what is the next piece of the body; none if there is nothing of it among them.
    ///
    /// # Errors
    /// Where they are no chunks.
    pub(super) fn take(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, NoChunk> {
        while !bytes.is_empty() && !self.is_complete() {
            let Self::Chunked(chunk) = self else {
                let taken = self.left().min(bytes.len());
                if let Self::Length(left) = self {
                    *left -= taken as u64;
                }
                return Ok(Some(bytes.split_to(taken).freeze()));
            };
            let is_data = matches!(chunk, Chunk::Data(_));
            let taken = chunk.advance(bytes).ok_or(NoChunk)?;
            if is_data {
                return Ok(Some(bytes.split_to(taken).freeze()));
            }
            bytes.advance(taken);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a body that comes in pieces of so many bytes, and what is left then.
    fn read(mut framing: Framing, stream: &str, piece: usize) -> Result<(String, String), NoChunk> {
        let (mut body, mut bytes) = (Vec::new(), BytesMut::new());
        for came in stream.as_bytes().chunks(piece) {
            bytes.extend_from_slice(came);
            while let Some(taken) = framing.take(&mut bytes)? {
                body.extend_from_slice(&taken);
            }
        }
        Ok((String::from_utf8(body).unwrap(), String::from_utf8(bytes.to_vec()).unwrap()))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        for (framing, stream, body, rest) in [
            (Framing::Length(5), "helloHTTP", "hello", "HTTP"),
            (Framing::Length(0), "HTTP", "", "HTTP"),
            (Framing::CHUNKED, "5\r\nhello\r\n0\r\n\r\nHTTP", "hello", "HTTP"),
            (Framing::CHUNKED, "5;a=b\r\nhello\r\nA \r\n0123456789\r\n0\r\nX: 1\r\n\r\n", "hello0123456789", ""),
            (Framing::UntilClose, "hello\r\n", "hello\r\n", ""),
        ] {
            for piece in 1..=stream.len() {
                let read = read(framing, stream, piece);
                assert_eq!(read, Ok((body.to_owned(), rest.to_owned())), "{framing:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        assert_eq!(read(Framing::CHUNKED, "5\r\nhelloX", 3), Err(NoChunk));
    }
}
