//! All of it without a pointer: each stop of Tab is seen, in the order of what is shown, and leads on.

use serde_json::json;

use crate::actord::HELLO_2;
use crate::stage::Stage;
use crate::tab::Tab;

/// No page here has more stops.
const STOPS: usize = 80;

/// Where the focus is: what it is called, and whether it can be seen that it is there.
const HERE: &str = r"(() => {
    const e = document.activeElement;
    const style = getComputedStyle(e);
    const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const name = e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent;
    return { name: name.trim().replace(/\s+/g, ' '), tag: e.tagName, seen };
})()";

/// Goes on by Tab until the focus is on what is called so.
async fn tab_to(tab: &Tab, name: &str) {
    let mut way = Vec::new();
    for _ in 0..STOPS {
        tab.key("Tab").await;
        let here = tab.js(HERE).await;
        if here["tag"] != "BODY" {
            assert_eq!(here["seen"], true, "nobody sees that the focus is on {here}");
        }
        if here["name"] == name {
            return;
        }
        way.push(here["name"].to_string());
    }
    panic!("no way to {name:?} in {STOPS} steps: {way:?}");
}

/// Waits until the focus is there.
async fn focus_is(tab: &Tab, expression: &str) {
    tab.until(&format!("((e) => {expression})(document.activeElement)")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_deployed_scaled_updated_and_deleted_by_the_keyboard_alone() {
    let stage = Stage::start().await;
    let tab = stage.browser.tab().await;
    tab.open(&stage.url("#/functions")).await;
    tab.to_the_front().await;

    focus_is(&tab, "e.name === 'secret'").await;
    tab.type_in(&stage.password()).await;
    tab.key("Enter").await;
    tab.see("h1", "Functions").await;
    focus_is(&tab, "e.tagName === 'H1'").await;

    // The form: what is not filled in is asked for where it is missing.
    tab_to(&tab, "Deploy").await;
    tab.key("Enter").await;
    focus_is(&tab, "e.name === 'service'").await;
    tab.type_in("shop").await;
    tab.key("Enter").await;
    tab.see("#deploy .wrong", "type a reference").await;
    focus_is(&tab, "e.name === 'image'").await;
    tab.type_in("docker.io/actord/hello:1").await;
    tab_to(&tab, "Deploy").await;
    tab.key("Space").await;
    tab.see("h1", "shop").await;
    focus_is(&tab, "e.tagName === 'H1'").await;
    tab.see(".beside .state", "ready").await;

    // A dialog keeps the focus to itself, and gives it back.
    tab_to(&tab, "Scale").await;
    tab.key("Enter").await;
    focus_is(&tab, "e.name === 'replicas'").await;
    for _ in 0..6 {
        tab.key("Tab").await;
        focus_is(&tab, "e === document.body || e.closest('dialog')").await;
    }
    tab.key("Escape").await;
    tab.there_is_no("dialog").await;
    focus_is(&tab, "e.textContent === 'Scale'").await;
    tab.key("Enter").await;
    focus_is(&tab, "e.name === 'replicas'").await;
    tab.js("document.activeElement.select()").await;
    tab.type_in("2").await;
    tab.key("Enter").await;
    tab.there_is_no("dialog").await;
    focus_is(&tab, "e.textContent === 'Scale'").await;
    tab.see("#state", "2 of 2 ready").await;

    // From the heading of a page the way leads on through the pages of the function.
    tab.js("document.querySelector('h1').focus()").await;
    tab_to(&tab, "Update").await;
    tab.key("Enter").await;
    tab.there_is("#deploy").await;
    tab_to(&tab, "Image").await;
    tab.js("document.activeElement.select()").await;
    tab.type_in(HELLO_2).await;
    tab.key("Enter").await;
    tab.see("#spec", HELLO_2).await;

    tab_to(&tab, "Delete").await;
    tab.key("Enter").await;
    focus_is(&tab, "e.name === 'typed'").await;
    tab.type_in("shop").await;
    tab.key("Enter").await;
    tab.see("h1", "Functions").await;
    focus_is(&tab, "e.tagName === 'H1'").await;
    tab.see("#notices", "shop is deleted").await;

    // The first stop of a page leads past what all pages have.
    stage.actord.deploy("other", json!({})).await;
    tab.see("#functions tbody", "other").await;
    tab.reload().await;
    tab.see("#functions tbody", "other").await;
    tab.js("document.activeElement.blur()").await;
    tab_to(&tab, "Skip to the content").await;
    tab.key("Enter").await;
    focus_is(&tab, "e.id === 'main'").await;
    tab_to(&tab, "other").await;
    tab.key("Enter").await;
    tab.see("h1", "other").await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    stage.finish().await;
}
