//! The metrics as Debian's Prometheus reads them (`config/setup --test` unpacks it): the page is scraped without an error,
//! and what dashboards ask for is there under its names and labels.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::actord::{Actord, until};
use crate::client::{self, Request};

/// What must be found, and the labels of each of its series beside those that Prometheus adds itself.
const FAMILIES: &[(&str, &[&str])] = &[
    ("gateway_functions_seconds_bucket", &["code", "function_name", "le"]),
    ("gateway_functions_seconds_sum", &["code", "function_name"]),
    ("gateway_functions_seconds_count", &["code", "function_name"]),
    ("gateway_function_invocation_total", &["code", "function_name"]),
    ("gateway_function_invocation_started", &["function_name"]),
    ("gateway_function_invocation_inflight", &["function_name"]),
    ("gateway_service_count", &["function_name"]),
    ("gateway_service_ready_count", &["function_name"]),
    ("gateway_service_min", &["function_name"]),
    ("http_requests_total", &["method", "path", "status"]),
    ("http_request_duration_seconds_count", &["method", "path", "status"]),
    ("process_cpu_seconds_total", &[]),
    ("process_resident_memory_bytes", &[]),
    ("process_open_fds", &[]),
    ("actord_build_info", &["version"]),
    ("actord_function_generation", &["function_name"]),
    ("actord_function_restarts_total", &["function_name"]),
    ("actord_function_phase", &["function_name", "phase"]),
    ("actord_function_requests_in_flight", &["function_name"]),
    ("actord_function_requests_parked", &["function_name"]),
    ("actord_upstream_connections", &[]),
    ("actord_upstream_connections_opened_total", &[]),
    ("actord_bring_up_phase_seconds_bucket", &["le", "phase"]),
    ("actord_starts_total", &["outcome", "phase"]),
    ("actord_store_commit_seconds_count", &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_scrapes_the_metrics_and_finds_them_by_their_names_and_labels() {
    let actord = Actord::start().await;
    actord.deploy("hello", json!({})).await;
    for _ in 0..3 {
        assert_eq!(actord.get("/function/hello").await.status, 200);
    }
    let page = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap();
    assert_eq!(page.status, 200);
    no_complaint_of_promtool(&page.body);

    let prometheus = Prometheus::start(actord.directory(), actord.metrics);
    until("Prometheus scrapes actord", async || {
        let targets = prometheus.ask("/api/v1/targets?state=active").await;
        let target = &targets["activeTargets"][0];
        let error = target["lastError"].as_str().unwrap_or_default();
        assert!(error.is_empty() || error.contains("deadline exceeded"), "{target:#}");
        target["health"] == "up"
    })
    .await;
    let query = "/api/v1/query?query=sum%20by%20(function_name)%20(gateway_function_invocation_total)";
    until("what was scraped can be asked for", async || prometheus.ask(query).await["result"][0] != Value::Null).await;
    let count = prometheus.ask(query).await;
    assert_eq!(count["result"][0]["metric"], json!({"function_name": "hello.openfaas-fn"}));
    assert_eq!(count["result"][0]["value"][1], "3");
    for (family, labels) in FAMILIES {
        let found = prometheus.ask(&format!("/api/v1/query?query={family}")).await;
        let series = found["result"].as_array().unwrap();
        assert!(!series.is_empty(), "{family} is missing: {}", page.text());
        for one in series {
            let all = one["metric"].as_object().unwrap().keys().map(String::as_str);
            let own: Vec<&str> = all.filter(|label| !["__name__", "instance", "job"].contains(label)).collect();
            assert_eq!(own, *labels, "{family}");
        }
    }
    drop(prometheus);
    actord.finish().await;
}

pub(crate) fn tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin").join(name);
    assert!(path.exists(), "{} is missing: run config/setup --test", path.display());
    path
}

/// promtool reads a page as Prometheus does, and also knows what good names are.
pub(crate) fn no_complaint_of_promtool(page: &[u8]) {
    let mut check = Command::new(tool("promtool"));
    let check = check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(page).unwrap();
    let said = check.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    // OpenFaaS chose names of its own: a gauge that ends with `_count`, a counter that does not end with `_total`.
    let mine = text.lines().filter(|line| !line.starts_with("gateway_"));
    assert_eq!(mine.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// How a Prometheus scrapes.
pub(crate) struct Scrape<'a> {
    /// How often, and how often it evaluates rules.
    pub(crate) every: &'static str,
    pub(crate) rules: Option<&'a Path>,
}

/// A Prometheus that scrapes one place.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(directory: &Path, target: SocketAddr) -> Self {
        Self::start_with(directory, target, &Scrape { every: "5s", rules: None })
    }

    pub(crate) fn start_with(directory: &Path, target: SocketAddr, Scrape { every, rules }: &Scrape<'_>) -> Self {
        let directory = directory.join("prometheus");
        fs::create_dir(&directory).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let rules: Vec<_> = rules.iter().collect();
        let config = format!(
            "global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}\n\
             rule_files: {rules:?}\n\
             scrape_configs: [{{job_name: actord, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let process = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, address }
    }

    /// What it answers to a question, once it answers at all; nothing before.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        match client::ask(self.address, Request::get(path)).await {
            Ok(answer) if answer.status == 200 => {
                let answer: Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(answer["status"], "success", "{answer:#}");
                answer["data"].clone()
            }
            Ok(answer) if answer.status == 400 => panic!("{path}: {}", answer.text()),
            _ => Value::Null,
        }
    }

    /// What an expression comes to now. One that it does not understand fails the test.
    pub(crate) async fn query(&self, expression: &str) -> Value {
        let escaped: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        self.ask(&format!("/api/v1/query?query={escaped}")).await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
