//! Reading what zstd compressed: its frames, one after the other, and past those that are to be skipped.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What a zstd frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The content of all frames of `source`. A frame that needs a window of more than 128 MiB is refused.
pub(super) struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    inside: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), inside: false }
    }

    /// Begins the next frame; false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.inside && !self.begin()? {
                return Ok(0);
            }
            self.inside = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| broken(&error))?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let (told, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if told.is_some() && told != found {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "zstd: its checksum is another: copy it again"));
            }
            self.inside = false;
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: it is damaged or ends early, copy it again ({error})"))
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Frames::new(bytes).read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn frames_follow_each_other_and_those_that_are_to_be_skipped_are() {
        let long: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
        assert_eq!(read(&frame(&long)).unwrap(), long);
        assert_eq!(
            read(&[frame(b"one "), skipped.clone(), frame(b""), frame(b"two"), skipped].concat()).unwrap(),
            b"one two"
        );
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn what_is_cut_or_damaged_is_refused() {
        let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let whole = frame(&content);
        for at in [3, 10, whole.len() / 2, whole.len() - 1] {
            assert!(read(&whole[..at]).unwrap_err().to_string().contains("zstd"), "{at}");
        }
        assert!(read(&[frame(b"good"), b"garbage".to_vec()].concat()).unwrap_err().to_string().contains("zstd"));
    }
}
