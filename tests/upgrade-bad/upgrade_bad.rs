//! `upgrade-bad`: a program that an upgrade goes back from. It is actord, and what goes wrong with it in `actord up` is said by a
//! line that was put behind the end of its file, `upgrade-bad: WORDS`:
//!
//! | word | what happens |
//! | --- | --- |
//! | `good` | nothing: it is another program all the same |
//! | `next-schema` | it stands for a version that is to come: the store becomes one that today's program refuses |
//! | `no-start` | it ends at once |
//! | `panics` | it dies by a panic that aborts, a second later |
//! | `never-ready` | it keeps the sockets, answers nothing, and does not end when it is asked to |
//! | `refuses-store` | it ends because it takes the store for a newer one; `next-schema refuses-store` has written to it by then |
//! | `kills-functions` | as soon as it answers it kills the processes of all functions |
//! | `dies-late` | three seconds after it answers it kills itself |
//!
//! Any other verb does what actord's does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is there to fail")]
#![allow(clippy::disallowed_methods, reason = "its threads have no runtime to wait in")]

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

#[path = "../../src/main.rs"]
mod program;

/// A line that says what goes wrong is not longer.
const LONGEST: i64 = 200;

fn main() -> ExitCode {
    let words = words();
    if words.contains("next-schema") {
        actord::store::be_the_next_version();
    }
    if std::env::args().nth(1).as_deref() == Some("up") {
        for word in words.split_whitespace() {
            match word {
                "no-start" => return ExitCode::FAILURE,
                "panics" => panic_later(),
                "never-ready" => never_ready(),
                "refuses-store" => return refuse_store(words.contains("next-schema")),
                "kills-functions" => drop(std::thread::spawn(kill_functions)),
                "dies-late" => drop(std::thread::spawn(die_late)),
                _ => {}
            }
        }
    }
    program::main()
}

/// What goes wrong, by the end of this file.
fn words() -> String {
    let mut file = File::open("/proc/self/exe").unwrap();
    file.seek(SeekFrom::End(-LONGEST)).unwrap();
    let mut end = Vec::new();
    file.read_to_end(&mut end).unwrap();
    let end = String::from_utf8_lossy(&end).into_owned();
    end.rsplit_once("\nupgrade-bad: ").map(|(_, words)| words.trim().to_owned()).unwrap_or_default()
}

/// The value of a setting, which the command line has.
fn setting(name: &str) -> String {
    std::env::args().skip_while(|word| word != name).nth(1).unwrap_or_else(|| panic!("{name} was not given"))
}

fn panic_later() -> ! {
    sleep(Duration::from_secs(1));
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    panic!("what was to be")
}

fn never_ready() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut asked = signal(SignalKind::terminate()).unwrap();
        loop {
            asked.recv().await;
        }
    })
}

fn refuse_store(after_writing: bool) -> ExitCode {
    let path = Path::new(&setting("--data-dir")).join("actord.db");
    if after_writing {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { drop(actord::store::Store::open(&path).unwrap()) });
    }
    eprintln!("actord: the store has schema version 999, this actord knows 1: start the newer actord again");
    ExitCode::FAILURE
}

/// Returns when this program answers.
fn answers() {
    let provider = setting("--provider-listen");
    let is_well = || {
        let mut stream = TcpStream::connect(&provider)?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    while !is_well().unwrap_or(false) {
        sleep(Duration::from_millis(50));
    }
}

fn kill_functions() {
    answers();
    let parent = setting("--cgroup-parent");
    // Of either version of control groups.
    for root in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
        let groups = fs::read_dir(format!("{root}/{}", parent.trim_matches('/'))).into_iter().flatten().flatten();
        for group in groups {
            let processes = fs::read_to_string(group.path().join("cgroup.procs")).unwrap_or_default();
            let pids = processes.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            for pid in pids {
                // It may be gone.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn die_late() {
    answers();
    sleep(Duration::from_secs(3));
    let _ = kill_process(rustix::process::getpid(), Signal::KILL);
}
