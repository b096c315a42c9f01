//! The boards and rules as files: what Grafana and Prometheus need of them, without any actord.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::expression::variables;
use crate::prometheus::tool;

/// The boards' files.
pub(super) const BOARDS: [&str; 2] = ["config/grafana/fleet.json", "config/grafana/function.json"];
pub(super) const RULES: &str = "config/prometheus-rules.yaml";
const CASES: &str = "tests/e2e/boards/rules.yaml";

pub(super) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

pub(super) fn board(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path(file)).unwrap()).unwrap()
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path(file)).unwrap()).unwrap()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every expression of a board: of its panels, and of what it marks in all of them.
pub(super) fn expressions(board: &Value) -> Vec<&str> {
    let targets = list(&board["panels"]).iter().flat_map(|panel| list(&panel["targets"]));
    let all = targets.chain(list(&board["annotations"]["list"]));
    all.map(|one| one["expr"].as_str().unwrap()).collect()
}

/// The rules, by their alert.
pub(super) fn rules() -> Vec<(String, Value)> {
    let file = yaml(RULES);
    let all = list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]));
    all.map(|rule| (text(&rule["alert"]).to_owned(), rule.clone())).collect()
}

#[test]
fn a_board_can_be_imported_as_it_is() {
    let chosen = json!({ "type": "prometheus", "uid": "${datasource}" });
    for file in BOARDS {
        let board = board(file);
        assert_eq!(board["schemaVersion"], 39, "{file}");
        assert!(!text(&board["uid"]).is_empty() && board.get("id").is_none(), "{file}");
        let defined: BTreeSet<&str> =
            list(&board["templating"]["list"]).iter().map(|variable| text(&variable["name"])).collect();
        let mut used = BTreeSet::from(["datasource"]);
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&board["panels"]) {
            let title = text(&panel["title"]);
            assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{file}: {panel:#}");
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{file}: {title} is wider than the page");
            for cell in (place("y")..place("y") + place("h")).flat_map(|y| (0..24).map(move |x| (x, y))) {
                let inside = (place("x")..place("x") + place("w")).contains(&cell.0);
                assert!(!inside || taken.insert(cell), "{file}: {title} lies over another panel");
            }
            let targets = list(&panel["targets"]);
            assert_eq!(targets.is_empty(), panel["type"] == "row", "{file}: {title}");
            assert!(targets.is_empty() || panel["datasource"] == chosen, "{file}: {title}");
            assert!(targets.iter().all(|target| target["datasource"] == chosen), "{file}: {title}");
        }
        for variable in list(&board["templating"]["list"]) {
            used.extend(variables(text(&variable["definition"])));
            assert!(variable["type"] == "datasource" || variable["datasource"] == chosen, "{file}: {variable:#}");
        }
        used.extend(expressions(&board).into_iter().flat_map(variables).filter(|name| *name != "__rate_interval"));
        assert_eq!(used, defined, "{file}: the variables that are used, and those that are there");
    }
}

#[test]
fn each_alert_says_what_it_means_and_what_comes_next_and_waits_before_it_wakes() {
    let rules = rules();
    assert!(rules.len() > 15, "{rules:?}");
    for (alert, rule) in &rules {
        for part in ["summary", "meaning", "next"] {
            assert!(!text(&rule["annotations"][part]).is_empty(), "{alert} has no {part}");
        }
        assert!(["critical", "warning"].contains(&text(&rule["labels"]["severity"])), "{alert}");
        // What looks at a stretch of time, or at a date, has waited already.
        let has_waited = ["[", "time()"].iter().any(|part| text(&rule["expr"]).contains(part));
        assert!(has_waited || rule.get("for").is_some(), "{alert} fires at the first glance");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_and_each_alert_fires_when_it_should_and_not_before() {
    for (what, file) in [("check", RULES), ("test", CASES)] {
        let said = Command::new(tool("promtool")).args([what, "rules"]).arg(path(file)).output().unwrap();
        assert!(
            said.status.success(),
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
    }
    let cases = yaml(CASES);
    let cases: Vec<_> = list(&cases["tests"]).iter().map(|case| (text(&case["name"]), case)).collect();
    let alerts: Vec<String> = rules().into_iter().map(|(alert, _)| alert).collect();
    assert_eq!(
        cases.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        alerts,
        "a case for each alert, in their order"
    );
    for (alert, case) in cases {
        let looks = list(&case["promql_expr_test"]);
        assert!(looks.iter().all(|look| look["expr"] == r#"ALERTS{alertstate="firing"}"#), "{alert}");
        let firing = format!("alertname=\"{alert}\"");
        let fires = |look: &Value| list(&look["exp_samples"]).iter().any(|one| text(&one["labels"]).contains(&firing));
        assert!(looks.iter().any(fires), "{alert} never fires in its case");
        assert!(!looks.iter().all(fires), "{alert} always fires in its case");
    }
}
