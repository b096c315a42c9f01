//! A function's page, opened in the browser in which somebody is signed in on the dashboard, reaches nothing under `/system`.
//!
//! The page tries what a page can (page.html) and says what came of it; where the browser tells it nothing, actord's own counts do. Once by an address that browsers trust as they trust TLS, once by a name that they don't: then they hold less of what the
//! headers ask for, and no longer say that they are browsers.

use std::net::SocketAddr;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::actord::{Actord, HELLO_1, until};
use crate::client::{self, Request};
use crate::sample::Sample;
use crate::stage::{Stage, sign_in};
use crate::tab::Tab;

const PAGE: &str = include_str!("page.html");
const WORKER: &str = include_str!("worker.js");

/// The name of the browser's own for this machine.
const NAME: &str = "gateway.test";

/// How many changes were made, as the audit log has them, and how many requests on the three ports were refused: with
/// 401, or with 403 where they come from another origin's page.
async fn seen(actord: &Actord) -> (usize, f64) {
    let log = std::fs::read_to_string(actord.data().join("audit/audit.log")).unwrap();
    let metrics = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    let refused = |line: &&str| line.contains("=\"401\"") || line.contains("=\"403\"");
    let of_requests = |line: &&str| line.contains("http_requests_total{") && refused(line);
    let counts =
        metrics.lines().filter(of_requests).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
    (log.lines().filter(|line| line.contains("\"outcome\":\"done\"")).count(), counts.sum())
}

/// The tab that a page has opened, at an address that begins so.
async fn opened(stage: &Stage, url: &str) -> Tab {
    let mut found = None;
    until("the function's page is open", async || {
        for page in stage.browser.pages().await {
            if page.url().await.ok().flatten().is_some_and(|at| at.starts_with(url)) {
                found = Some(page);
                return true;
            }
        }
        false
    })
    .await;
    Tab::of(found.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_functions_page_in_the_same_browser_reaches_nothing_under_system() {
    let stage = Stage::with(|images| {
        Sample::new(HELLO_1)
            .file("/page.html", 0o644, PAGE.as_bytes())
            .file("/worker.js", 0o644, WORKER.as_bytes())
            .write(images);
    })
    .await;
    stage.actord.deploy("victim", json!({})).await;
    stage.actord.deploy("evil", json!({})).await;
    for host in ["127.0.0.1", NAME] {
        let at = |address: SocketAddr| format!("{host}:{}", address.port());
        let hosts = [stage.actord.public, stage.actord.provider, stage.page].map(at);
        let password = stage.password();

        // Somebody is signed in, and has tried the password in the address line of each port as well.
        let dashboard = stage.browser.tab().await;
        dashboard.open(&format!("http://{}/#/functions", hosts[2])).await;
        sign_in(&dashboard, &password).await;
        dashboard.see("#functions tbody", "victim").await;
        let visitor = stage.browser.tab().await;
        for host in &hosts {
            visitor.open(&format!("http://admin:{password}@{host}/system/functions")).await;
            visitor.see("body", "invalid credentials").await;
        }

        // The function's page is opened by a link of the dashboard, as if there were one.
        let url = format!("http://{}/function/evil/file?path=/page.html&type=text/html", hosts[0]);
        dashboard.js(&format!("void open({})", json!(url))).await;
        let evil = opened(&stage, &url).await;
        evil.until("globalThis.attack").await;
        evil.leaves_workers_alone().await;
        evil.to_the_front().await;

        let (done, refused) = seen(&stage.actord).await;
        let found = evil.js(&format!("attack({})", json!(hosts))).await;
        let found: Vec<(String, String)> = serde_json::from_value(found).unwrap();
        for (what, came) in &found {
            println!("{what}: {}", came.lines().next().unwrap_or_default());
        }
        assert_eq!(found.len(), 3 * 20 + 3);
        let reached: Vec<_> = found.iter().filter(|(_, came)| came.starts_with("reached")).collect();
        assert!(reached.is_empty(), "{reached:#?}");
        let came = |what: &str| found.iter().find(|(name, _)| name == what).map(|(_, came)| came.as_str()).unwrap();
        let (worker, opener) = (came("worker"), came("opener"));
        if host == NAME {
            assert_eq!((worker, opener), ("refused: there are none here", "refused: SecurityError"));
        } else {
            assert_eq!((worker, opener), ("refused: its own paths alone", "refused: there is none"));
        }
        let (done_now, refused_now) = seen(&stage.actord).await;
        println!("requests that were refused: {}", refused_now - refused);
        assert_eq!(done_now, done, "nothing was changed");
        assert!(refused_now >= refused + 30.0, "what the page could not see came to actord, and was refused there");
        let there: Vec<_> = stage.actord.list().await.iter().map(|one| one["name"].clone()).collect();
        assert_eq!(there, ["evil", "victim"]);
        let framed = evil.complaints().iter().filter(|said| said.contains("frame-ancestors")).count();
        assert!(framed > 0, "the dashboard lets nobody frame it: {:#?}", evil.complaints());

        // Who is signed in goes on undisturbed, and what the function answers is text to them.
        dashboard.to_the_front().await;
        dashboard.go("#/function/openfaas-fn/evil/invoke").await;
        dashboard.choose("form [name=method]", "GET").await;
        dashboard.fill("form [name=path]", "/file?path=/page.html&type=text/html").await;
        dashboard.press_in("main form", "Invoke").await;
        dashboard.see("#answer pre", "A function's page").await;
        assert_eq!(dashboard.js("typeof attack").await, "undefined");

        knows_the_password(&evil, &hosts, &password).await;
        let (done, _) = seen(&stage.actord).await;
        assert!(done > done_now, "a change by the page would have been seen");
        let there: Vec<_> = stage.actord.list().await.iter().map(|one| one["name"].clone()).collect();
        assert_eq!(there, ["evil"]);
        stage.actord.deploy("victim", json!({})).await;
        for tab in [dashboard, visitor, evil] {
            tab.close().await;
        }
    }
    stage.finish().await;
}

/// The same attempts with the password, which no such page has: they are seen to reach the API of its own address, and even so
/// nothing of the dashboard's.
async fn knows_the_password(evil: &Tab, hosts: &[String; 3], password: &str) {
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("admin:{password}"));
    let by = |method: &str, host: &str, body: Value| {
        let mut options = json!({ "method": method, "headers": { "Authorization": format!("Basic {basic}") } });
        if !body.is_null() {
            options["body"] = body.to_string().into();
        }
        format!("asked('http://{host}/system/functions', {options})")
    };
    let [public, _, dashboard] = hosts;
    // Its worker is gone, but would answer this very page until that is loaded anew.
    evil.reload().await;
    evil.until("globalThis.attack && !navigator.serviceWorker?.controller").await;
    assert_eq!(evil.js(&by("GET", public, Value::Null)).await, "reached: 200");
    assert_eq!(evil.js(&by("DELETE", public, json!({ "functionName": "victim" }))).await, "reached: 202");
    let elsewhere = evil.js(&by("GET", dashboard, Value::Null)).await;
    assert!(elsewhere.as_str().unwrap().starts_with("refused"), "{elsewhere}");
}
