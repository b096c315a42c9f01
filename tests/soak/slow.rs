//! The three attacks of slowhttptest: who calls beside them fails in nothing, what they take is bounded and given back, and
//! every one of them is closed. How much longer calls take meanwhile is a matter of `make bench`.

use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::sized;
use crate::slow_clients::{ATTACKS, Force, called, resident, withstand};

const MIB: u64 = 1 << 20;

/// The most memory that actord may take for them.
const TAKEN: u64 = 128 * MIB;

/// What may be left of it within a minute after the last has gone.
const LEFT: u64 = 16 * MIB;

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_closed_take_bounded_memory_and_fail_no_call_beside_them() {
    let force = Force { connections: sized(300, 4_000), rate: sized(150, 800), interval: sized(2, 10) };
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
        let seen = withstand(&actord, attack, force).await;
        until("its memory is given back", async || resident(actord.pid()) <= before + LEFT).await;
        let (beside, most) = (&seen.beside, seen.most);
        println!(
            "{}: {} of them, all closed after {:.1?}; a caller beside them: {} calls, {} failed, median {:.1} ms and \
             p99 {:.1} ms, alone {:.1} and {:.1}; memory {:.1} MiB, at most {:.1}, then {:.1}",
            attack.name,
            force.connections,
            seen.took,
            beside.sent,
            beside.failures.len(),
            beside.calm.percentile(50),
            beside.calm.percentile(99),
            alone.calm.percentile(50),
            alone.calm.percentile(99),
            mib(before),
            mib(most),
            mib(resident(actord.pid())),
        );
        if !beside.failures.is_empty() {
            missed.push(format!("{}: {:#?}\n{}", attack.name, beside.failures, actord.log()));
        }
        if most > before + TAKEN {
            missed.push(format!("{}: {:.1} MiB more", attack.name, mib(most - before)));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    actord.finish().await;
}
