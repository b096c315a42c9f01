//! A page that is open for long: beside others, and over the end of its session.

use serde_json::json;

use crate::actord::HELLO_1;
use crate::stage::{Stage, sign_in};
use crate::tab::Tab;

/// One more than a browser has connections for an address, all tabs together.
const TABS: usize = 7;

/// Has the function write two lines to its log.
async fn two_lines(stage: &Stage) {
    let answer = stage.actord.ask(stage.actord.request("POST", "/function/shop/log?lines=2", &json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Ends the session of a tab behind the page's back, as its end by time would.
async fn end_session(tab: &Tab) {
    let end = "(async () => {
        const { authorization } = JSON.parse(sessionStorage.getItem('actord-session'));
        return (await fetch('/system/session', { method: 'DELETE', headers: { Authorization: authorization } })).status;
    })()";
    assert_eq!(tab.js(end).await, 202);
    tab.there_is("#signin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_seven_tabs_that_follow_a_log_is_answered_and_goes_on_when_it_is_seen_again() {
    let stage = Stage::start().await;
    stage.actord.deploy("shop", json!({})).await;
    two_lines(&stage).await;
    let mut tabs = Vec::new();
    for _ in 0..TABS {
        let tab = stage.browser.tab().await;
        tab.to_the_front().await;
        tab.open(&stage.url("#/function/openfaas-fn/shop/logs")).await;
        sign_in(&tab, &stage.password()).await;
        tab.there_is(".log .line").await;
        tab.see(".beside .state", "ready").await;
        tabs.push(tab);
    }
    let lines = tabs[TABS - 1].count(".log .line").await;
    two_lines(&stage).await;
    for tab in &tabs {
        tab.to_the_front().await;
        tab.until(&format!("document.querySelectorAll('.log .line').length >= {}", lines + 2)).await;
        tab.there_is("#bar[hidden]").await;
        assert_eq!(tab.complaints(), Vec::<String>::new());
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_is_there_for_the_same_person_after_the_end_of_a_session_and_for_nobody_else() {
    let stage = Stage::start().await;
    let tab = stage.signed_in("#/deploy").await;
    tab.fill("#deploy [name=service]", "typed").await;
    tab.fill("#deploy [name=image]", HELLO_1).await;
    end_session(&tab).await;
    assert_eq!(tab.count("#deploy").await, 0, "nothing is seen of it meanwhile");
    sign_in(&tab, &stage.password()).await;
    tab.there_is("#deploy").await;
    assert_eq!(tab.js("document.querySelector('#deploy [name=service]').value").await, "typed");
    tab.press_in("#deploy", "Deploy").await;
    tab.see("h1", "typed").await;
    tab.see(".beside .state", "ready").await;

    tab.go("#/deploy").await;
    tab.fill("#deploy [name=service]", "mine").await;
    end_session(&tab).await;
    sign_in(&tab, &stage.token(&["read", "write"]).await).await;
    tab.there_is("#deploy [name=service]").await;
    assert_eq!(tab.js("document.querySelector('#deploy [name=service]').value").await, "");
    assert_eq!(tab.complaints(), Vec::<String>::new());
    stage.finish().await;
}
