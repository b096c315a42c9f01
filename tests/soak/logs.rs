//! A function that writes more than anybody reads, or wants to keep.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::actord::{Actord, until};
use crate::sized;

const MIB: u64 = 1 << 20;
const CAP: u64 = 4 * MIB;

/// What the files below a directory take on the disk.
fn taken(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => taken(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_writes_without_end_is_never_blocked_and_its_log_is_capped_and_told() {
    let total = sized(64, 1024) as u64 * MIB;
    let actord = Actord::start_with(&["--log-max-size", "4Mi"]).await;
    actord.deploy("flood", json!({})).await;
    actord.deploy("calm", json!({})).await;
    let logs = actord.data().join("logs");
    let begun = Instant::now();

    // The most that is on the disk while it writes is what the watch had no turn to give back.
    let (mut most, mut written) = (0, 0_u64);
    let mut longest = Duration::ZERO;
    let line = 1_000;
    while written < total {
        let (lines, bytes) = if written == 0 { (1, 10 * MIB) } else { (8 * MIB / line, line) };
        let asked = Instant::now();
        let path = format!("/function/flood/log?lines={lines}&bytes={bytes}");
        let write = actord.get(&path);
        tokio::pin!(write);
        let answer = loop {
            tokio::select! {
                answer = &mut write => break answer,
                () = sleep(Duration::from_millis(20)) => most = most.max(taken(&logs)),
            }
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        longest = longest.max(asked.elapsed());
        written += lines * bytes;
    }
    let took = begun.elapsed();
    until("it is capped", async || taken(&logs) < CAP + MIB).await;
    let last = async |query: &str| {
        let answer = actord.system("GET", &format!("/system/logs?name=flood&{query}"), Value::Null).await;
        assert_eq!(answer.status, 200);
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    // The function had its answer as soon as its pipe took the last line.
    let final_line = |told: &[Value]| told.len() == 3 && told[2]["text"].as_str().unwrap().starts_with("8388 x");
    until("its last line is told", async || final_line(&last("tail=3").await)).await;
    let reading = Instant::now();
    let told = last("tail=3").await;
    let read_in = reading.elapsed();
    assert!(final_line(&told), "{told:?}");
    let all = last("since=2020-01-01T00:00:00Z").await;
    assert!((1_000..5_000).contains(&all.len()), "{} lines of {CAP} bytes", all.len());
    assert_eq!(actord.get("/function/calm/version").await.status, 200);
    println!(
        "logs: {} MiB in {took:.1?} with one line of 10 MiB and no reader, longest request {longest:.1?}; at most {:.1} \
         MiB on the disk meanwhile, {:.1} MiB after; the last three lines in {read_in:.1?}",
        written / MIB,
        most as f64 / MIB as f64,
        taken(&logs) as f64 / MIB as f64,
    );
    // The short form is over in a moment, which a busy machine may not give to the watch.
    assert!(total < 1024 * MIB || most < total / 2, "{most} bytes on the disk");
    actord.finish().await;
}
