//! Where a log goes: a file that takes what it can. What it does not take is dropped, and counted.

use std::fs::File;
use std::io::{self, Write};

/// A file, and what it did not take.
#[derive(Debug)]
pub(super) struct Sink<W = File> {
    to: W,
    /// Bytes that were dropped and not told of in the log.
    lost: u64,
    /// Whether the log may say so: a FIFO's reader wants what the container wrote and nothing else.
    tells: bool,
}

impl<W: Write> Sink<W> {
    /// Onto the end of a regular file.
    pub(super) fn to_file(to: W) -> Self {
        Self { to, lost: 0, tells: true }
    }

    /// Into a FIFO that does not block. What comes while it is full is lost: a reader that has stopped must not stop the
    /// container.
    pub(super) fn to_fifo(to: W) -> Self {
        Self { to, lost: 0, tells: false }
    }

    /// Writes what can be written.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        if self.lost > 0 && self.tells {
            let lost = format!("\n[actord: {} bytes of this log could not be written]\n", self.lost);
            if self.to.write_all(lost.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => break,
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.lost += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        room: usize,
        holds: Vec<u8>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.holds.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_drops_what_it_has_no_room_for_and_the_log_says_so_later() {
        let mut disk = Disk { room: 6, holds: Vec::new() };
        let mut sink = Sink::to_file(&mut disk);
        sink.write(b"1234");
        sink.write(b"5678");
        sink.write(b"9");
        sink.to.room = 1_000;
        sink.write(b"a");
        sink.write(b"b");
        let log = String::from_utf8(disk.holds).unwrap();
        assert_eq!(log, "123456\n[actord: 3 bytes of this log could not be written]\nab");
    }

    #[test]
    fn a_fifo_carries_only_what_the_container_wrote() {
        let mut disk = Disk { room: 2, holds: Vec::new() };
        let mut sink = Sink::to_fifo(&mut disk);
        sink.write(b"1234");
        sink.to.room = 1_000;
        sink.write(b"5");
        assert_eq!(disk.holds, b"125");
    }
}
