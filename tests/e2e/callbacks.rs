//! Answers that are sent on: along a chain of functions, over TLS, and to names. Which address a name stands for is judged
//! where it is connected to.

use std::fs;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::actord::{Actord, until};
use crate::authority::Authority;
use crate::client::Request;
use crate::names::Names;
use crate::queue::show;
use crate::receiver::Receiver;

/// One try, so that what can't be sent on is told at once.
fn once() -> Value {
    json!({ "annotations": { "com.openfaas.retry.attempts": "1" } })
}

/// Calls `f`, which answers `hello`, and has the answer sent there; how the call ends.
async fn sent_on(actord: &Actord, callback: &str) -> Value {
    let request = Request::new("POST", "/async-function/f/echo").header("X-Callback-Url", callback).body("hello");
    let answer = actord.ask(request).await;
    assert_eq!(answer.status, 202, "{callback}: {}", answer.text());
    let id = answer.header("x-call-id").unwrap().to_owned();
    until("the call has ended", async || show(actord, &id).await["ended"].is_string()).await;
    show(actord, &id).await
}

fn is_done(call: &Value) {
    assert_eq!(call["state"], "done", "{call:#}");
}

/// The answer could not be sent on, for this reason; it is kept.
fn is_dead(call: &Value, why: &str) {
    let reason = call["reason"].as_str().unwrap_or_default();
    assert!(call["state"] == "dead" && reason.contains(why), "{why}: {call:#}");
    assert_eq!(call["answer"]["body"], "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_from_a_function_at_zero_to_a_frozen_one_and_on_to_a_receiver() {
    let receiver = Receiver::start().await;
    let actord = Actord::start_with(&["--callback-allow", &receiver.address.to_string()]).await;
    actord.deploy("first", json!({})).await;
    assert_eq!(actord.scale("first", 0).await.status, 202);
    until("nothing of it runs", async || actord.processes_of("first").is_empty()).await;
    actord.deploy("second", json!({ "annotations": { "actord.freeze-after": "200ms" } })).await;
    let process = actord.process("second");
    until("it is frozen", async || actord.describe("second").await["lifecycle"]["phase"] == "frozen").await;

    // Where the second answer goes is what the first function answers, not what its caller says.
    let next = receiver.url("/done").replace(':', "%3A").replace('/', "%2F");
    let request = Request::new("POST", &format!("/async-function/first/next?to={next}"))
        .header("X-Call-Id", "mine")
        .header("X-Callback-Url", "http://gateway:8080/async-function/second/echo")
        .body("hello");
    let answer = actord.ask(request).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    until("the last answer has come", async || receiver.count() == 1).await;
    let last = receiver.seen().remove(0);
    assert_eq!((last.method.as_str(), last.path.as_str(), last.text().as_str()), ("POST", "/done", "hello"));
    let told = ["x-call-id", "x-function-name", "x-function-status"].map(|name| last.header(name).unwrap());
    assert_eq!(told, ["mine", "second.openfaas-fn", "200"]);
    assert_ne!(last.call(), answer.header("x-call-id").unwrap(), "the second call has an id of its own");
    assert_eq!(actord.process("second"), process, "it was thawed, and not started anew");
    assert_eq!(actord.processes_of("first").len(), 1);
    actord.finish().await;
}

/// A receiver that shows a certificate of this authority for `127.0.0.1`.
async fn receiver_of(authority: &Authority) -> Receiver {
    let (certificate, key) = authority.sign("127.0.0.1");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::listen("127.0.0.1:0".parse().unwrap(), move |stream| acceptor.accept(stream)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_over_tls_goes_to_who_has_a_certificate_for_it_of_an_authority_of_the_machine() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let (ours, theirs) = (receiver_of(&known).await, receiver_of(&unknown).await);
    let mut actord = Actord::start_with(&["--callback-allow", "127.0.0.1,localhost"]).await;
    // Where the machine's authorities are can be said by this variable.
    let roots = actord.directory().join("roots.pem");
    fs::write(&roots, &known.pem).unwrap();
    actord.set_variable("SSL_CERT_FILE", roots.to_str().unwrap());
    assert!(actord.stop().await.success());
    actord.launch(&[]).await;
    actord.deploy("f", once()).await;
    is_done(&sent_on(&actord, &format!("https://{}/", ours.address)).await);
    assert_eq!(ours.seen()[0].text(), "hello");
    is_dead(&sent_on(&actord, &format!("https://{}/", theirs.address)).await, "certificate");
    let port = ours.address.port();
    is_dead(&sent_on(&actord, &format!("https://localhost:{port}/")).await, "certificate");
    assert_eq!((ours.count(), theirs.count()), (1, 0));
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_called_back_at_addresses_that_are_allowed_whatever_it_stands_for_from_one_moment_to_the_next() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    // An address of this machine that is not allowed, with the same port.
    let other = Receiver::start_at(format!("127.0.0.2:{port}").parse().unwrap()).await;
    let named = Receiver::start().await;
    let by_name = format!("localhost:{}", named.address.port());
    let allow = format!("{},{by_name}", receiver.address);
    let mut actord = Actord::start_with(&["--callback-allow", &allow]).await;
    let names = Names::new(actord.directory());
    names.serve(&mut actord);
    assert!(actord.stop().await.success());
    actord.launch(&[]).await;
    actord.deploy("f", once()).await;
    names.are(
        "hook.test 127.0.0.1\ninner.test 127.0.0.2\nboth.test 127.0.0.2,127.0.0.1\nturns.test 127.0.0.1 127.0.0.2\n",
    );

    let at = |name: &str| format!("http://{name}:{port}/");
    is_done(&sent_on(&actord, &at("hook.test")).await);
    assert_eq!(receiver.seen()[0].header("host"), Some(&*format!("hook.test:{port}")));
    is_dead(&sent_on(&actord, &at("inner.test")).await, "callbacks to inner.test (127.0.0.2) are refused");
    is_dead(&sent_on(&actord, &at("nobody.test")).await, "nobody.test");
    is_done(&sent_on(&actord, &at("both.test")).await);
    assert_eq!((receiver.count(), other.count()), (2, 0));

    // Each try looks the name up anew, and connects to what it has judged.
    receiver.close_each();
    let mut ends = Vec::new();
    for _ in 0..6 {
        let call = sent_on(&actord, &at("turns.test")).await;
        ends.push(call["state"].as_str().unwrap().to_owned());
    }
    assert!(ends.chunks(2).all(|two| two[0] != two[1]), "{ends:?}");
    assert_eq!((receiver.count(), other.count()), (5, 0));

    // What is allowed by name may be anywhere, and by no other name.
    is_done(&sent_on(&actord, &format!("http://{by_name}/")).await);
    names.are("hook.test 127.0.0.1\n");
    is_dead(&sent_on(&actord, &format!("http://hook.test:{}/", named.address.port())).await, "are refused");
    assert_eq!(named.count(), 1);
    actord.finish().await;
}
