//! How long a request may take to be answered: from when it came, or, where it has a body, from when all of it was sent.
//!
//! ```text
//! no body          begun ---------------- answer limit ----------------> 504
//! a body           a client that sends nothing ---- idle limit --------> 408
//!                  a function that takes nothing -- answer limit ------> 504
//!                  all of it sent ----------------- answer limit ------> 504
//! ```
//! A wait for an instance comes before any of the body is sent, and counts from when the request came.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::timers::Timers;

/// How far a request's body is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No connection has asked for it yet.
    Untouched,
    /// The client is waited for: since then, or since earlier by as much as it was behind.
    Awaited(Instant),
    /// The connection to the function has taken a piece, and not asked for another yet.
    Taken(Instant),
    /// All of it is sent.
    Complete(Instant),
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Late {
    /// The head of the answer.
    #[error("did not answer within {0:?}")]
    Answer(Duration),
    /// The function, which has stopped to read the body.
    #[error("took nothing of the request's body for {0:?}")]
    Taking(Duration),
    /// The client, which has stopped to send the body, or sends too little of it.
    #[error("the client sent nothing, or too little, of its request's body for {0:?}")]
    Sending(Duration),
}

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// When it came.
    pub(super) begun: Instant,
    /// From then, or from the end of its body, to the head of its answer.
    pub(super) answer: Duration,
    /// The longest time in which its client may send nothing of its body.
    pub(super) idle: Duration,
}

impl Limits {
    fn due(&self, progress: Progress) -> (Instant, Late) {
        match progress {
            Progress::Untouched => (self.begun + self.answer, Late::Answer(self.answer)),
            Progress::Awaited(since) => (since + self.idle, Late::Sending(self.idle)),
            Progress::Taken(since) => (since + self.answer, Late::Taking(self.answer)),
            Progress::Complete(since) => (since + self.answer, Late::Answer(self.answer)),
        }
    }

    /// Does it within these limits, where `progress` tells how far the body is, if there is one.
    ///
    /// # Errors
    /// [`Late`], and the work is to be dropped.
    pub(super) async fn hold<T>(
        self,
        timers: &Timers,
        work: impl Future<Output = T>,
        progress: Option<impl Fn() -> Progress>,
    ) -> Result<T, Late> {
        let (mut work, mut timer) = (pin!(work), timers.timer());
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            // The body goes on nowhere but in the work.
            let (due, late) = self.due(progress.as_ref().map_or(Progress::Untouched, |progress| progress()));
            timer.poll(due, cx).map(|()| Err(late))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use tokio::time::sleep;

    use super::*;

    const ANSWER: Duration = Duration::from_secs(60);
    const IDLE: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// After so many seconds a body is so far.
    type Script = &'static [(u64, fn(Instant) -> Progress)];

    /// What is told, the body, when the answer comes after that, what comes of it, and after how many seconds.
    type Case = (&'static str, Script, Option<u64>, Result<(), Late>, u64);

    /// A body that goes as the script says: after so long it is so far. What comes of it, and after how long.
    async fn held(script: Script, answer: Option<u64>) -> (Result<(), Late>, Duration) {
        let begun = Instant::now();
        let progress = Rc::new(Cell::new(Progress::Untouched));
        let told = progress.clone();
        let work = async move {
            for (after, next) in script {
                sleep(seconds(*after)).await;
                told.set(next(Instant::now()));
            }
            match answer {
                Some(after) => sleep(seconds(after)).await,
                None => pending().await,
            }
        };
        let limits = Limits { begun, answer: ANSWER, idle: IDLE };
        let result = limits.hold(&Timers::default(), work, Some(move || progress.get())).await;
        (result, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_the_answer_begins_when_the_whole_body_is_sent() {
        use Progress::{Awaited, Complete, Taken};
        let table: [Case; 9] = [
            (
                "80 s of upload, then an answer at once",
                &[(0, Awaited), (29, Awaited), (29, Awaited), (22, Complete)],
                Some(0),
                Ok(()),
                80,
            ),
            ("the answer just in time", &[(0, Awaited), (29, Awaited), (29, Complete)], Some(59), Ok(()), 117),
            (
                "the answer too late",
                &[(0, Awaited), (29, Awaited), (29, Complete)],
                None,
                Err(Late::Answer(ANSWER)),
                118,
            ),
            ("a client that stops", &[(0, Awaited), (29, Awaited)], None, Err(Late::Sending(IDLE)), 59),
            ("a client that never begins", &[(0, Awaited)], None, Err(Late::Sending(IDLE)), 30),
            ("a function that stops reading", &[(0, Taken), (50, Taken)], None, Err(Late::Taking(ANSWER)), 110),
            ("no instance", &[], None, Err(Late::Answer(ANSWER)), 60),
            ("an instance after 50 s, and a client that stops", &[(50, Awaited)], None, Err(Late::Sending(IDLE)), 80),
            ("an early answer", &[(0, Awaited), (10, Taken)], Some(1), Ok(()), 11),
        ];
        for (what, script, answer, wanted, after) in table {
            let (result, took) = held(script, answer).await;
            assert_eq!(result, wanted, "{what}");
            // The paused clock counts in milliseconds.
            assert!(took >= seconds(after) && took < seconds(after) + Duration::from_millis(20), "{what}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_body_the_limit_begins_with_the_request() {
        let limits = Limits { begun: Instant::now(), answer: ANSWER, idle: IDLE };
        let (timers, none) = (Timers::default(), None::<fn() -> Progress>);
        assert_eq!(limits.hold(&timers, sleep(seconds(59)), none).await, Ok(()));
        assert_eq!(limits.hold(&timers, pending::<()>(), none).await, Err(Late::Answer(ANSWER)));
        assert_eq!(limits.begun.elapsed().as_secs(), 60);
    }
}
