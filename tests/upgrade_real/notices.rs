//! What actord says to its service manager.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::manager::Manager;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_when_it_is_ready_lives_and_stops() {
    let mut manager = Manager::new();
    manager.watchdog = Some(Duration::from_secs(3));
    manager.start().await;
    assert!(manager.said().iter().any(|said| said.starts_with("STATUS=functions answer on 127.0.0.1:")));
    assert!(manager.count("EXTEND_TIMEOUT_USEC=30000000") >= 1, "a start may take long: {:?}", manager.said());

    let before = manager.count("WATCHDOG=1");
    manager.hear("WATCHDOG=1", before + 3).await;
    // A process that hangs as a whole is the plainest way not to answer.
    manager.actord.signal(Signal::STOP);
    sleep(Duration::from_millis(200)).await;
    let silent = manager.count("WATCHDOG=1");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(manager.count("WATCHDOG=1"), silent, "nobody says that a stopped process lives");
    manager.actord.signal(Signal::CONT);
    manager.hear("WATCHDOG=1", silent + 1).await;

    assert_eq!(manager.count("STOPPING=1"), 0);
    assert!(manager.actord.stop().await.success());
    assert_eq!(manager.count("STOPPING=1"), 1, "{:?}", manager.said());
    manager.actord.finish().await;
}
