//! The worked examples of docs/examples.md, deployed by their own stack files and asked what that page says of them.
//!
//! What can't be had without the Internet is replaced, and a line says by what: of-watchdog by a program that has as much of
//! its contract as the examples use, the images of Python, Node and Debian by those programs of this machine.

mod images;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use serde_json::{Value, json};

use self::images::{Base, Images, Layer, folder, watchdog};
use crate::actord::{Actord, until};
use crate::client::{Connection, Request};
use crate::registry::{PASSWORD, Registry, USER};

const KEY: &str = "a key for the test";
/// The HMAC-SHA-256 of the body with that key.
const PAYMENT: (&str, &str) = (r#"{"amount": 12}"#, "b0535ffd15e76df371c42e0decbe0ec2df6a644d777411087b521d302b10c74f");

/// The examples whose image is made here: folder, the image's name, what is in it, its own file, and its command.
const MADE: [(&str, &str, Base, &str, &[&str]); 6] = [
    ("shell", "count", Base::Shell, "shell/count.sh", &["/usr/bin/fwatchdog"]),
    ("python", "area", Base::Python, "python/area.py", &["/usr/bin/fwatchdog"]),
    ("node", "slug", Base::Node, "node/slug.js", &["/usr/bin/fwatchdog"]),
    ("websocket", "parrot", Base::Node, "websocket/parrot.js", &["node", "/home/app/parrot.js"]),
    ("events", "countdown", Base::Python, "events/countdown.py", &["python3", "-u", "/home/app/countdown.py"]),
    ("webhook", "payment", Base::Python, "webhook/payment.py", &["python3", "-u", "/home/app/payment.py"]),
];

/// Writes the images where actord imports them at its start; the examples that can run here.
fn write_images(directory: &Path) -> Vec<&'static str> {
    let build = Command::new(folder().join("rust/build"))
        .arg(directory.join("greet.tar"))
        .env("ACTORD", env!("CARGO_BIN_EXE_actord"))
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    eprintln!(
        "examples: of-watchdog is replaced by tests/e2e/examples/watchdog.rs, images of interpreters by this machine's"
    );
    let (mut images, mut there) = (Images::default(), vec!["rust", "cron"]);
    let watchdog = images.layer(&[watchdog()]);
    let mut bases: BTreeMap<Base, Result<Layer, &str>> = BTreeMap::new();
    for (example, name, base, script, command) in MADE {
        let base = bases.entry(base).or_insert_with(|| Ok(images.layer(&base.files()?)));
        match base.clone() {
            Ok(base) => {
                let reference = format!("registry.example.com/examples/{name}:1");
                images.image(&reference, vec![base, watchdog.clone()], script, command);
                there.push(example);
            }
            Err(lacking) => eprintln!("examples: {example} is LEFT OUT, this machine has no {lacking}"),
        }
    }
    images.write(&directory.join("examples.tar"));
    there
}

/// An address at all of this machine's, so that functions find it at their gateway's.
fn everywhere() -> String {
    loop {
        let port = rand::random_range(12_000..32_000);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return format!("0.0.0.0:{port}");
        }
    }
}

/// `actord apply` of these examples, as the page has it.
fn apply(actord: &Actord, examples: &[&str]) {
    let (gateway, data) = (format!("http://127.0.0.1:{}", actord.public.port()), actord.data().display().to_string());
    let files: Vec<String> =
        examples.iter().map(|name| folder().join(name).join("stack.yaml").display().to_string()).collect();
    let mut words = vec!["apply", "--gateway", &gateway, "--data-dir", &data, "--config", "/dev/null"];
    words.extend(files.iter().flat_map(|file| ["-f", file]));
    let done = actord.plain(&words);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}{said}\n{}", String::from_utf8_lossy(&done.stdout), actord.log());
}

