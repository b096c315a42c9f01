//! Who may pull: what docker's config.json says, and what becomes of it.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Machine;
use crate::proxy::{Act, Proxy, Seen};
use crate::registry::{BuiltImage, Compression, Layer, PASSWORD, Registry, USER};

fn built() -> BuiltImage {
    BuiltImage::new(vec![Layer::new("hello", b"hello", Compression::Gzip)])
}

fn config(address: &str, user: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    json!({ "auths": { address: { "auth": auth } } }).to_string()
}

/// A machine and a registry with a password that has the image `private:v1`.
async fn private() -> (Machine, Registry, String) {
    let machine = Machine::start();
    let registry = Registry::with_password(machine.daemon.directory()).await;
    let reference = registry.push("private", "v1", &built()).await;
    (machine, registry, reference)
}

#[tokio::test]
async fn the_right_password_pulls_and_the_wrong_one_says_what_to_do() {
    let (machine, registry, reference) = private().await;

    let none = machine.refused(&reference).await;
    assert!(none.contains("wants credentials") && none.contains("docker --config"), "{none}");
    machine.write_docker_config(&config(&registry.address, USER, "wrong"));
    let wrong = machine.refused(&reference).await;
    assert!(wrong.contains("refused the credentials") && wrong.contains("docker/config.json"), "{wrong}");
    assert!(!wrong.contains("wrong"), "the password is in the message: {wrong}");
    machine.check_empty();

    machine.write_docker_config(&config(&registry.address, USER, PASSWORD));
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;
}

#[tokio::test]
async fn helpers_are_asked_and_one_that_hangs_or_fails_is_named() {
    let (machine, registry, reference) = private().await;
    let bin = machine.daemon.directory().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let helper = |name: &str, script: &str| {
        let path = bin.join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = std::env::var("PATH").unwrap();
    // SAFETY: this test runs alone in its process (nextest), and nothing else reads the environment now.
    #[allow(unsafe_code, reason = "helpers are found through PATH")]
    unsafe {
        std::env::set_var("PATH", format!("{}:{path}", bin.display()));
    }
    let answer = json!({ "ServerURL": registry.address, "Username": USER, "Secret": PASSWORD });
    let address = &registry.address;
    helper("good", &format!(r#"read server; [ "$1 $server" = "get {address}" ] && echo '{answer}'"#));
    helper("bad", "echo 'the keyring is locked'; exit 1");
    helper("empty", "echo 'credentials not found in native keychain'; exit 1");
    helper("slow", "sleep 1000 & sleep 1000");
    let use_helper = |name: &str| {
        machine.write_docker_config(&json!({ "credHelpers": { address.as_str(): name } }).to_string());
    };

    use_helper("bad");
    let why = machine.refused(&reference).await;
    assert!(why.contains("docker-credential-bad") && why.contains("the keyring is locked"), "{why}");
    use_helper("empty");
    let why = machine.refused(&reference).await;
    assert!(why.contains("wants credentials"), "{why}");
    use_helper("slow");
    let why = machine.refused(&reference).await;
    assert!(why.contains("docker-credential-slow") && why.contains("killed"), "{why}");
    use_helper("good");
    let image = machine.pull(&reference).await;
    machine.check_runnable(&image).await;

    machine.ctr(&["images", "remove", "--sync", &reference]);
    machine.write_docker_config(&json!({ "credsStore": "good" }).to_string());
    machine.pull(&reference).await;
}

/// A registry with a token server: tokens are given for the password or for the refresh token.
fn with_tokens(upstream: &str) -> Proxy {
    Proxy::start(upstream, |seen: &Seen, _| {
        let authorization = seen.authorization.as_deref().unwrap_or_default();
        if seen.path.starts_with("/token") {
            let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            let by_password = seen.method == "GET" && authorization == basic;
            let by_refresh = seen.method == "POST"
                && ["grant_type=refresh_token", "refresh_token=refresh-me", "scope=repository%3Atokened%3Apull"]
                    .iter()
                    .all(|part| seen.body.contains(part));
            return match by_password || by_refresh {
                true => Act::Answer(200, vec![], br#"{"token":"let-me-in","access_token":"let-me-in"}"#.to_vec()),
                false => Act::Answer(401, vec![], b"no".to_vec()),
            };
        }
        if authorization == "Bearer let-me-in" {
            return Act::Pass;
        }
        let challenge = format!(r#"Bearer realm="http://{}/token",service="test""#, seen.host);
        Act::Answer(401, vec![("www-authenticate", challenge)], vec![])
    })
}

#[tokio::test]
async fn tokens_are_got_with_a_password_or_with_an_identity_token() {
    let machine = Machine::start();
    let registry = Registry::start(machine.daemon.directory()).await;
    registry.push("tokened", "v1", &built()).await;
    let proxy = with_tokens(&registry.address);
    let reference = format!("{}/tokened:v1", proxy.address);

    for entry in [
        json!({ "username": USER, "password": PASSWORD }),
        json!({ "auth": STANDARD.encode("<token>:"), "identitytoken": "refresh-me" }),
        json!({ "registrytoken": "let-me-in" }),
    ] {
        machine.write_docker_config(&json!({ "auths": { proxy.address.as_str(): entry } }).to_string());
        let image = machine.pull(&reference).await;
        machine.check_runnable(&image).await;
        machine.ctr(&["images", "remove", "--sync", &reference]);
    }
    for entry in [json!({ "username": USER, "password": "wrong" }), json!({ "identitytoken": "stolen" })] {
        machine.write_docker_config(&json!({ "auths": { proxy.address.as_str(): entry } }).to_string());
        let why = machine.refused(&reference).await;
        assert!(why.contains("refused the credentials"), "{why}");
    }
    machine.check_empty();
}
