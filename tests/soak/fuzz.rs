//! A fuzz of the running server from its own document: the real handlers and actors, on the machine in memory.
//!
//! ```text
//! /openapi.json -> schemathesis -> requests as documented, and not -> answers as documented, no 5xx but those, no hang
//! ```

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use actord::actors::Settings as Actors;
use actord::credentials::Credentials;
use actord::host::fake::Behaviour;
use actord::http::{self, ApiFlavor, Bodies, Draining, Gate, Metrics, Services, Settings};
use actord::queue::{self, Queue};
use actord::store::Namespaces;
use tokio::time::Duration;

use crate::platform::Platform;
use crate::sized;
use crate::tools::tool;

const USER: &str = "admin";
const PASSWORD: &str = "secret-pw";
/// The image of the document's examples, and the function that they call.
const IMAGE: &str = "docker.io/functions/alpine:latest";
const FUNCTION: &str = "env";

/// What schemathesis expects beside the document. `errors` are those of the proxy.
fn configuration(errors: &str) -> String {
    format!(
        r#"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501", "503", "507"]

# Functions are called by any method, also by those that no document can name.
[[operations]]
include-path-regex = "^/(async-)?function/"
checks.unsupported_method.enabled = false
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501", {errors}]

# AlertManager is told with 500 what did not scale.
[[operations]]
include-path = "/system/alert"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "500", "503", "507"]

# Whoever follows is answered for as long as the function is there.
[[operations]]
include-path = "/system/logs"
parameters = {{ follow = false }}
"#
    )
}

/// A function's process: a server that says yes to everything, for as long as what is returned lives.
fn process(address: SocketAddr) -> Box<dyn Any + Send> {
    struct Process(actix_web::dev::ServerHandle);
    impl Drop for Process {
        fn drop(&mut self) {
            drop(self.0.stop(false));
        }
    }
    let yes = |body: web::Bytes| async move { HttpResponse::Ok().content_type("text/plain").body(body) };
    let server = HttpServer::new(move || App::new().default_service(web::to(yes))).workers(1).disable_signals();
    let server = server.bind(address).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);
    Box::new(Process(handle))
}

async fn fuzz(flavor: ApiFlavor, errors: &str) {
    let program = tool("schemathesis/bin/schemathesis", "--soak");
    let platform = Platform::start_with(Actors { deploy_wait: Duration::from_secs(1), ..Actors::default() }).await;
    platform.host.publish_image(IMAGE, Behaviour::new());
    // Loopback addresses of this process alone, so that functions can be called.
    let [high, low, ..] = (std::process::id() + u32::from(flavor == ApiFlavor::Provider)).to_le_bytes();
    let addresses = (1..=250).map(|n| IpAddr::V4(Ipv4Addr::new(127, 64 | (high & 63), low, n)));
    platform.host.serve_at(&FUNCTION.parse().unwrap(), addresses);
    platform.host.on_start(|instance, address| match instance.as_str().starts_with("env-") {
        true => Box::new(process(address)),
        false => Box::new(()),
    });
    let namespaces = Namespaces::new(platform.store.clone(), platform.secrets.clone());
    let engine = Arc::new(platform.engine.clone());
    let calls = queue::Settings::usual();
    let services = Arc::new(Services {
        queue: Queue::in_memory(engine.clone(), platform.routes.clone(), calls).await.unwrap(),
        bodies: Bodies::default(),
        schedules: actord::cron::Handle::default(),
        events: actord::events::Events::none(),
        history: actord::history::History::none(),
        engine,
        secrets: Arc::new(namespaces.clone()),
        routes: platform.routes.clone(),
        namespaces: Arc::new(namespaces),
        metrics: Metrics::new().unwrap(),
        draining: Draining::default(),
        gate: Gate::open(),
        logs: Arc::new(platform.engine.logs()),
        machine: Arc::new(actord::wire::MachineView::default()),
    });
    let credentials = Credentials { user: USER.into(), password: PASSWORD.into() };
    let settings = Settings { upstream_timeout: Duration::from_secs(2), ..Settings::new(credentials, flavor) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = http::serve(listener, 2, Duration::from_secs(1), &services, settings).unwrap();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let directory = tempfile::tempdir().unwrap();
    let configured = directory.path().join("schemathesis.toml");
    std::fs::write(&configured, configuration(errors)).unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(directory.path())
        .arg("--config-file")
        .arg(&configured)
        .args(["run", &format!("http://{address}/openapi.json")])
        .args(["--auth", &format!("{USER}:{PASSWORD}"), "--phases", "examples,coverage,fuzzing", "--workers", "2"])
        // What is refused and what is taken is more than a schema can say; everything else is checked.
        .args(["--exclude-checks", "negative_data_rejection,positive_data_acceptance,use_after_free"])
        .args(["--request-timeout", "20", "--max-examples", &sized(10, 50).to_string(), "--continue-on-failure"])
        .args(["--warnings", "off"]);
    let run = actix_web::web::block(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    println!("fuzz of the {flavor:?} listener: {}", said.lines().rev().take(12).collect::<Vec<_>>().join(" | "));
    assert!(run.status.success(), "{said}");
    assert_eq!(platform.host.violations(), Vec::<String>::new());
    handle.stop(true).await;
}

#[actix_web::test]
#[ignore = "needs schemathesis: make soak installs and runs it"]
async fn nothing_that_is_sent_to_the_public_listener_breaks_it() {
    fuzz(ApiFlavor::Public, r#""502", "503", "504""#).await;
}

#[actix_web::test]
#[ignore = "needs schemathesis: make soak installs and runs it"]
async fn nothing_that_is_sent_to_the_providers_listener_breaks_it() {
    fuzz(ApiFlavor::Provider, r#""500", "503""#).await;
}
