//! The short form of `make bench`: every part can measure every row that it promises, and figures are numbers. Of times it
//! says nothing: the counts are small, and other tests run beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

#[path = "../../benches/table/frame/mod.rs"]
mod frame;
#[path = "../../benches/table/parts/mod.rs"]
mod parts;

#[path = "../support/actord.rs"]
mod actord;
#[path = "../support/bare.rs"]
mod bare;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/freezer.rs"]
mod freezer;
#[path = "../support/killed.rs"]
mod killed;
#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/rising.rs"]
mod rising;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/sample.rs"]
mod sample;
#[path = "../support/sleepers.rs"]
mod sleepers;
#[path = "../support/slow_clients.rs"]
mod slow_clients;
#[path = "../support/tools.rs"]
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use frame::plan::Plan;
use frame::results::Results;
use frame::{Bench, report};

/// Measures a part in its short form.
async fn measures(name: &str) {
    let part = parts::ALL.iter().find(|part| part.name == name).unwrap();
    let results = Bench::run(&Plan::short_of(name), parts::ALL, "today".to_owned()).await;
    let text = report::text(&results);
    println!("{text}");
    let [told] = &results.parts[..] else { panic!("one part was asked for: {text}") };
    assert_eq!(told.fault, None, "{text}");
    // As it would be kept and read again.
    let json = serde_json::to_string(&results).unwrap();
    let read: Results = serde_json::from_str(&json).unwrap();
    let ids: Vec<&str> = read.rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, part.rows.iter().map(|row| row.id).collect::<Vec<_>>());
    for (row, promised) in read.rows.iter().zip(part.rows) {
        let figures = [Some(row.ours), row.floor.as_ref().map(|floor| floor.figure)];
        assert!(figures.iter().flatten().all(frame::results::Figure::is_number), "{row:?}");
        assert_eq!(row.floor.is_some(), !promised.floor.is_empty(), "{row:?}");
        assert_eq!(row.reached.is_some(), promised.goal_told().is_some(), "{row:?}");
        assert!(text.contains(&row.what), "{text}");
    }
}

macro_rules! parts {
    ($($name:ident),+ $(,)?) => {
        mod short {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::measures(stringify!($name)).await;
                }
            )+
        }

        #[test]
        fn every_part_has_its_short_form_here() {
            let names: Vec<&str> = parts::ALL.iter().map(|part| part.name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

parts!(deploy, proxy, change, fire, fleet, density, growth, queue, slow, logs);

#[test]
fn every_row_is_named_after_its_part_and_once() {
    let mut ids = BTreeSet::new();
    for part in parts::ALL {
        for row in part.rows {
            assert!(row.id.starts_with(&format!("{}.", part.name)), "{} is not a row of {}", row.id, part.name);
            assert!(ids.insert(row.id), "{} is there twice", row.id);
        }
    }
}

/// The page, and the last results as they are kept; empty ones where no whole run was kept yet.
fn kept() -> (String, Results) {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
    let results = fs::read(benches.join("results.json")).map(|json| serde_json::from_slice(&json).unwrap());
    (fs::read_to_string(benches.join("README.md")).unwrap(), results.unwrap_or_default())
}

#[test]
fn the_table_in_the_benches_readme_is_made_of_the_results_beside_it() {
    let (readme, results) = kept();
    assert!(!results.short, "results of the short form say nothing");
    let made = report::rendered(&readme, &results).expect("a place for results");
    assert!(readme == made, "make it anew: make bench-readme");
}

#[test]
fn the_benches_readme_says_of_every_goal_that_is_missed_why() {
    let (readme, results) = kept();
    for row in results.rows.iter().filter(|row| row.reached == Some(false)) {
        let heading = format!("### `{}`", row.id);
        let (_, why) = readme.split_once(&heading).unwrap_or_else(|| panic!("benches/README.md has no {heading}"));
        let why = why.split("\n#").next().unwrap().trim();
        assert!(why.len() > 40, "benches/README.md does not say why {} is missed", row.id);
    }
}
