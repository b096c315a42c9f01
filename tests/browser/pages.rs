//! Each page with something on it: nothing that axe-core calls serious in light and dark, nothing wider than a phone, and pictures
//! of all of them where `ACTORD_PICTURES` names a directory for these (`make screenshots`).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::actord::{Actord, until};
use crate::axe;
use crate::client::{self, Request};
use crate::sample::Sample;
use crate::stage::{Stage, sign_in};
use crate::tab::Tab;

/// A page: what its picture is called, where it is, what is to be seen on it, and what is pressed then.
struct Page {
    name: &'static str,
    hash: &'static str,
    ready: &'static str,
    press: Option<(&'static str, &'static str)>,
    /// Whether a picture is one of all of it, not of what a window shows.
    whole: bool,
}

const fn page(name: &'static str, hash: &'static str, ready: &'static str) -> Page {
    Page { name, hash, ready, press: None, whole: true }
}

const PAGES: &[Page] = &[
    Page { whole: false, ..page("functions", "#/functions", "#functions tbody tr:nth-child(6)") },
    page("function", "#/function/openfaas-fn/checkout", "#graphs:not([hidden]) svg"),
    page("failing", "#/function/openfaas-fn/invoice", "#state .reason:not([hidden])"),
    Page { whole: false, ..page("logs", "#/function/openfaas-fn/checkout/logs", ".log .line:nth-child(20)") },
    Page {
        press: Some(("main form", "Invoke")),
        ..page("invoke", "#/function/openfaas-fn/checkout/invoke", "form [name=path]")
    },
    page("update", "#/function/openfaas-fn/checkout/update", "#deploy [name=secret]"),
    page("deploy", "#/deploy", "#deploy [name=secret]"),
    Page { whole: false, ..page("calls", "#/calls", "#calls tbody tr:nth-child(6)") },
    Page { press: Some(("#calls", "dead")), ..page("call", "#/calls?state=dead", "#calls a.code") },
    page("schedules", "#/schedules", "#schedules tbody tr:nth-child(2)"),
    page("secrets", "#/secrets", "#secrets tbody tr:nth-child(2)"),
    page("machine", "#/machine", "#machine meter"),
    Page {
        press: Some((".deeds", "Delete")),
        whole: false,
        ..page("delete", "#/function/openfaas-fn/checkout", "#state dl")
    },
];

/// So long functions are called before pictures are taken: graphs have something to show then.
const LOAD: Duration = Duration::from_secs(240);

/// Lets there be functions in all states, calls, schedules and secrets.
async fn furnish(actord: &Actord) {
    for (name, value) in [("payment-key", "k"), ("smtp-password", "p")] {
        let secret = json!({ "name": name, "value": value, "namespace": "openfaas-fn" });
        assert_eq!(actord.system("POST", "/system/secrets", secret).await.status, 202);
    }
    let image = |name: &str| format!("docker.io/acme/{name}");
    let deploy = async |name: &str, of: &str, mut changes: Value| {
        changes["image"] = image(of).into();
        actord.deploy(name, changes).await;
    };
    let scaled = json!({ "labels": { "com.openfaas.scale.min": "2" }, "secrets": ["payment-key"],
        "limits": { "memory": "128Mi" }, "annotations": { "com.openfaas.health.http.path": "/_/health" } });
    deploy("checkout", "shop:1.4.1", scaled.clone()).await;
    deploy("resize-image", "shop:1.4.1", json!({ "envVars": { "QUALITY": "80" } })).await;
    deploy(
        "send-mail",
        "shop:1.4.1",
        json!({ "secrets": ["smtp-password"], "annotations": {
        "com.openfaas.retry.attempts": "2", "com.openfaas.retry.min_wait": "100ms" } }),
    )
    .await;
    let clocked = |schedule: &str| json!({ "annotations": { "topic": "cron-function", "schedule": schedule } });
    deploy("nightly-report", "shop:1.4.1", clocked("30 3 * * *")).await;
    deploy("clean-up", "shop:1.4.1", clocked("@every 2m")).await;
    deploy("thumbnails", "shop:1.4.1", json!({})).await;
    deploy("invoice", "shop:1.4.1", json!({})).await;
    assert_eq!(actord.scale("thumbnails", 0).await.status, 202);

    // An update that served, one that was refused, and one that does not start: what was there before goes on.
    let mut newer = scaled;
    newer["image"] = image("shop:1.4.2").into();
    assert_eq!(actord.update("checkout", newer.clone()).await.status, 202);
    newer["image"] = image("shop:1.5.0").into();
    assert_eq!(actord.update("checkout", newer).await.status, 400);
    assert_eq!(actord.update("invoice", json!({ "image": image("shop:2.0.0") })).await.status, 202);

    // Calls that nobody waits for: most are answered, two become dead letters.
    for path in ["/async-function/send-mail/echo"; 8].iter().chain(&["/async-function/send-mail/status?code=503"; 2]) {
        assert_eq!(actord.ask(actord.request("POST", path, &json!({ "to": "me" }))).await.status, 202);
    }
    until("two calls are dead letters", async || {
        let dead = actord.system("GET", "/system/calls?state=dead", Value::Null).await;
        let page: Value = serde_json::from_str(&dead.text()).unwrap();
        page["calls"].as_array().unwrap().len() == 2
    })
    .await;
    for _ in 0..30 {
        assert_eq!(actord.get("/function/checkout/").await.status, 200);
    }
}

