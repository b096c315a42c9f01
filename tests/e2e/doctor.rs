//! What `actord doctor` says of an actord that runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::actord::Actord;

/// What was found and how bad it is, by the name of the check.
fn findings(actord: &Actord) -> BTreeMap<String, (String, String)> {
    let output = actord.run(&["doctor", "--output", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = said["findings"].as_array().unwrap().iter();
    all.map(|finding| (text(finding, "check"), (text(finding, "state"), text(finding, "found")))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_a_running_actord_well_and_leaves_it_as_it_was() {
    let actord = Actord::start().await;
    actord.deploy("patient", json!({})).await;
    let process = actord.process("patient");
    let found = findings(&actord);
    let port = format!("port {}", actord.public.port());
    for (check, words) in [
        ("actord", format!("pid {} answers", actord.pid())),
        ("actord's version", env!("CARGO_PKG_VERSION").to_owned()),
        (&port, "actord listens on".to_owned()),
        ("containerd answers", actord.state().join("containerd.sock").display().to_string()),
        ("subnet", "no route of this machine overlaps".to_owned()),
        ("desired state", "1 function".to_owned()),
        ("credentials", "there, for root alone".to_owned()),
        ("runtime builtin", "the default".to_owned()),
        ("rcu_expedited", "o".to_owned()),
        ("plugin bridge", "speaks CNI".to_owned()),
        ("warm attachments", "ready for starts to come".to_owned()),
    ] {
        let (state, text) = found.get(check).unwrap_or_else(|| panic!("{check}: {found:#?}"));
        assert!(state == "ok" && text.contains(&words), "{check} is {state}: {text}");
    }
    assert_eq!(actord.process("patient"), process);

    // Whoever changes the password has to restart actord.
    std::fs::write(actord.data().join("auth/basic-auth-password"), "another").unwrap();
    assert_eq!(findings(&actord)["credentials in use"].0, "failure");
    actord.finish().await;
}
