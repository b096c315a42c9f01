//! The three attacks of slowhttptest, heads, bodies and readers that take for ever, and who calls beside them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::time::{Duration, Instant, sleep};

use crate::actord::Actord;
use crate::load::{Load, Report};
use crate::tools::tool;

/// Calls a second of the caller beside them.
const CALLS: u32 = 50;

/// How long attackers may stay at most: longer than any of the limits.
const PATIENCE: Duration = Duration::from_secs(200);

/// What a slow client does: how it is told, what it asks for, and how it goes about it.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
}

pub(crate) const ATTACKS: [Attack; 3] = [
    Attack { name: "slow heads", path: "version", arguments: &["-H", "-x", "10"] },
    Attack { name: "slow bodies", path: "count", arguments: &["-B", "-s", "65536", "-x", "10"] },
    Attack {
        name: "slow readers",
        path: "bytes?n=4194304",
        arguments: &["-X", "-w", "10", "-y", "512", "-n", "5", "-z", "32"],
    },
];

/// How many of them there are.
#[derive(Clone, Copy)]
pub(crate) struct Force {
    pub(crate) connections: usize,
    /// New ones a second.
    pub(crate) rate: usize,
    /// Seconds between two words of one that sends slowly.
    pub(crate) interval: usize,
}

/// What was seen of an attack.
pub(crate) struct Withstood {
    /// Of the caller beside it.
    pub(crate) beside: Report,
    /// The most memory that actord had, in bytes.
    pub(crate) most: u64,
    /// Until the last of them was closed.
    pub(crate) took: Duration,
}

/// The attackers. They end with this.
struct Attackers(Child);

impl Attackers {
    fn start(actord: &Actord, attack: &Attack, force: Force, output: &Path) -> Self {
        let url = format!("http://{}/function/hello/{}", actord.public, attack.path);
        let program = tool("usr/bin/slowhttptest", "--test");
        let mut command = Command::new("sh");
        // It has as many files open, and does not raise its limit itself.
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]).arg(program).args(attack.arguments);
        for (flag, number) in [("-c", force.connections), ("-r", force.rate), ("-i", force.interval), ("-l", 300)] {
            command.args([flag, &number.to_string()]);
        }
        command.args(["-u", &url]);
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
pub(crate) fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The connections of clients to a port of this machine that are open on our side, by what the kernel calls each.
fn open_connections(port: u16) -> HashSet<u64> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The one that listens has another state; one that its process has closed has no inode.
        (fields[1].ends_with(&local) && fields[3] != "0A").then(|| fields[9].parse().unwrap())
    };
    table.lines().skip(1).filter_map(inode).filter(|inode| *inode != 0).collect()
}

/// Fifty calls of `hello` a second for as long as something goes on.
pub(crate) async fn called(actord: &Actord, meanwhile: impl Future<Output = ()>) -> Report {
    let load = Load::start(actord.public, &["hello"], CALLS);
    meanwhile.await;
    load.end().await
}

/// Attacks `hello`, and returns when all of them have come and been closed. Panics where they stay.
pub(crate) async fn withstand(actord: &Actord, attack: &Attack, force: Force) -> Withstood {
    let output = actord.data().with_file_name("slowhttptest.log");
    let (mut most, mut came, begun) = (0, HashSet::new(), Instant::now());
    let (port, wanted) = (actord.public.port(), force.connections * 9 / 10);
    let mut attackers = Attackers::start(actord, attack, force, &output);
    let beside = called(actord, async {
        // A client whose connection was reset goes on to read what had come: that they are closed is seen here.
        loop {
            most = most.max(resident(actord.pid()));
            // They need not be there at once: some may be closed within seconds.
            let connections = open_connections(port);
            let open = connections.len();
            came.extend(connections);
            let all_came = came.len() >= wanted;
            let have_ended = attackers.have_ended();
            if all_came && (have_ended || open <= force.connections / 10) {
                break;
            }
            let said = || fs::read_to_string(&output).unwrap();
            assert!(!have_ended, "{}: {} came, {open} are open: {}", attack.name, came.len(), said());
            assert!(begun.elapsed() < PATIENCE, "{}: {} came, {open} are open", attack.name, came.len());
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    Withstood { beside, most, took: begun.elapsed() }
}
