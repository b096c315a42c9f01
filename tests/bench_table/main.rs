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

use std::collections::BTreeSet;

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

parts!(change);

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
