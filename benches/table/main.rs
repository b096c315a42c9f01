//! `make bench`: every goal of time or rate that stands in an issue, in one table: our figure, what it is measured against
//! in the same run, their ratio, the goal, and whether it is reached. As text, and as JSON.
//!
//! `frame/` says how a row is given; `parts/` are the rows and how they are measured. benches/README.md keeps the last
//! results, and says of each goal that is missed why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench that fails says why")]
#![allow(dead_code, reason = "the frame offers what parts may want")]

mod frame;
mod parts;

#[path = "../../tests/support/actord.rs"]
mod actord;
#[path = "../../tests/support/bare.rs"]
mod bare;
#[path = "../../tests/support/client.rs"]
mod client;
#[path = "../../tests/support/freezer.rs"]
mod freezer;
#[path = "../../tests/support/killed.rs"]
mod killed;
#[path = "../../tests/support/leaks.rs"]
mod leaks;
#[path = "../../tests/support/load.rs"]
mod load;
#[path = "../../tests/support/rising.rs"]
mod rising;
#[path = "../../tests/support/run.rs"]
mod run;
#[path = "../../tests/support/sample.rs"]
mod sample;
#[path = "../../tests/support/sleepers.rs"]
mod sleepers;
#[path = "../../tests/support/slow_clients.rs"]
mod slow_clients;
#[path = "../../tests/support/tools.rs"]
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser as _;

use frame::Bench;
use frame::plan::Plan;
use frame::report::{rendered, text};
use frame::results::Results;

/// A file of the repository's.
fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The commit that is checked out, with a plus where the tree has changes.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(repository("")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // What benches themselves keep is no change of what is measured.
    let changed = git(&["status", "--porcelain", "--", ".", ":!benches"]).is_some_and(|text| !text.is_empty());
    if changed { format!("{head}+") } else { head }
}

/// Puts the last results into benches/README.md.
fn render() {
    let json = fs::read(repository("benches/results.json")).expect("benches/results.json: run `make bench` first");
    let results: Results = serde_json::from_slice(&json).unwrap();
    let readme = repository("benches/README.md");
    let text = fs::read_to_string(&readme).unwrap();
    fs::write(readme, rendered(&text, &results).expect("benches/README.md has a place for results")).unwrap();
}

fn list() {
    for part in parts::ALL {
        for row in part.rows {
            println!(
                "{:<28} issue {:<3} {}; goal {}",
                row.id,
                row.issue,
                row.what,
                row.goal_told().unwrap_or_default()
            );
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let plan = Plan::parse();
    if plan.list {
        list();
        return ExitCode::SUCCESS;
    }
    if plan.render {
        render();
        return ExitCode::SUCCESS;
    }
    let results = tokio::select! {
        results = Bench::run(&plan, parts::ALL, commit()) => results,
        // What was made meanwhile is swept away as it is dropped.
        _ = tokio::signal::ctrl_c() => return ExitCode::FAILURE,
    };
    print!("{}", text(&results));
    let is_measured = !results.rows.is_empty() && results.parts.iter().all(|part| part.fault.is_none());
    let kept = (plan.is_whole() && is_measured).then(|| repository("benches/results.json"));
    if let Some(out) = plan.out.clone().or(kept) {
        fs::write(&out, serde_json::to_string_pretty(&results).unwrap() + "\n").unwrap();
        println!("as JSON: {}", out.display());
    }
    if is_measured { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
