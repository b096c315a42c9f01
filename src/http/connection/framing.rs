//! Where a request's body ends. Only that: what is in it, and whether it is sound, is actix's to say.

/// What is still to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, and what stands after them.
    Chunked(Chunk),
    /// Everything that comes: the connection switches protocols, or can't be read any further.
    Endless,
}

/// The place in a body of chunks (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the line of a size; `told` when all of its digits have come.
    Size { size: u64, told: bool },
    /// So many bytes of a chunk are left.
    Data(u64),
    /// In the end of line after a chunk.
    AfterData,
    /// In the lines after the last chunk; an empty one ends them.
    Trailer { is_empty: bool },
    /// Complete.
    End,
}

impl Framing {
    /// A body of chunks that has not begun.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size { size: 0, told: false });

    /// How many of these bytes, which come next, belong to the request.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Endless => bytes.len(),
            Self::Length(left) => take_up_to(left, bytes.len()),
            Self::Chunked(chunk) => {
                let mut taken = 0;
                while taken < bytes.len() && *chunk != Chunk::End {
                    match chunk.advance(&bytes[taken..]) {
                        Some(count) => taken += count,
                        None => {
                            *self = Self::Endless;
                            return bytes.len();
                        }
                    }
                }
                taken
            }
        }
    }

    /// Whether all of the request has come.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::End))
    }
}

/// Takes what there is, at most what is left.
fn take_up_to(left: &mut u64, there: usize) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(there);
    *left -= taken as u64;
    taken
}

impl Chunk {
    /// Takes some of these bytes, at least one. None where they are no chunks.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let next = match (*self, bytes[0]) {
            (Self::Data(mut left), _) => {
                let taken = take_up_to(&mut left, bytes.len());
                *self = if left == 0 { Self::AfterData } else { Self::Data(left) };
                return Some(taken);
            }
            (Self::Size { size: 0, .. }, b'\n') => Self::Trailer { is_empty: true },
            (Self::Size { size, .. }, b'\n') => Self::Data(size),
            (Self::Size { size, told: false }, byte) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16)?;
                Self::Size { size: size.checked_mul(16)?.checked_add(digit.into())?, told: false }
            }
            (Self::Size { size, told: true }, _) => Self::Size { size, told: true },
            (Self::Size { size, .. }, b'\r' | b' ' | b'\t' | b';') => Self::Size { size, told: true },
            (Self::Size { .. }, _) => return None,
            (Self::AfterData, b'\r') => Self::AfterData,
            (Self::AfterData, b'\n') => Self::Size { size: 0, told: false },
            (Self::AfterData, _) => return None,
            (Self::Trailer { is_empty: true }, b'\n') => Self::End,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { is_empty: true },
            (Self::Trailer { is_empty }, b'\r') => Self::Trailer { is_empty },
            (Self::Trailer { .. }, _) => Self::Trailer { is_empty: false },
            (Self::End, _) => return Some(0),
        };
        *self = next;
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_where_its_framing_says_however_it_is_cut() {
        for (framing, body) in [
            (Framing::Length(5), "hello"),
            (Framing::CHUNKED, "5\r\nhello\r\n0\r\n\r\n"),
            (Framing::CHUNKED, "0\r\n\r\n"),
            (Framing::CHUNKED, "00\r\n\r\n"),
            (Framing::CHUNKED, "5;a=b\r\nhello\r\nA \r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"),
            (Framing::CHUNKED, "2\r\n\r\n\r\n0\r\n\r\n"),
        ] {
            let stream = format!("{body}GET / HTTP/1.1\r\n\r\n");
            for piece in 1..=stream.len() {
                let mut framing = framing;
                let mut taken = 0;
                for bytes in stream.as_bytes().chunks(piece) {
                    let count = framing.take(bytes);
                    taken += count;
                    if count < bytes.len() {
                        break;
                    }
                }
                assert_eq!((taken, framing.is_complete()), (body.len(), true), "{body:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_has_no_end() {
        for body in ["x\r\n", "5\r\nhelloX", "-1\r\n", "fffffffffffffffff\r\n"] {
            let mut framing = Framing::CHUNKED;
            assert_eq!(framing.take(body.as_bytes()), body.len(), "{body:?}");
            assert_eq!(framing, Framing::Endless, "{body:?}");
        }
    }
}
