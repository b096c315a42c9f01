//! Where a request's body ends, by the very rules of actix: what it would stumble over in a body is found here before. What
//! it would pass over behind the last chunk though it is no trailer is found, too: another reader could end the body there.

/// What is still to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, and what stands after them.
    Chunked(Chunk),
    /// Everything that comes: the connection switches protocols, or is about to end.
    Endless,
    /// What came are no chunks.
    Broken,
}

/// The place in a body of chunks (RFC 9112, 7.1). A number is the size of the chunk, or what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Chunk {
    /// Before the first digit of a size.
    Start,
    /// In the digits of a size.
    Size(u64),
    /// In the blanks after a size.
    Blank(u64),
    Extension(u64),
    /// Before the LF of a size's line.
    SizeLf(u64),
    Data(u64),
    /// Before the CR after a chunk.
    DataCr,
    /// Before the LF after a chunk.
    DataLf,
    /// At the beginning of a line after the last chunk; an empty one ends the body.
    Line,
    /// In the name of a trailer.
    TrailerName,
    /// In the value of a trailer.
    Trailer,
    /// Before the LF of a trailer.
    TrailerLf,
    /// Before the last LF.
    EndLf,
    /// Complete.
    End,
}

impl Framing {
    /// A body of chunks that has not begun.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Start);

    /// How many of these bytes, which come next, belong to the request.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Endless => bytes.len(),
            Self::Broken => 0,
            Self::Length(left) => take_up_to(left, bytes.len()),
            Self::Chunked(chunk) => {
                let mut taken = 0;
                while taken < bytes.len() && *chunk != Chunk::End {
                    match chunk.advance(&bytes[taken..]) {
                        Some(count) => taken += count,
                        None => {
                            *self = Self::Broken;
                            return taken;
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
    pub(in crate::http) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let sized = |size: u64, byte: u8| match byte {
            b' ' | b'\t' => Some(Self::Blank(size)),
            b';' => Some(Self::Extension(size)),
            b'\r' => Some(Self::SizeLf(size)),
            _ => None,
        };
        let digit = |byte: u8| (byte as char).to_digit(16).map(u64::from);
        *self = match (*self, bytes[0]) {
            (Self::Data(mut left), _) => {
                let taken = take_up_to(&mut left, bytes.len());
                *self = if left == 0 { Self::DataCr } else { Self::Data(left) };
                return Some(taken);
            }
            (Self::Start, byte) => Self::Size(digit(byte)?),
            (Self::Size(size), byte) => match digit(byte) {
                Some(digit) => Self::Size(size.checked_mul(16)? + digit),
                None => sized(size, byte)?,
            },
            (Self::Blank(size), byte) => sized(size, byte)?,
            (Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Extension(_), 0..=8 | 10..=31 | 127) => return None,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeLf(0), b'\n') => Self::Line,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::Line, b'\r') => Self::EndLf,
            (Self::Line | Self::TrailerName, byte) if is_of_name(byte) => Self::TrailerName,
            (Self::TrailerName, b':') => Self::Trailer,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::Trailer, b'\t' | b' '..=b'~' | 0x80..) => Self::Trailer,
            (Self::TrailerLf, b'\n') => Self::Line,
            (Self::EndLf, b'\n') => Self::End,
            (
                Self::SizeLf(_)
                | Self::DataCr
                | Self::DataLf
                | Self::Line
                | Self::TrailerName
                | Self::Trailer
                | Self::TrailerLf
                | Self::EndLf
                | Self::End,
                _,
            ) => return None,
        };
        Some(1)
    }
}

/// Whether a header's name may have it (RFC 9110, 5.6.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
    fn what_is_no_chunk_is_found_at_its_first_byte() {
        for (sound, rest) in [
            ("", "x\r\n"),
            ("", "\r\n"),
            ("", "-1\r\n"),
            ("5", "\n"),
            ("5 ", "5\r\n"),
            ("5;a", "\nhello"),
            ("5\r", "hello"),
            ("5\r\nhello", "X\r\n"),
            ("5\r\nhello", "\n"),
            ("5\r\nhello\r", "5"),
            ("ffffffffffffffff", "f\r\n"),
            ("0\r\n\r", "X"),
            ("0\r\n", "\n"),
            ("0\r\n", " folded\r\n\r\n"),
            ("0\r\nGET", " / HTTP/1.1\r\n\r\n"),
            ("0\r\nX", "\r\n\r\n"),
            ("0\r\nX: 1", "\n\r\n"),
            ("0\r\nX: ", "\0\r\n\r\n"),
            ("0\r\nX: 1\r", "Y: 2\r\n\r\n"),
        ] {
            let mut framing = Framing::CHUNKED;
            let body = format!("{sound}{rest}");
            let taken = framing.take(body.as_bytes());
            assert_eq!((taken, framing), (sound.len(), Framing::Broken), "{body:?}");
        }
    }
}
