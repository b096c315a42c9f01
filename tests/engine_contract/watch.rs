//! What those hear who watch.

use actord::engine::{Change, Changed, Changes};
use tokio::time::timeout;

use crate::fixture::{LONG, delete, id, scale, served, serves};
use crate::subject::Subject;

/// The changes up to the one that fits.
async fn up_to(changes: &mut Changes, last: impl Fn(&Changed) -> bool) -> Vec<Change> {
    let mut heard = Vec::new();
    loop {
        let change = timeout(LONG, changes.next()).await.expect("a change is told").expect("none is missed");
        heard.push(change);
        if heard.last().is_some_and(|change| last(&change.what)) {
            return heard;
        }
    }
}

fn deleted(what: &Changed) -> bool {
    *what == Changed::Deleted
}

pub async fn a_deploy_and_a_deletion_are_told_by_numbers_without_a_gap<S: Subject>(s: &mut S) {
    let mut changes = s.engine().watch(None);
    assert_eq!(changes.try_next(), None, "nothing has happened");
    let ready = served(s, "f").await;
    delete(s, "f").await;
    let heard = up_to(&mut changes, deleted).await;
    assert!(heard.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "{heard:?}");
    assert!(heard.iter().all(|change| change.id == id("f")), "{heard:?}");
    assert!(heard.iter().any(|change| change.what == Changed::Status(Box::new(ready.clone()))), "{heard:?}");
    assert_eq!(heard.iter().filter(|change| deleted(&change.what)).count(), 1);
}

pub async fn a_watcher_that_comes_back_with_its_number_misses_nothing<S: Subject>(s: &mut S) {
    let mut stays = s.engine().watch(None);
    served(s, "f").await;
    let seen = first(&mut stays).await;
    scale(s, "f", 2).await;
    serves(s, "f", 2).await;
    delete(s, "f").await;
    let back = up_to(&mut s.engine().watch(Some(seen)), deleted).await;
    assert_eq!(back[0].number, seen + 1);
    assert_eq!(up_to(&mut stays, deleted).await, back);
}

async fn first(changes: &mut Changes) -> u64 {
    up_to(changes, |_| true).await.remove(0).number
}

pub async fn a_watcher_whose_changes_are_not_kept_is_told_and_goes_on<S: Subject>(s: &mut S) {
    served(s, "f").await;
    let seen =
        s.engine().watch(Some(0)).next().await.expect_err("it was not there from the first number on").resume_after;
    let number = first(&mut s.engine().watch(Some(seen))).await;
    s.restart().await;
    for known in [number, u64::MAX] {
        let mut changes = s.engine().watch(Some(known));
        let missed = timeout(LONG, changes.next()).await.expect("it is told").expect_err("it missed something");
        assert_ne!(missed.resume_after, known);
    }
    serves(s, "f", 1).await;
    let mut changes = s.engine().watch(Some(number));
    changes.next().await.unwrap_err();
    delete(s, "f").await;
    up_to(&mut changes, deleted).await;
}
