//! What CNI plugins answer and what network lists say, as fuzz targets.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rscni_types::types::Cmd;
use serde_json::{Value, json};

use super::cache::{Cached, address};
use super::conflist::Conflist;
use super::exec::Output;
use super::holder::Holder;
use super::plugin::{Fault, answer};

/// What a plugin wrote is a result, or words of it. A result is kept, and read again as the same.
pub(crate) fn results(bytes: &[u8]) -> bool {
    let output = |code: i32, cut| Output {
        status: ExitStatus::from_raw(code << 8),
        stdout: bytes.to_vec(),
        stderr: Vec::new(),
        cut,
    };
    for verb in [Cmd::Add, Cmd::Del, Cmd::Check, Cmd::Version] {
        assert!(matches!(answer(verb, &output(1, false)), Err(Fault::Refused { .. })), "a plugin that failed said yes");
    }
    assert!(
        answer(Cmd::Add, &output(0, true)).is_ok_and(|value| value.is_none())
            || answer(Cmd::Add, &output(0, true)).is_err(),
        "half an answer was taken"
    );
    assert!(answer(Cmd::Del, &output(0, false)).is_ok(), "whatever is printed, what was removed is removed");
    holders(bytes);
    // As a file of the state directory.
    if let Ok(entry) = serde_json::from_slice::<Cached>(bytes) {
        let _ = (entry.container(), entry.netns(), entry.binaries(), entry.parsed(), address(&entry.result));
        if let Some(list) = entry.list() {
            check_list(&list);
        }
    }
    let Ok(Some(result)) = answer(Cmd::Add, &output(0, false)) else { return false };
    assert!(result.is_object());
    let list = json!({ "cniVersion": "1.0.0", "name": "net", "plugins": [{ "type": "bridge" }] });
    let list = Conflist::understand(list).expect("a plain list");
    let holder: Holder = "echo-0123".parse().expect("an instance's id");
    let begun = Cached::begun(&list, &holder, Path::new("/run/netns/a"), &[]);
    let kept = serde_json::to_vec(&begun.with(&result, true)).expect("it has a JSON form");
    let read: Cached = serde_json::from_slice(&kept).expect("what was kept is read");
    assert!(read.result == result && read.complete && read.is_of(&list) && read.container() == "echo-0123");
    assert_eq!(address(&read.result), address(&result));
    match address(&result) {
        // It comes from the result, and nowhere else.
        Some(address) => assert!(said_addresses(&result).contains(&address.to_string()), "{address} was not said"),
        None => return false,
    }
    true
}

/// The addresses of a result, read field by field.
fn said_addresses(result: &Value) -> Vec<String> {
    let said = result["ips"].as_array().into_iter().flatten().filter_map(|ip| ip["address"].as_str());
    // With zeros in front of a number, which the reader of results takes as they stand.
    let plain = |part: &str| match part.trim_start_matches('0') {
        "" => "0".to_owned(),
        number => number.to_owned(),
    };
    let said = said.filter_map(|text| text.split('/').next());
    said.filter_map(|text| match text.parse::<std::net::IpAddr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) if !text.contains(':') => Some(text.split('.').map(plain).collect::<Vec<_>>().join(".")),
        Err(_) => None,
    })
    .collect()
}

/// A name of a file or namespace is one of ours or none, and no other.
fn holders(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(holder) = text.parse::<Holder>() {
        assert!(holder.as_str() == text && holder.to_string().parse().as_ref() == Ok(&holder));
        assert!(!text.contains(['/', '.', '\0']), "{text:?} leaves its directory");
    }
}

/// A network list is refused, or what plugins get of it is what stands in it.
pub(crate) fn lists(bytes: &[u8]) -> bool {
    let Ok(raw) = serde_json::from_slice::<Value>(bytes) else { return false };
    let Ok(list) = Conflist::understand(raw) else { return false };
    check_list(&list);
    true
}

fn check_list(list: &Conflist) {
    // It becomes part of paths: of leases, of cached results.
    assert!(!list.name.is_empty() && !list.name.contains(['/', '\0']) && !matches!(&*list.name, "." | ".."));
    assert!(!list.plugins.is_empty());
    let again = Conflist::understand(list.raw.clone()).expect("it was understood a moment ago");
    assert_eq!((&again.plugins, &again.name, again.version), (&list.plugins, &list.name, list.version));
    let previous = json!({ "ips": [] });
    for plugin in &list.plugins {
        let input = list.input(plugin, Some(&previous));
        assert!(input["name"] == *list.name && input["prevResult"] == previous && input.get("capabilities").is_none());
    }
    let _ = (list.needs_iptables(), list.makes_bridge("br"), list.binaries().count());
    let state = Path::new("/state");
    assert!(list.leases(state).is_none_or(|dir| dir.starts_with(state)), "leases of another runtime");
}
