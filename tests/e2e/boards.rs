//! Boards and alerts on a real actord: what they name is there after a bit of life, and Prometheus understands every
//! expression of theirs and finds series for it.

mod expression;
mod files;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use self::expression::{Selector, filled, selectors, unfiltered};
use self::files::{BOARDS, RULES, board, expressions, list, path, rules, text};
use crate::actord::{Actord, HELLO_1, until};
use crate::client::{self, Request};
use crate::prometheus::{Prometheus, Scrape, no_complaint_of_promtool};
use crate::sample::Sample;

/// How long after its life everything may take to be scraped twice.
const PATIENCE: Duration = Duration::from_secs(60);

/// An actord that serves with a certificate: the date of its end is there to be alerted on.
struct House {
    actord: Actord,
    _home: tempfile::TempDir,
}

impl House {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["faas.example".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            fs::write(home.path().join(name), text).unwrap();
            home.path().join(name).display().to_string()
        };
        let (certificate, key) = (file("tls.crt", made.cert.pem()), file("tls.key", made.signing_key.serialize_pem()));
        let settings = ["--tls-certificate", &certificate, "--tls-key", &key, "--deploy-wait", "0s"];
        let actord = Actord::with(&settings, |images| {
            Sample::new(HELLO_1).version("1").env("QUIET", "1").write(images);
        })
        .await;
        Self { actord, _home: home }
    }

    /// Asks the public port as anybody does; the status.
    fn ask(&self, path: &str, flags: &[&str]) -> String {
        let url = format!("https://{}{path}", self.actord.public);
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--insecure",
            "--max-time",
            "30",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        let said = curl.args(flags).arg(url).output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    }

    async fn is_ready(&self, function: &str) {
        until("it is ready", async || self.actord.describe(function).await["availableReplicas"] == 1).await;
    }

    /// A bit of everything that boards show.
    async fn live(&self) {
        let Self { actord, .. } = self;
        let hello = json!({
            "labels": { "com.openfaas.scale.max": "2", "com.openfaas.scale.target": "50", "com.openfaas.scale.type": "rps" },
            "annotations": { "topic": "cron-function", "schedule": "@every 1s" },
        });
        actord.deploy("hello", hello).await;
        self.is_ready("hello").await;
        actord.deploy("broken", json!({})).await;
        self.is_ready("broken").await;
        // A version that can't be had: the one before serves.
        assert_eq!(actord.update("broken", json!({ "image": "127.0.0.1:9/none:1" })).await.status, 202);
        until("that failed", async || actord.describe("broken").await["lifecycle"]["phase"] == "failed").await;
        assert_eq!(self.ask("/function/hello", &[]), "200");
        assert_eq!(self.ask("/function/hello/status?code=500", &[]), "500");
        for (path, state) in [("/async-function/hello/echo", "done"), ("/async-function/hello/status?code=418", "dead")]
        {
            assert_eq!(self.ask(path, &["--data", "x"]), "202");
            let page = format!("/system/calls?state={state}");
            until("the call has ended", async || {
                let answer = actord.system("GET", &page, Value::Null).await;
                serde_json::from_str::<Value>(&answer.text()).unwrap()["calls"][0] != Value::Null
            })
            .await;
        }
        // A call that waits for an instance.
        assert_eq!(actord.scale("broken", 0).await.status, 202);
        until("nothing of it runs", async || actord.processes_of("broken").is_empty()).await;
        assert_eq!(self.ask("/function/broken", &[]), "200");
        let password = fs::read_to_string(actord.data().join("auth/basic-auth-password")).unwrap();
        let user = format!("admin:{}", password.trim());
        assert_eq!(self.ask("/system/functions", &["--user", &user]), "200");
    }

    async fn page(&self) -> String {
        client::ask(self.actord.metrics, Request::get("/metrics")).await.unwrap().text()
    }
}

/// The names of all series of a page.
fn names(page: &str) -> BTreeSet<&str> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// What boards and rules ask for: where it stands, and the question. Each of them has an answer here.
fn questions(instance: &str) -> Vec<(String, String)> {
    let values = |function| {
        [("__rate_interval", "1m"), ("instance", instance), ("namespace", "openfaas-fn"), ("function", function)]
    };
    let mut all = Vec::new();
    for file in BOARDS {
        let board = board(file);
        let of_board = expressions(&board).into_iter().map(unfiltered);
        let lists = list(&board["templating"]["list"]).iter().map(|variable| text(&variable["definition"]));
        let listed = lists.filter_map(|list| list.strip_prefix("label_values(")?.rsplit_once(", "));
        let all_of_it = of_board.chain(listed.map(|(selector, _)| selector));
        all.extend(all_of_it.map(|text| (file.to_owned(), filled(text, &values("hello")))));
    }
    // What an alert compares is there, also where it is well.
    let of_rules = rules().into_iter().flat_map(|(alert, rule)| {
        selectors(text(&rule["expr"])).into_iter().map(move |selector| (alert.clone(), selector.text()))
    });
    all.extend(of_rules);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_and_alerts_find_on_a_running_actord_what_they_ask_for() {
    let house = House::start().await;
    let scrape = Scrape { every: "1s", rules: Some(&path(RULES)) };
    let prometheus = Prometheus::start_with(house.actord.directory(), house.actord.metrics, &scrape);
    house.live().await;

    let questions = questions(&house.actord.metrics.to_string());
    assert!(questions.len() > 100, "{questions:#?}");
    no_complaint_of_promtool(house.page().await.as_bytes());

    let begun = Instant::now();
    // What was counted a moment ago may be told a moment later.
    loop {
        let page = house.page().await;
        let there = names(&page);
        let asked = questions.iter().flat_map(|(place, question)| {
            selectors(question).into_iter().map(move |Selector { metric, .. }| (place, metric))
        });
        let missing: Vec<_> = asked.filter(|(_, metric)| metric != "up" && !there.contains(metric.as_str())).collect();
        if missing.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{missing:?} are not on the page:\n{page}");
        sleep(Duration::from_millis(100)).await;
    }
    loop {
        let mut without = Vec::new();
        for (place, question) in &questions {
            if list(&prometheus.query(question).await["result"]).is_empty() {
                without.push(format!("{place}: {question}"));
            }
        }
        if without.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is found by {without:#?}\n{}", house.page().await);
        sleep(Duration::from_millis(500)).await;
    }

    // The rules as Prometheus itself evaluates them, every second.
    let groups = prometheus.ask("/api/v1/rules").await;
    let loaded: Vec<_> = list(&groups["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
    assert_eq!(loaded.len(), rules().len());
    until("each rule was evaluated", async || {
        let groups = prometheus.ask("/api/v1/rules").await;
        let rules: Vec<_> = list(&groups["groups"]).iter().flat_map(|group| list(&group["rules"])).cloned().collect();
        assert!(rules.iter().all(|rule| text(&rule["lastError"]).is_empty()), "{rules:#?}");
        rules.iter().all(|rule| rule["health"] == "ok")
    })
    .await;
    let pending = prometheus.query(r#"ALERTS{alertname="FunctionFailed",function_name="broken.openfaas-fn"}"#).await;
    assert_eq!(list(&pending["result"]).len(), 1, "an update failed, and waits for its ten minutes: {pending:#}");
    drop(prometheus);
    house.actord.finish().await;
}
