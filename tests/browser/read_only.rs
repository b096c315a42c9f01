//! Who may look only sees a page to look at.

use serde_json::{Value, json};

use crate::actord::until;
use crate::stage::{Stage, sign_in};
use crate::tab::Tab;

/// Each page, and what tells that all of it is there.
const PAGES: &[(&str, &str)] = &[
    ("#/functions", "#functions tbody tr"),
    ("#/function/openfaas-fn/shop", "#spec dl"),
    ("#/function/openfaas-fn/shop/logs", ".log .line"),
    ("#/calls", "#calls tbody tr"),
    ("#/schedules", "#schedules tbody tr"),
    ("#/secrets", "#secrets tbody tr"),
];

/// How much is seen on the open page that changes something, or leads to where something is changed.
const CHANGES: &str = "[...document.querySelectorAll(`[data-changes], form, input:not([type=search], [type=checkbox]), textarea, \
     a[href$='/update'], a[href$='/invoke'], a[href='#/deploy']`)].filter((e) => e.checkVisibility()).length";

async fn changes(tab: &Tab, (hash, ready): (&str, &str)) -> u64 {
    tab.go(hash).await;
    tab.there_is(ready).await;
    seen(tab).await
}

async fn seen(tab: &Tab) -> u64 {
    tab.js(CHANGES).await.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_token_sees_no_way_to_change_anything() {
    let stage = Stage::start().await;
    let actord = &stage.actord;
    let secret = json!({ "name": "key", "value": "hunter2", "namespace": "openfaas-fn" });
    assert_eq!(actord.system("POST", "/system/secrets", secret).await.status, 202);
    let clocked = json!({ "topic": "cron-function", "schedule": "0 4 * * *" });
    actord.deploy("shop", json!({ "secrets": ["key"], "annotations": clocked })).await;
    for path in ["/async-function/shop/log?lines=2", "/async-function/shop/status?code=400"] {
        assert_eq!(actord.ask(actord.request("POST", path, &json!({}))).await.status, 202);
    }
    until("one call is answered, and one a dead letter", async || {
        let calls = actord.system("GET", "/system/calls", Value::Null).await.text();
        calls.contains("\"dead\"") && calls.contains("\"done\"")
    })
    .await;

    let tab = stage.browser.tab().await;
    tab.open(&stage.url("")).await;
    sign_in(&tab, &stage.token(&["read"]).await).await;
    tab.see("#top .who", "read-only").await;
    for page in PAGES {
        assert_eq!(changes(&tab, *page).await, 0, "{page:?}: {}", tab.text("main").await);
    }
    // By addresses that nothing leads to, it is told in words.
    for hash in ["#/deploy", "#/function/openfaas-fn/shop/update", "#/function/openfaas-fn/shop/invoke"] {
        tab.go(hash).await;
        tab.see("main", "not change anything").await;
        assert_eq!(seen(&tab).await, 0, "{hash}");
    }
    assert_eq!(tab.count("a[href='#/machine']").await, 0);
    tab.go("#/machine").await;
    tab.see("main", "who signed in with the password").await;
    let shown = tab.js("document.documentElement.outerHTML").await;
    assert!(!shown.as_str().unwrap().contains("hunter2"));
    assert_eq!(tab.complaints(), Vec::<String>::new());
    tab.press("Sign out").await;

    // Who may change something sees that there is something to be changed on all of them but one.
    tab.there_is("#signin").await;
    sign_in(&tab, &stage.password()).await;
    for page in PAGES.iter().filter(|(hash, _)| *hash != "#/schedules") {
        assert!(changes(&tab, *page).await > 0, "{page:?}");
    }
    tab.there_is("a[href='#/machine']").await;
    stage.finish().await;
}
