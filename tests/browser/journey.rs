//! What a newcomer does in the first ten minutes, from the sign-in to the end of the function.

use serde_json::json;

use crate::actord::HELLO_2;
use crate::registry::Registry;
use crate::sample::Sample;
use crate::stage::{Stage, sign_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_deployed_called_read_scaled_broken_understood_and_deleted_in_the_browser_alone() {
    let stage = Stage::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let registry = Registry::start(elsewhere.path()).await;
    let image = Sample::new("docker.io/acme/shop:1").version("1").archive();
    let image = registry.push_archive("acme/shop", "1", &image).await;

    let secret = json!({ "name": "shop-key", "value": "s", "namespace": "openfaas-fn" });
    assert_eq!(stage.actord.system("POST", "/system/secrets", secret).await.status, 202);

    // A wrong password is told, and leaves the form where it was.
    let tab = stage.browser.tab().await;
    tab.open(&stage.url("#/deploy")).await;
    tab.fill("#signin [name=secret]", "a guess").await;
    tab.press("Sign in").await;
    tab.see("#signin .wrong", "Not known here").await;
    sign_in(&tab, &stage.password()).await;
    assert!(!tab.js("document.cookie").await.as_str().unwrap().contains('='), "it works without a cookie");

    // Deployed by the form, from a registry; its page opens when it is ready.
    tab.fill("#deploy [name=service]", "shop").await;
    tab.fill("#deploy [name=image]", &image).await;
    tab.press_in("#deploy", "shop-key").await;
    tab.press_in("#deploy", "Deploy").await;
    tab.see("h1", "shop").await;
    tab.see(".beside .state", "ready").await;
    tab.see("#state", "1 of 1 ready").await;
    assert_eq!(stage.actord.get("/function/shop/version").await.text(), "1\n");
    assert_eq!(stage.actord.describe("shop").await["secrets"], json!(["shop-key"]));
    assert_eq!(tab.js("document.activeElement.tagName").await, "H1", "who can't see it hears which page this is");

    // Called by hand.
    tab.press_in(".tabs", "Invoke").await;
    tab.fill("form [name=path]", "/echo").await;
    tab.fill("form [name=body]", "hello <b>world</b>").await;
    tab.press_in("main form", "Invoke").await;
    tab.see("#answer .state", "200").await;
    tab.see("#answer pre", "hello <b>world</b>").await;
    assert_eq!(tab.count("#answer b").await, 0, "an answer is text, whatever is in it");

    // Its log as it is written: the lines come while the page is open.
    tab.press_in(".tabs", "Logs").await;
    tab.see(".log .line", "POST /echo 200").await;
    assert_eq!(stage.actord.get("/function/shop/log?lines=3&bytes=20").await.status, 200);
    tab.see(".log .line", "3 xxxxxxxxxxxxxxxxxxxx").await;
    // Also those that are the same and of one moment.
    for _ in 0..20 {
        assert_eq!(stage.actord.get("/function/shop/headers").await.status, 200);
    }
    let all_are_there =
        "[...document.querySelectorAll('.log .line')].filter((e) => e.textContent.includes('GET /headers 200')).length";
    tab.until(&format!("{all_are_there} === 20")).await;
    tab.fill("[name=search]", "2 xxx").await;
    tab.there_is(".log mark.here").await;

    // Scaled; nonsense is refused where it was typed.
    tab.press_in(".tabs", "Overview").await;
    tab.press_in(".deeds", "Scale").await;
    tab.fill("dialog [name=replicas]", "-3").await;
    tab.press_in("dialog", "Scale").await;
    tab.see("dialog .wrong", "from 0 to 1000").await;
    tab.fill("dialog [name=replicas]", "2").await;
    tab.press_in("dialog", "Scale").await;
    tab.there_is_no("dialog").await;
    tab.see("#state", "2 of 2 ready").await;
    assert_eq!(stage.actord.processes_of("shop").len(), 2);

    // Broken by an image that is not there: the form says why, what served goes on, and the page keeps the reason.
    let missing = format!("{}/acme/shop:nosuch", registry.address);
    tab.press_in(".tabs", "Update").await;
    tab.fill("#deploy [name=image]", &missing).await;
    tab.press_in("#deploy", "Update").await;
    tab.see("#deploy .wrong", "nosuch").await;
    let refused = stage.actord.describe("shop").await["lifecycle"]["lastRefusal"]["reason"].take();
    tab.see("#deploy .wrong", refused.as_str().unwrap()).await;
    tab.press_in(".tabs", "Overview").await;
    tab.see("#state .refusal", refused.as_str().unwrap()).await;
    tab.see("#state .refusal", &missing).await;
    tab.see(".beside .state", "ready").await;

    // Mended by an image that is there, then taken back.
    tab.press_in(".tabs", "Update").await;
    tab.fill("#deploy [name=image]", HELLO_2).await;
    tab.press_in("#deploy", "Update").await;
    tab.see("#spec", HELLO_2).await;
    assert_eq!(stage.actord.get("/function/shop/version").await.text(), "2\n");
    assert_eq!(
        stage.actord.describe("shop").await["secrets"],
        json!(["shop-key"]),
        "what the form did not change is kept"
    );
    tab.press("Roll back to generation 1").await;
    tab.press_in("dialog", "Roll back").await;
    tab.there_is_no("dialog").await;
    tab.see("#spec", &image).await;
    assert_eq!(stage.actord.get("/function/shop/version").await.text(), "1\n");

    // Deleted, once its name was typed; another name does nothing.
    tab.press_in(".deeds", "Delete").await;
    tab.fill("dialog [name=typed]", "shops").await;
    tab.press_in("dialog", "Delete shop").await;
    tab.see("dialog .wrong", "nothing was done").await;
    assert_eq!(stage.actord.describe("shop").await["name"], json!("shop"));
    tab.fill("dialog [name=typed]", "shop").await;
    tab.press_in("dialog", "Delete shop").await;
    tab.see("h1", "Functions").await;
    tab.see("#functions", "There is no function yet").await;
    assert!(stage.actord.list().await.is_empty());

    tab.press("Sign out").await;
    tab.there_is("#signin").await;
    assert_eq!(tab.js("sessionStorage.length").await, 0, "nothing of the session stays");
    assert_eq!(tab.complaints(), Vec::<String>::new());
    stage.finish().await;
}
