//! What comes to the ports and is no HTTP: scanners, TLS, other protocols. Told in one line a minute, however much comes.

use std::net::SocketAddr;

use tracing::info;

use super::notices::Notices;
use super::refusal::Refusal;

/// The requests of one listener that could not be read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Strangers(Notices<(Option<SocketAddr>, Refusal)>);

impl Default for Strangers {
    fn default() -> Self {
        Self(Notices::told_by(|count, (peer, refusal)| tell(count, *peer, refusal)))
    }
}

impl Strangers {
    /// Notes one: the first is told at once, those of the minute after it in one line.
    pub(super) fn note(&self, peer: Option<SocketAddr>, refusal: &Refusal) {
        self.0.note((peer, refusal.clone()));
    }
}

fn tell(count: u64, peer: Option<SocketAddr>, refusal: &Refusal) {
    let peer = peer.map(tracing::field::display);
    info!(count, peer, status = refusal.status.as_u16(), why = %refusal.words, "requests that can't be read were refused");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::super::notices::EVERY;
    use super::*;
    use crate::http::captured_log::CapturedLog;

    fn counts(log: &CapturedLog) -> Vec<String> {
        let count = |line: &str| line.split("count=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        log.text().lines().map(count).collect()
    }

    #[actix_web::test]
    async fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        tokio::time::pause();
        let log = CapturedLog::default();
        let _guard = log.listen();
        let strangers = Strangers::default();
        let note = |times: usize| (0..times).for_each(|_| strangers.note(None, &Refusal::bad("no HTTP")));
        note(1);
        assert_eq!(counts(&log), ["1"]);
        note(500);
        assert_eq!(counts(&log), ["1"]);
        sleep(EVERY + Duration::from_millis(1)).await;
        assert_eq!(counts(&log), ["1", "500"]);
        note(7);
        sleep(EVERY).await;
        assert_eq!(counts(&log), ["1", "500", "7"]);
        sleep(EVERY * 10).await;
        assert_eq!(counts(&log), ["1", "500", "7"], "nothing came");
        note(1);
        assert_eq!(counts(&log), ["1", "500", "7", "1"]);
    }
}
