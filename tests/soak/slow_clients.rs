//! The three attacks of slowhttptest: heads, bodies and readers that take for ever. Who calls beside them notices nothing,
//! what they take is bounded and given back, and every one of them is closed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, until};
use crate::load::{Load, Report};
use crate::sized;
use crate::tools::tool;

const MIB: u64 = 1 << 20;

/// The most memory that actord may take for them.
const TAKEN: u64 = 128 * MIB;

/// What may be left of it within a minute after the last has gone.
const LEFT: u64 = 16 * MIB;

/// What a slow client does: how it is told, what it asks for, and how it goes about it.
struct Attack {
    name: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
}

const ATTACKS: [Attack; 3] = [
    Attack { name: "slow heads", path: "version", arguments: &["-H", "-x", "10"] },
    Attack { name: "slow bodies", path: "count", arguments: &["-B", "-s", "65536", "-x", "10"] },
    Attack {
        name: "slow readers",
        path: "bytes?n=4194304",
        arguments: &["-X", "-w", "10", "-y", "512", "-n", "5", "-z", "32"],
    },
];

/// How long attackers may stay at most: longer than any of the limits.
const PATIENCE: Duration = Duration::from_secs(200);

/// The attackers. They end with this.
struct Attackers(Child);

impl Attackers {
    fn start(actord: &Actord, attack: &Attack, connections: usize, output: &Path) -> Self {
        let (connections, rate, interval) =
            (connections.to_string(), sized(150, 800).to_string(), sized(2, 10).to_string());
        let url = format!("http://{}/function/hello/{}", actord.public, attack.path);
        let program = tool("usr/bin/slowhttptest", "--test");
        let mut command = Command::new("sh");
        // It has as many files open, and does not raise its limit itself.
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]).arg(program);
        command.args(attack.arguments).args([
            "-c",
            &connections,
            "-r",
            &rate,
            "-i",
            &interval,
            "-l",
            "300",
            "-u",
            &url,
        ]);
        let child = command.stdin(Stdio::null()).stdout(File::create(output).unwrap()).stderr(Stdio::null()).spawn();
        Self(child.unwrap())
    }

    fn have_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The memory that a process has, in bytes.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn open_files(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// Fifty calls a second for as long as something goes on.
async fn called(actord: &Actord, meanwhile: impl Future<Output = ()>) -> Report {
    let load = Load::start(actord.public, &["hello"], 50);
    meanwhile.await;
    load.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_closed_take_bounded_memory_and_are_not_noticed_by_others() {
    let connections = sized(300, 4_000);
    let short = ["--head-timeout", "6s", "--upload-idle-timeout", "6s", "--answer-idle-timeout", "6s"];
    let settings = &short[..sized(short.len(), 0)];
    let actord = Actord::start_with(&[&["--log-level", "info"], settings].concat()).await;
    // A thread of the sample for each of them.
    actord.deploy("hello", json!({ "annotations": { "com.openfaas.pids.limit": "10000" } })).await;
    let alone = called(&actord, sleep(Duration::from_secs(sized(6, 30) as u64))).await;
    assert!(alone.failures.is_empty(), "{:#?}", alone.failures);
    let before = resident(actord.pid());
    let mut missed = Vec::new();
    for attack in &ATTACKS {
        let output = actord.data().with_file_name("slowhttptest.log");
        let (mut most, mut files, calm_files, begun) = (0, 0, open_files(actord.pid()), Instant::now());
        let mut attackers = Attackers::start(&actord, attack, connections, &output);
        let beside = called(&actord, async {
            // A client whose connection was reset goes on to read what had come: that they are closed is seen here.
            loop {
                let open = open_files(actord.pid());
                (most, files) = (most.max(resident(actord.pid())), files.max(open));
                let all_came = files >= calm_files + connections * 9 / 10;
                if all_came && open <= calm_files + connections / 10 {
                    break;
                }
                let said = || fs::read_to_string(&output).unwrap();
                assert!(!attackers.have_ended(), "{}: {files} files were open: {}", attack.name, said());
                assert!(begun.elapsed() < PATIENCE, "{}: {open} of {files} files are open", attack.name);
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let took = begun.elapsed();
        drop(attackers);
        until("its memory is given back", async || resident(actord.pid()) <= before + LEFT).await;
        let (alone_ms, beside_ms) = (alone.calm.percentile(99), beside.calm.percentile(99));
        println!(
            "{}: {connections} of them, all closed after {took:.1?}; a caller beside them: {} calls, {} failed, median \
             {:.1} ms and p99 {beside_ms:.1} ms, alone {:.1} and {alone_ms:.1}, ratio {:.2}; memory {:.1} MiB, at most \
             {:.1}, then {:.1}",
            attack.name,
            beside.sent,
            beside.failures.len(),
            beside.calm.percentile(50),
            alone.calm.percentile(50),
            beside_ms / alone_ms,
            mib(before),
            mib(most),
            mib(resident(actord.pid())),
        );
        if !beside.failures.is_empty() {
            missed.push(format!("{}: {:#?}\n{}", attack.name, beside.failures, actord.log()));
        }
        // In the long form what is compared is long enough.
        if sized(0, 1) == 1 && beside_ms > 2.0 * alone_ms {
            missed.push(format!("{}: p99 {beside_ms:.1} of {alone_ms:.1} ms", attack.name));
        }
        if most > before + TAKEN {
            missed.push(format!("{}: {:.1} MiB more", attack.name, mib(most - before)));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    actord.finish().await;
}
