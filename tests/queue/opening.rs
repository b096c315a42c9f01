//! An end while the database is being opened, or before that is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actord::queue::{Calls, NotAccepted, Queue};
use actord::store::StoreError;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::house::{MINUTE, SECOND, call, usual};
use crate::platform::{Platform, simulate};

#[test]
fn an_end_while_the_database_is_opened_ends_that_and_waits_until_it_has_ended() {
    simulate(async {
        let platform = Platform::start().await;
        let ended = Arc::new(AtomicBool::new(false));
        let seen = ended.clone();
        let open = Box::new(move |end: tokio_util::sync::CancellationToken| {
            let ended = seen.clone();
            async move {
                end.cancelled().await;
                // What it is at takes a moment to end.
                sleep(SECOND).await;
                ended.store(true, Ordering::Relaxed);
                Err(StoreError::Failed("actord ends".into()))
            }
            .boxed()
        });
        let engine = Arc::new(platform.engine.clone());
        let queue = Queue::open(open, engine, platform.routes.clone(), usual(), &Handle::current()).unwrap();
        queue.opened(SECOND).await;
        assert!(matches!(queue.accept(call("f")).await, Err(NotAccepted::Busy(_))));
        queue.finish(MINUTE).await;
        queue.close().await;
        assert!(ended.load(Ordering::Relaxed));
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_database_that_is_open_when_the_end_has_come_is_closed_in_order() {
    simulate(async {
        let platform = Platform::start().await;
        let calls = Calls::in_memory().unwrap();
        let opened = calls.clone();
        let open = Box::new(move |end: tokio_util::sync::CancellationToken| {
            let calls = opened.clone();
            async move {
                end.cancelled().await;
                Ok(calls)
            }
            .boxed()
        });
        let engine = Arc::new(platform.engine.clone());
        let queue = Queue::open(open, engine, platform.routes.clone(), usual(), &Handle::current()).unwrap();
        queue.opened(SECOND).await;
        queue.close().await;
        let after = calls.tidy().await.unwrap_err();
        assert!(after.to_string().contains("closed"), "{after}");
        platform.tidy(&[]).await;
    });
}

#[test]
fn a_database_that_can_not_be_used_is_told_and_takes_no_call() {
    simulate(async {
        let platform = Platform::start().await;
        let open = Box::new(|_| async { Err(StoreError::Newer { found: 9, known: 1 }) }.boxed());
        let engine = Arc::new(platform.engine.clone());
        let queue = Queue::open(open, engine, platform.routes.clone(), usual(), &Handle::current()).unwrap();
        queue.opened(SECOND).await;
        let [fault] = &queue.faults()[..] else { panic!("{:?}", queue.faults()) };
        assert!(fault.starts_with("queue: ") && fault.contains("start the newer actord again"), "{fault}");
        assert!(matches!(queue.accept(call("f")).await, Err(NotAccepted::Unusable(_))));
        queue.close().await;
        platform.tidy(&[]).await;
    });
}
