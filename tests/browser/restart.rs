//! The page over a restart of actord.

use serde_json::json;

use crate::actord::until;
use crate::stage::Stage;
use crate::tab::Tab;

/// Whether all buttons that change something can be pressed, or none of them and each says why.
async fn buttons(tab: &Tab, held: bool) {
    let so = if held { "b.disabled && b.title.includes('does not answer')" } else { "!b.disabled && !b.title" };
    tab.until(&format!(
        "((all) => all.length >= 3 && all.every((b) => {so}))([...document.querySelectorAll('[data-changes]')])"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_said_all_stays_as_it_was_shown_and_goes_on_when_actord_is_back() {
    let mut stage = Stage::start().await;
    stage.actord.deploy("shop", json!({})).await;
    let tab = stage.signed_in("#/function/openfaas-fn/shop").await;
    tab.see("#state", "1 of 1 ready").await;
    buttons(&tab, false).await;

    for killed in [false, true] {
        if killed {
            stage.actord.kill().await;
        } else {
            assert!(stage.actord.stop().await.success());
        }
        tab.see("#bar:not([hidden])", "actord does not answer").await;
        tab.see("#state", "1 of 1 ready").await;
        buttons(&tab, true).await;
        stage.actord.launch(&[]).await;
        tab.there_is("#bar[hidden]").await;
        buttons(&tab, false).await;
        assert_eq!(tab.text("h1").await, "shop openfaas-fn", "nobody has to sign in anew");
    }

    // What happens is told again as it happens, of this function and in the list.
    assert_eq!(stage.actord.scale("shop", 2).await.status, 202);
    tab.see("#state", "2 of 2 ready").await;
    tab.go("#/functions").await;
    tab.see("#functions tbody tr", "2/2").await;
    until("both run", async || stage.actord.processes_of("shop").len() == 2).await;
    assert_eq!(stage.actord.delete("shop").await.status, 202);
    tab.see("#functions", "There is no function yet").await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    stage.finish().await;
}
