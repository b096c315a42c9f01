//! TLS as curl speaks it, with a library that is not ours: what it is answered, and a certificate that is renewed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::actord::{Actord, until};
use crate::client::{self, Request};
use crate::sample::Sample;

const NAME: &str = "faas.example";

/// Writes another certificate and its key.
fn renew(home: &Path) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    fs::write(home.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(home.join("tls.crt"), made.cert.pem()).unwrap();
}

/// Asks with curl, which trusts this certificate: its exit code, and the version of HTTP, the status and the body.
fn curl(certificate: &Path, address: SocketAddr, path: &str, flags: &[&str]) -> (i32, String) {
    let port = address.port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "20", "--write-out", "%{http_version} %{http_code} "]).args(flags);
    command.arg("--cacert").arg(certificate);
    command.args(["--resolve", &format!("{NAME}:{port}:{}", address.ip()), &format!("https://{NAME}:{port}{path}")]);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What doctor says of the certificate: how bad, and in which words.
fn doctor(actord: &Actord, check: &str) -> (String, String) {
    let output = actord.run(&["doctor", "--output", "json"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = said["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check).unwrap();
    (found["state"].as_str().unwrap().to_owned(), found["found"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_answered_by_every_version_and_a_certificate_is_renewed_while_actord_serves() {
    let version = Command::new("curl").arg("--version").output();
    if !version.is_ok_and(|version| String::from_utf8_lossy(&version.stdout).contains("HTTP2")) {
        eprintln!("skipped: there is no curl here that speaks HTTP/2");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    renew(home.path());
    let (certificate, key) = (home.path().join("tls.crt"), home.path().join("tls.key"));
    let first = home.path().join("first.crt");
    fs::copy(&certificate, &first).unwrap();
    let settings = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let actord = Actord::with(&settings, |images| {
        Sample::new(crate::actord::HELLO_1).version("1").env("QUIET", "1").write(images);
    })
    .await;
    actord.deploy("hello", json!({})).await;
    let body = home.path().join("body");
    fs::write(&body, vec![b'x'; 3_000_000]).unwrap();
    let upload = format!("@{}", body.display());

    for (flags, answered) in [
        (&["--http2"][..], "2 200 "),
        (&["--http1.1"], "1.1 200 "),
        (&["--http2", "--tls-max", "1.2"], "2 200 "),
        (&["--http2", "--tlsv1.3"], "2 200 "),
    ] {
        let (code, said) = curl(&first, actord.public, "/function/hello/version", flags);
        assert!(code == 0 && said.ends_with(answered) && said.starts_with("1\n"), "{flags:?}: {code} {said:?}");
        let post =
            [flags, &["--data-binary", &upload, "--output", "/dev/null", "--write-out", "%{size_download} "]].concat();
        let (code, said) = curl(&first, actord.public, "/function/hello/echo", &post);
        assert!(code == 0 && said.contains("3000000"), "{flags:?}: {code} {said:?}");
    }
    let old = ["--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    // CURLE_SSL_CONNECT_ERROR.
    assert_eq!(curl(&first, actord.public, "/healthz", &old).0, 35);
    let plain = client::ask(actord.public, Request::get("/healthz")).await.unwrap();
    assert!(plain.status == 400 && plain.text().contains("https://"), "{plain:?}");

    // actord's own verbs, and its doctor.
    let (data, gateway) = (actord.data().display().to_string(), format!("https://{}", actord.public));
    let ls =
        ["ls", "--gateway", &gateway, "--data-dir", &data, "--config", "/dev/null", "--tls-certificate", settings[1]];
    let listed = actord.plain(&ls);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("hello"));
    let (state, found) = doctor(&actord, "certificate");
    assert!(state == "ok" && found.contains("is good until"), "{found}");
    assert_eq!(doctor(&actord, "actord").0, "ok");
    let page = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    assert!(page.contains("actord_tls_certificate_expiry_timestamp_seconds"), "{page}");

    // Renewed, and then broken.
    renew(home.path());
    until("the new certificate is served", async || curl(&certificate, actord.public, "/healthz", &[]).0 == 0).await;
    // CURLE_PEER_FAILED_VERIFICATION.
    assert_eq!(curl(&first, actord.public, "/healthz", &[]).0, 60);
    let before = home.path().join("before.crt");
    fs::copy(&certificate, &before).unwrap();
    fs::write(&certificate, "no certificate").unwrap();
    until("the log says what is wrong", async || actord.log().contains("there is no certificate in it")).await;
    assert_eq!(curl(&before, actord.public, "/healthz", &[]).0, 0, "what was served before still is");
    assert_eq!(doctor(&actord, "certificate").0, "failure");
    actord.finish().await;
}