async fn post(actord: &Actord, path: &str, body: &str) -> (u16, String) {
    let answer = actord.ask(Request::new("POST", path).body(body)).await;
    (answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_example_is_deployed_by_its_stack_file_and_does_what_the_page_says() {
    let home = tempfile::tempdir().unwrap();
    let docker = home.path().join("docker.json");
    let mut there = Vec::new();
    let settings = ["--listen", &everywhere(), "--docker-config", docker.to_str().unwrap()];
    let mut actord = Actord::with(&settings, |images| there = write_images(images)).await;
    let ledger = format!("http://{}1:{}/function/ledger", actord.subnet(), actord.public.port());
    for (name, value) in
        [("REGISTRY", ""), ("LEDGER", ledger.as_str()), ("SCHEDULE", "@every 1s"), ("MIN_WAIT", "1s"), ("PERIOD", "1")]
    {
        actord.set_variable(name, value);
    }
    let secret = json!({ "name": "webhook-key", "value": KEY });
    assert_eq!(actord.system("POST", "/system/secrets", secret).await.status, 202);
    apply(&actord, &there);

    let runs = |example| there.contains(&example);
    assert_eq!(actord.get("/function/greet?Ada").await.text(), "Hello, Ada\n");
    if runs("shell") {
        assert_eq!(post(&actord, "/function/count/2", "a b a, c b a\n").await, (200, "      3 a\n      2 b\n".into()));
        assert_eq!(post(&actord, "/function/count/many", "a\n").await.0, 500);
    }
    if runs("python") {
        let sides = r#"{"width": 2, "height": 3}"#;
        assert_eq!(post(&actord, "/function/area", sides).await, (200, r#"{"area": 6.0}"#.into()));
        assert_eq!(post(&actord, "/function/area", "{}").await.0, 400);
    }
    if runs("node") {
        assert_eq!(post(&actord, "/function/slug", "Grüße aus Köln!").await, (200, "grusse-aus-koln\n".into()));
    }
    if runs("websocket") {
        parrots(&actord).await;
    }
    if runs("events") {
        counts_down(&actord).await;
    }
    if runs("webhook") {
        pays(&actord).await;
    }
    until("the nightly call was made", async || {
        let answer = actord.system("GET", "/system/calls?state=done", Value::Null).await;
        answer.text().contains("nightly.openfaas-fn")
    })
    .await;

    let registry = Registry::with_password(home.path()).await;
    let greet = fs::read(actord.data().join("images/greet.tar")).unwrap();
    registry.push_archive("team/greet", "1", &greet).await;
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    fs::write(&docker, json!({ "auths": { &registry.address: { "auth": auth } } }).to_string()).unwrap();
    actord.set_variable("REGISTRY", &registry.address);
    apply(&actord, &["private-registry"]);
    assert_eq!(actord.get("/function/private?Ada").await.text(), "Hello, Ada\n");
    actord.finish().await;
}

/// The handshake of RFC 6455's own example, and a word back.
async fn parrots(actord: &Actord) {
    let mut socket = Connection::open(actord.public).await.unwrap();
    let request = Request::get("/function/parrot")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    socket.send(&request).await.unwrap();
    let (status, headers) = socket.read_head().await.unwrap();
    let accept = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"));
    assert_eq!((status, &*accept.unwrap().1), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let mask = [1_u8, 2, 3, 4];
    let masked = b"hello".iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let frame: Vec<u8> = [0x81, 0x80 | 5].into_iter().chain(mask).chain(masked).collect();
    socket.write(&frame).await.unwrap();
    assert_eq!(socket.read(7).await.unwrap(), [&[0x81, 5][..], b"hello"].concat());
}

/// Each event comes when it is said, not at the end.
async fn counts_down(actord: &Actord) {
    let mut stream = Connection::open(actord.public).await.unwrap();
    stream.send(&Request::get("/function/countdown/1")).await.unwrap();
    let (status, _) = stream.read_head().await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(stream.chunk().await.unwrap().unwrap(), b"id: 1\ndata: 1\n\n");
    assert_eq!(stream.chunk().await.unwrap().unwrap(), b"id: 0\ndata: 0\n\n");
    assert_eq!(stream.chunk().await.unwrap(), None);
    let again = actord.ask(Request::get("/function/countdown").header("Last-Event-ID", "1")).await;
    assert_eq!(again.text(), "id: 0\ndata: 0\n\n");
}

/// A call with a wrong signature is a dead letter at once; a right one waits until there is a ledger.
async fn pays(actord: &Actord) {
    let (body, signature) = PAYMENT;
    let call = async |signature: &str| {
        let request = Request::new("POST", "/async-function/payment").header("X-Signature", signature).body(body);
        let answer = actord.ask(request).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.header("x-call-id").unwrap().to_owned()
    };
    let (wrong, right) = (call("wrong").await, call(signature).await);
    let is = async |id: &str, state: &str, status: u16| {
        let call = crate::queue::show(actord, id).await;
        call["state"] == state && call["lastStatus"] == status
    };
    until("the wrong one is a dead letter", async || is(&wrong, "dead", 401).await).await;
    until("the right one waits for the ledger", async || is(&right, "retrying", 503).await).await;
    let ledger = json!({ "image": "docker.io/examples/greet:1" });
    actord.deploy("ledger", ledger).await;
    until("the ledger has it", async || is(&right, "done", 204).await).await;
}
