//! What the log tells an operator of a function that sleeps and wakes.

use std::cell::RefCell;
use std::io;

use actord::function::{Phase, Tier};

use crate::platform::{Platform, id, simulate};

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what each thread logs. It is the log of all threads, since one that a thread has alone misses lines whose
/// places in the code another thread came by first.
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_sleep_each_wake_and_what_serves_after_it_is_a_line_and_a_deletion_is_no_wake() {
    const REST: &str = "stopped until the next call";
    const WAKE: &str = "waking it";
    const SERVING: &str = " serving ";
    const NOT_IDLE: &str = "no longer idle";
    const DELETED: &str = "nothing of it is left";
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    simulate(async {
        let platform = Platform::start().await;
        platform.deploy("f", "good:1").await.unwrap();
        let sleep = async || {
            platform.rest("f", Tier::Stopped).await.unwrap();
            platform.until("it is idle", async |p| p.phase("f").await == Some(Phase::Idle)).await;
            platform.tidy(&["f"]).await;
        };
        sleep().await;
        drop(platform.routes.lease(&id("f")).await.unwrap());
        sleep().await;
        platform.scale("f", 3).await.unwrap();
        platform.until("all serve", async |p| p.published("f").len() == 3).await;
        sleep().await;
        platform.delete("f").await.unwrap();
        platform.tidy(&["f"]).await;
    });
    let written = String::from_utf8(WRITTEN.take()).unwrap();
    let texts = [REST, WAKE, SERVING, NOT_IDLE, DELETED];
    let told = written.lines().filter_map(|line| texts.into_iter().find(|text| line.contains(text)));
    let expected = [SERVING, REST, WAKE, SERVING, REST, NOT_IDLE, SERVING, REST, DELETED];
    assert_eq!(told.collect::<Vec<_>>(), expected, "{written}");
}
