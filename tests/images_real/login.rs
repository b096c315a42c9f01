//! How a registry asks to be logged in to, and what it is sent then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Machine;
use crate::proxy::{Act, Proxy, Seen};
use crate::registry::{BuiltImage, Compression, Layer, noise};
use crate::shelf::Shelf;

fn built() -> BuiltImage {
    BuiltImage::new(vec![Layer::new("hello", b"hello", Compression::Gzip)])
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("me:secret"))
}

fn refuse(challenges: &[String]) -> Act {
    let fields = challenges.iter().map(|challenge| ("www-authenticate", challenge.clone())).collect();
    Act::Answer(401, fields, br#"{"errors":[{"code":"UNAUTHORIZED","message":"log in"}]}"#.to_vec())
}

fn write(machine: &Machine, address: &str, entry: &Value) {
    machine.write_docker_config(&json!({ "auths": { address: entry } }).to_string());
}

/// What a token server gives a token for.
#[derive(Debug, Clone, Copy)]
enum Gives {
    /// GET without credentials.
    Anybody,
    /// GET with name and password.
    Password,
    /// POST with name and password; GET is 405.
    PasswordByPost,
    /// POST with the refresh token.
    Refresh,
}

impl Gives {
    /// The answer to a request for a token, with this body where it is given.
    fn answer(self, seen: &Seen, body: &str) -> Act {
        let authorization = seen.authorization.as_deref();
        let form = |parts: &[&str]| parts.iter().all(|part| seen.body.split('&').any(|field| field == *part));
        let (method, may) = match self {
            Self::Anybody => ("GET", authorization.is_none()),
            Self::Password => ("GET", authorization == Some(&basic())),
            Self::PasswordByPost => ("POST", form(&["grant_type=password", "username=me", "password=secret"])),
            Self::Refresh => ("POST", form(&["grant_type=refresh_token", "refresh_token=again"])),
        };
        let scoped = [&seen.path, &seen.body].iter().any(|text| text.contains("scope=repository%3Afn%3Apull"));
        match (seen.method == method, may && scoped) {
            (false, _) => Act::Answer(405, vec![], vec![]),
            (true, false) => Act::Answer(401, vec![], b"no".to_vec()),
            (true, true) => Act::Answer(200, vec![], body.as_bytes().to_vec()),
        }
    }
}

const TOKEN: &str = r#"{"token":"let-me-in"}"#;

/// One way to be asked: the challenges (with `{realm}`), what the registry takes then, what a token is given for and as.
struct Case {
    challenges: &'static [&'static str],
    takes: String,
    gives: Gives,
    answer: &'static str,
    entry: Value,
}

