//! A request on its way to the function: its head and, piece by piece as they come, its body.

use std::io::{IoSlice, Write as _};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};

use super::socket::Writing;
use super::unanswered::Unanswered;
use super::upload::Upload;

/// A piece up to this length goes out with what is before it, as one.
const SMALL: usize = 8 << 10;

/// See the module.
pub(super) struct Sending {
    /// The head, or what stands before a piece of the body. `sent` of it is out.
    before: Vec<u8>,
    sent: usize,
    piece: Bytes,
    /// What stands behind the piece.
    after: &'static [u8],
    upload: Upload,
    /// How often the head has looked for the first piece of the body; 2 is enough.
    looks: u8,
    is_done: bool,
}

impl Sending {
    /// A request with this head.
    pub(super) fn new(head: Vec<u8>, upload: Upload) -> Self {
        Self { before: head, sent: 0, piece: Bytes::new(), after: b"", upload, looks: 0, is_done: false }
    }

    /// The buffer of the head, for that of another request, if all is out.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        if self.is_done { std::mem::take(&mut self.before) } else { Vec::new() }
    }

    /// Whether all of it is out, or no more of it is taken.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Sends what can be sent now. Ready when all is out, or the function takes no more.
    ///
    /// # Errors
    /// `Incomplete`, where the client broke off, and `Ended`.
    pub(super) fn poll(&mut self, writing: &mut Writing, cx: &mut Context<'_>) -> Poll<Result<(), Unanswered>> {
        if self.looks < 2 && !self.upload.is_ended() {
            // Of a short body the first piece is often here already, and comes to us in a moment: it goes out with the head.
            self.looks += 1;
            match self.poll_piece(cx)? {
                Poll::Ready(()) => self.looks = 2,
                Poll::Pending if self.looks == 1 => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
        }
        loop {
            while self.sent < self.before.len() || !self.piece.is_empty() || !self.after.is_empty() {
                let all =
                    [IoSlice::new(&self.before[self.sent..]), IoSlice::new(&self.piece), IoSlice::new(self.after)];
                let pieces = if self.piece.is_empty() && self.after.is_empty() { &all[..1] } else { &all[..] };
                match ready!(writing.poll_write(cx, pieces)).map_err(Unanswered::Ended)? {
                    Some(count) => self.advance(count),
                    None => {
                        // What the function has to say to that is read; the client's body is not taken in vain.
                        self.upload = Upload::EMPTY;
                        self.is_done = true;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            if self.upload.is_ended() {
                self.is_done = true;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_piece(cx))?;
        }
    }

    /// Puts the next piece of the body behind what is to be sent.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unanswered>> {
        if self.sent == self.before.len() {
            self.before.clear();
            self.sent = 0;
        }
        let piece = ready!(self.upload.poll_piece(cx)).transpose().map_err(|_| Unanswered::Incomplete)?;
        if self.upload.is_chunked() {
            match &piece {
                // A chunk of no bytes would be the end.
                Some(piece) if piece.is_empty() => return Poll::Ready(Ok(())),
                Some(piece) => {
                    // Into memory: it does not fail.
                    let _ = write!(self.before, "{:x}\r\n", piece.len());
                    self.after = b"\r\n";
                }
                None => self.after = b"0\r\n\r\n",
            }
        }
        self.piece = piece.unwrap_or_default();
        if self.piece.len() <= SMALL {
            self.before.extend_from_slice(&self.piece);
            self.before.extend_from_slice(std::mem::take(&mut self.after));
            self.piece = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let of_before = count.min(self.before.len() - self.sent);
        self.sent += of_before;
        count -= of_before;
        let of_piece = count.min(self.piece.len());
        self.piece.advance(of_piece);
        if self.piece.is_empty() {
            // Its memory is free for what actix reads next: as long as we hold it, actix takes new one, and fills that by small reads.
            self.piece = Bytes::new();
        }
        self.after = &self.after[count - of_piece..];
    }
}