/// Calls functions as people would, more and less as time goes.
async fn load(actord: &Actord) {
    let begun = Instant::now();
    let mut round = 0_u32;
    while begun.elapsed() < LOAD {
        round += 1;
        let busy = 4 + (round / 40) % 7;
        for n in 0..busy {
            let path = match (n, round % 9) {
                (0, 0) => "/function/checkout/status?code=500",
                (1, _) => "/function/resize-image/sleep?ms=25",
                (2, 0) => "/function/send-mail/echo",
                _ => "/function/checkout/",
            };
            let _ = client::ask(actord.public, Request::get(path)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Opens a page as it is to be looked at.
async fn look(tab: &Tab, page: &Page) {
    tab.go(page.hash).await;
    tab.there_is(page.ready).await;
    match page.press {
        Some((_, "dead")) => {
            tab.js("document.querySelector('#calls a.code').click()").await;
            tab.there_is("#call .facts").await;
        }
        Some((within, label)) => {
            tab.press_in(within, label).await;
            tab.there_is("dialog, #answer:not([hidden]) h2").await;
        }
        None => {}
    }
    // What moves has come to rest: the browser says so of each of its animations, and a frame has been drawn since.
    tab.js("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))").await;
    tab.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))").await;
}

/// Leaves what lies over the page.
async fn leave(tab: &Tab) {
    tab.js("document.querySelectorAll('dialog').forEach((dialog) => dialog.close())").await;
    tab.there_is_no("dialog").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_page_has_no_serious_finding_of_axe_in_light_and_dark_and_fits_a_phone() {
    let pictures = std::env::var_os("ACTORD_PICTURES").map(PathBuf::from);
    let stage = Stage::with(|images| {
        let image = |version: &str| Sample::new(&format!("docker.io/acme/shop:{version}")).version(version);
        image("1.4.1").write(images);
        image("1.4.2").write(images);
        image("1.5.0").user("shopkeeper").write(images);
        image("2.0.0").env("EXIT_AT_START", "1").write(images);
    })
    .await;
    furnish(&stage.actord).await;
    if pictures.is_some() {
        load(&stage.actord).await;
    }

    println!("looked at by {}", axe::which());
    let mut found = Vec::new();
    let mut looked = 0;
    for (view, (width, height), colours) in
        [("light", (1280, 900), "light"), ("dark", (1280, 900), "dark"), ("phone", (390, 844), "light")]
    {
        let tab = stage.browser.tab().await;
        tab.size(width, height).await;
        tab.colours(colours).await;
        tab.open(&stage.url("")).await;
        tab.there_is("#signin").await;
        let picture = async |name: &str, whole: bool| {
            if let Some(directory) = &pictures {
                std::fs::create_dir_all(directory).unwrap();
                std::fs::write(directory.join(format!("{name}-{view}.png")), tab.picture(whole).await).unwrap();
            }
        };
        let mut check = async |name: &str| {
            looked += 1;
            let wide = tab.js("document.documentElement.scrollWidth - innerWidth").await.as_i64().unwrap();
            found.extend((wide > 0).then(|| format!("{name}, {view}: {wide} px too wide")));
            if view != "phone" {
                found.extend(axe::findings(&tab).await.into_iter().map(|each| format!("{name}, {view}: {each}")));
            }
        };
        picture("signin", false).await;
        check("signin").await;
        sign_in(&tab, &stage.password()).await;
        for page in PAGES {
            look(&tab, page).await;
            picture(page.name, page.whole).await;
            check(page.name).await;
            leave(&tab).await;
        }
        // What is looked for is found where it is.
        if view != "phone" {
            let bad = axe::of_a_bad_page(&tab).await;
            assert!(axe::name_both(&bad), "{bad:#?}");
        } else {
            tab.js("document.getElementById('main').style.width = '500px'").await;
            assert!(tab.js("document.documentElement.scrollWidth > innerWidth").await.as_bool().unwrap());
        }
        assert_eq!(tab.complaints(), Vec::<String>::new(), "{view}");
        tab.close().await;
    }
    println!("{looked} looks at pages");
    assert!(found.is_empty(), "{found:#?}");
    stage.finish().await;
}