fn cases() -> Vec<Case> {
    let (password, anonymous) = (json!({ "username": "me", "password": "secret" }), json!({}));
    let bearer = || "Bearer let-me-in".to_owned();
    let case = |challenges, takes: String, gives, answer, entry: &Value| Case {
        challenges,
        takes,
        gives,
        answer,
        entry: entry.clone(),
    };
    vec![
        case(&[r#"Basic realm="x""#], basic(), Gives::Password, TOKEN, &password),
        case(&["basic"], basic(), Gives::Password, TOKEN, &password),
        case(
            &[r#"Bearer realm="{realm}",service="s",scope="repository:fn:pull""#],
            bearer(),
            Gives::Password,
            TOKEN,
            &password,
        ),
        case(&[r#"Bearer realm="{realm}""#], bearer(), Gives::Anybody, TOKEN, &anonymous),
        case(
            &[r#"Bearer realm="{realm}",scope="""#],
            bearer(),
            Gives::Password,
            r#"{"access_token":"let-me-in"}"#,
            &password,
        ),
        case(&[r#"bEARER Realm = "{realm}?a=b,c" , SERVICE=s"#], bearer(), Gives::Password, TOKEN, &password),
        case(
            &["Bearer realm={realm}"],
            bearer(),
            Gives::PasswordByPost,
            r#"{"token":"let-me-in","expires_in":"60"}"#,
            &password,
        ),
        case(&[r#"Bearer realm="{realm}""#], bearer(), Gives::Refresh, TOKEN, &json!({ "identitytoken": "again" })),
        // The strongest that can be served, wherever it stands.
        case(&[r#"Basic realm="x", Bearer realm="{realm}""#], bearer(), Gives::Password, TOKEN, &password),
        case(&[r#"Basic realm="x""#, r#"Bearer realm="{realm}""#], bearer(), Gives::Password, TOKEN, &password),
        case(&["Negotiate YII/a==", "NTLM", r#"Bearer realm="{realm}""#], bearer(), Gives::Anybody, TOKEN, &anonymous),
        case(
            &[r#"Digest realm="x", qop="auth, auth-int", Basic realm="x""#],
            basic(),
            Gives::Password,
            TOKEN,
            &password,
        ),
        // A token that can't be had leaves the weaker one.
        case(&[r#"Bearer realm="{realm}", Basic realm="x""#], basic(), Gives::Password, "{}", &password),
        case(&[r#"Bearer realm="http://[", Basic realm="x""#], basic(), Gives::Password, TOKEN, &password),
    ]
}

/// A registry that asks in this way. `root`: whether it lets strangers in at `/v2/`.
fn asking(case: Case, root: bool) -> Proxy {
    let Case { challenges, takes, gives, answer, .. } = case;
    Shelf::of(&built()).serve(move |seen, _| match seen.path.as_str() {
        path if path.starts_with("/token") => Some(gives.answer(seen, answer)),
        "/v2/" if root => None,
        _ if seen.authorization.as_ref() == Some(&takes) => None,
        _ => {
            let realm = format!("http://{}/token", seen.host);
            let challenges: Vec<_> = challenges.iter().map(|challenge| challenge.replace("{realm}", &realm)).collect();
            Some(refuse(&challenges))
        }
    })
}

#[tokio::test]
async fn a_registry_may_ask_in_any_form_and_at_any_request() {
    let machine = Machine::start();
    for root in [true, false] {
        for case in cases() {
            let (challenges, entry) = (case.challenges, case.entry.clone());
            let registry = asking(case, root);
            write(&machine, &registry.address, &entry);
            let reference = format!("{}/fn:v1", registry.address);
            let pulled = machine.ensure(&reference, actord::host::PullPolicy::Always).await;
            let seen = registry.seen();
            let image = pulled.unwrap_or_else(|error| panic!("{challenges:?}: {error}: {seen:?}"));
            machine.check_runnable(&image).await;
            machine.ctr(&["images", "remove", "--sync", &reference]);
            let asked =
                registry.requests_for("/v2/fn/").into_iter().filter(|seen| seen.authorization.is_none()).count();
            assert_eq!(asked, 1, "{challenges:?}: it is logged in to once: {seen:?}");
        }
    }
    machine.check_empty();
}

#[tokio::test]
async fn what_can_not_be_served_or_is_refused_is_told() {
    let machine = Machine::start();
    let password = json!({ "username": "me", "password": "wrong" });
    for (challenges, entry, expected) in [
        (&["Negotiate", "NTLM"][..], json!({}), "by the scheme Negotiate"),
        (&[r#"Basic realm="x""#], json!({}), "it wants credentials"),
        (&[r#"Basic realm="x""#], password.clone(), "it refused the credentials"),
        (&[r#"Basic realm="x""#], json!({ "identitytoken": "again" }), "it takes no tokens"),
        (&[r#"Bearer realm="{realm}""#], password.clone(), "it refused the credentials"),
        (&[r#"Bearer realm="{realm}""#], json!({ "registrytoken": "old" }), "it refused the credentials"),
        (&[r#"Bearer realm="http://[""#], json!({}), "\"http://[\" is no address"),
        (&[r#"Bearer realm="http://127.0.0.1:1/""#], json!({}), "its token server 127.0.0.1:1: it can't be reached"),
        (&[][..], password, "it refused the credentials"),
    ] {
        let case = Case { challenges, takes: basic(), gives: Gives::Password, answer: TOKEN, entry: entry.clone() };
        let registry = asking(case, false);
        write(&machine, &registry.address, &entry);
        let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
        assert!(why.contains(expected) && why.contains(&registry.address), "{challenges:?}: {why}");
        assert!(!why.contains("wrong") && !why.contains("again"), "a secret is in the message: {why}");
    }
    machine.check_empty();
}

#[tokio::test]
async fn a_registry_that_hides_from_strangers_what_it_has_is_asked_at_its_root() {
    let machine = Machine::start();
    for status in [403, 404] {
        let registry = Shelf::of(&built()).serve(move |seen, _| match &seen.authorization {
            Some(authorization) if *authorization == basic() => None,
            _ if seen.path == "/v2/" => Some(refuse(&[r#"Basic realm="x""#.to_owned()])),
            _ => Some(Act::Answer(status, vec![], vec![])),
        });
        write(&machine, &registry.address, &json!({ "username": "me", "password": "secret" }));
        machine.pull(&format!("{}/fn:v1", registry.address)).await;
    }
}

#[tokio::test]
async fn a_token_that_expires_in_a_long_pull_is_replaced_and_the_blob_goes_on() {
    let machine = Machine::start();
    let layers = (0..4).map(|seed| Layer::new(&format!("file{seed}"), &noise(seed, 1 << 20), Compression::None));
    let image = BuiltImage::new(layers.collect());
    let (served, tokens) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let registry = Shelf::of(&image).serve({
        let tokens = tokens.clone();
        move |seen, _| {
            if seen.path.starts_with("/token") {
                let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
                return Some(Act::Answer(200, vec![], json!({ "token": format!("t{number}") }).to_string().into()));
            }
            // Each token is good for three answers.
            let newest = format!("Bearer t{}", tokens.load(Ordering::SeqCst));
            let is_good = seen.authorization.as_ref() == Some(&newest);
            if is_good
                && served.fetch_add(1, Ordering::SeqCst) % 3 < 3
                && served.load(Ordering::SeqCst) <= 3 * tokens.load(Ordering::SeqCst)
            {
                return None;
            }
            Some(refuse(&[format!(r#"Bearer realm="http://{}/token""#, seen.host)]))
        }
    });
    let machine = machine.with(|options| options.parallel_layers = 1);
    let image = machine.pull(&format!("{}/fn:v1", registry.address)).await;
    machine.check_runnable(&image).await;
    assert!(tokens.load(Ordering::SeqCst) >= 2, "{:?}", registry.seen());
}

#[tokio::test]
async fn credentials_go_to_the_registry_and_its_token_server_alone() {
    let machine = Machine::start();
    let image = built();
    let store = Shelf::of(&image).serve(|_, _| None);
    let tokens = Shelf::default().serve(|seen, _| Some(Gives::Password.answer(seen, TOKEN)));
    let (at, realm) = (store.address.clone(), tokens.address.clone());
    let registry = Shelf::of(&image).serve(move |seen, _| match &seen.authorization {
        Some(token) if token == "Bearer let-me-in" && seen.path.contains("/blobs/") => {
            Some(Act::Answer(307, vec![("location", format!("http://{at}{}", seen.path))], vec![]))
        }
        Some(token) if token == "Bearer let-me-in" => None,
        _ => Some(refuse(&[format!(r#"Bearer realm="http://{realm}/token""#)])),
    });
    write(&machine, &registry.address, &json!({ "username": "me", "password": "secret" }));
    machine.pull(&format!("{}/fn:v1", registry.address)).await;
    assert_eq!(store.requests_for("/blobs/").len(), 2);
    assert!(store.seen().iter().all(|seen| seen.authorization.is_none()), "{:?}", store.seen());
    assert!(registry.seen().iter().all(|seen| !seen.authorization.as_deref().unwrap_or_default().starts_with("Basic")));

    // Nor does a blob store that asks for them get any.
    let (image, store) = (built(), Shelf::default().serve(|_, _| Some(refuse(&[r#"Basic realm="x""#.to_owned()]))));
    let at = store.address.clone();
    let registry = Shelf::of(&image).serve(move |seen, _| {
        let away = Act::Answer(307, vec![("location", format!("http://{at}{}", seen.path))], vec![]);
        seen.path.contains("/blobs/").then_some(away)
    });
    write(&machine, &registry.address, &json!({ "username": "me", "password": "secret" }));
    let machine = {
        machine.ctr(&["images", "list", "-q"]).lines().for_each(|image| {
            machine.ctr(&["images", "remove", "--sync", image]);
        });
        machine
    };
    let why = machine.refused(&format!("{}/fn:v1", registry.address)).await;
    assert!(why.contains(&format!("{}, where it sent us on to, answered 401", store.address)), "{why}");
    assert!(store.seen().iter().all(|seen| seen.authorization.is_none()), "{:?}", store.seen());
}
