//! Functions that are called by the clock, on the real program: one call for each due time, whatever becomes of actord.

use actord::store::calls::{Bounds, Calls, Filter};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::queue::begun;

/// How many calls are done.
async fn done(actord: &Actord) -> usize {
    let answer = actord.system("GET", "/system/calls?state=done", Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page: Value = serde_json::from_str(&answer.text()).unwrap();
    page["calls"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_called_once_for_each_due_time_however_actord_ends_meanwhile() {
    let mut actord = Actord::start().await;
    let function = json!({
        "annotations": { "topic": "cron-function", "schedule": "@every 1s" },
        "envVars": { "LOG_CALLS": "1" },
    });
    actord.deploy("tick", function).await;
    let wrong = json!({ "annotations": { "topic": "cron-function", "schedule": "0 25 * * *" } });
    let refused = actord.apply("POST", "tock", wrong).await;
    assert!(refused.status == 400 && refused.text().contains("hour"), "{}: {}", refused.status, refused.text());
    // It is down over no due time, over some, and ends in order.
    for (is_killed, down) in [(true, 0), (true, 2_500), (false, 1_500)] {
        let before = done(&actord).await;
        until("it was called some times", async || done(&actord).await >= before + 2).await;
        if is_killed {
            actord.kill().await;
        } else {
            assert!(actord.stop().await.success());
        }
        sleep(Duration::from_millis(down)).await;
        actord.launch(&[]).await;
    }
    let before = done(&actord).await;
    until("it was called some times", async || done(&actord).await >= before + 2).await;
    let answer = actord.system("GET", "/system/schedules", Value::Null).await;
    let listed: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((&listed[0]["schedule"], &listed[0]["missed"]), (&json!("@every 1s"), &json!(0)), "{listed}");
    assert!(actord.stop().await.success());

    // What the clock and the calls came to, by the file itself.
    let calls = Calls::open(&actord.data().join("calls.db"), Bounds::default(), 0).unwrap();
    let fired = calls.fired().await.unwrap();
    assert_eq!(fired.len(), 1);
    let due = (fired[0].last_due.unwrap() - fired[0].anchor) / 1_000;
    let made = calls.page(Filter { limit: 1_000, ..Filter::default() }).await.unwrap().calls;
    assert_eq!(i64::try_from(made.len()).unwrap(), due, "one call for each due time: {fired:?}");
    assert_eq!((fired[0].missed, fired[0].skipped), (0, 0));
    assert!(due >= 8, "it was called twice and more in each life: {due}");
    calls.close().await.unwrap();

    // Only what was under way at a kill may have begun twice.
    let begun = begun(&actord);
    let again: usize = begun.values().map(|count| count - 1).sum();
    assert!(again <= 2, "{again} of {} calls began again over two kills", begun.len());
    actord.finish().await;
}
