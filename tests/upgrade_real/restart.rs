//! A restart through handed-over sockets costs nobody a request.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::load::{Habit, Load};
use crate::manager::Manager;
use crate::raw_client::Connection;

/// Requests between two restarts, and restarts: a short form, and a long one for `make soak`.
fn extent() -> (usize, usize) {
    if std::env::var_os("ACTORD_SOAK").is_some() { (1_000, 5) } else { (500, 2) }
}

/// Clients of the function `hello`, of every kind that a restart could hurt.
pub(crate) fn habits() -> Vec<Habit> {
    let get = |path: &str, expected, keeps, pause| Habit {
        method: "GET",
        path: format!("/function/hello{path}"),
        body: Vec::new(),
        expected,
        keeps,
        pause: Duration::from_millis(pause),
    };
    let mut habits = Vec::new();
    for pause in [1, 3, 10, 30] {
        habits.push(get("/bytes?n=100", 100, true, pause));
        habits.push(get("/bytes?n=100", 100, false, pause + 5));
    }
    // Some that are idle for about as long as a draining actord waits, and longer.
    for pause in [290, 350, 510, 900] {
        habits.push(get("/bytes?n=10", 10, true, pause));
    }
    // Some that are under way whenever it happens: slow to begin, slow to end, large both ways.
    habits.push(get("/sleep?ms=700", "slept 700 ms\n".len(), true, 1));
    habits.push(get("/bytes?n=3000000", 3_000_000, true, 20));
    habits.push(get("/bytes?n=3000000", 3_000_000, false, 20));
    let post = Habit { method: "POST", body: vec![b'x'; 20_000], ..get("/echo", 20_000, true, 5) };
    habits.push(Habit { keeps: false, ..post.clone() });
    habits.push(post);
    habits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_fail_no_request() {
    let (requests, restarts) = extent();
    let mut manager = Manager::new();
    manager.start().await;
    manager.deploy("hello").await;
    let before = manager.functions();
    assert_eq!(before.len(), 1);

    let load = Load::start(manager.actord.public, habits());
    let mut gaps = Vec::new();
    for round in 1..=restarts {
        load.reaches(round * requests).await;
        let begun = Instant::now();
        assert!(manager.actord.stop().await.success(), "{}", manager.actord.end_of_log());
        let ended = begun.elapsed();
        manager.start().await;
        gaps.push((ended, begun.elapsed()));
    }
    load.reaches((restarts + 1) * requests).await;
    let seen = load.finish().await;
    println!("{restarts} restarts (ended after, answering after: {gaps:?}): {seen}");
    assert_eq!(seen.failed, [""; 0]);
    assert_eq!(manager.functions(), before, "the function's process was left alone");
    manager.actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_alive_connection_is_answered_while_draining_and_told_to_close() {
    let mut manager = Manager::new();
    manager.start().await;
    manager.deploy("hello").await;
    let mut idle = Connection::open(manager.actord.public).await.unwrap();
    let mut busy = Connection::open(manager.actord.public).await.unwrap();
    for connection in [&mut idle, &mut busy] {
        let answer = connection.send("GET", "/function/hello/version", "", b"").await.unwrap();
        assert!(answer.status == 200 && !answer.closes());
    }
    // Something long holds the drain open.
    let public = manager.actord.public;
    let long = tokio::spawn(async move {
        let mut connection = Connection::open(public).await.unwrap();
        connection.send("GET", "/function/hello/sleep?ms=3000", "", b"").await
    });
    sleep(Duration::from_millis(300)).await;
    manager.actord.signal(Signal::TERM);
    sleep(Duration::from_millis(100)).await;
    let answer = busy.send("GET", "/function/hello/version", "", b"").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.closes(), "{}", answer.head);
    // One that comes now is not refused: it waits for the next actord.
    let waiting = tokio::spawn(async move {
        let mut connection = Connection::open(public).await.unwrap();
        connection.send("GET", "/function/hello/version", "", b"").await
    });
    sleep(Duration::from_millis(1_000)).await;
    assert!(idle.is_closed(), "an idle connection does not hold up the end");
    assert!(!waiting.is_finished());
    assert_eq!(long.await.unwrap().unwrap().status, 200);
    assert!(manager.actord.ended().await.success());
    manager.start().await;
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
    manager.actord.finish().await;
}
