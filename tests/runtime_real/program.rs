//! The program in the test images: does what `DO` says. Compiled by itself into a static binary.

mod acts;

use std::os::unix::fs::MetadataExt;

fn main() {
    let todo = std::env::var("DO").unwrap_or_default();
    let (verb, rest) = todo.split_once(' ').unwrap_or((todo.as_str(), ""));
    match verb {
        "exit" => std::process::exit(rest.parse().unwrap()),
        "say" => {
            println!("out {rest}");
            // By one write: in a sandbox what is written in parts may have the other stream's line between them.
            let line = format!("err {rest}\n");
            eprint!("{line}");
        }
        "sleep" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3_600));
        },
        "signals" => {
            for number in [3, 10, 12, 15, 37] {
                // SAFETY: the handler does nothing but end the process.
                unsafe { signal(number, ended_by) };
            }
            println!("listening");
            loop {
                std::thread::sleep(std::time::Duration::from_secs(3_600));
            }
        }
        "burn" => {
            for _ in 0..rest.parse().unwrap() {
                copy("burn 0").unwrap();
            }
            loop {
                std::hint::spin_loop();
            }
        }
        "eat" => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(vec![1u8; 1 << 20]);
                if eaten.len() > 2_000 {
                    println!("never full");
                    return;
                }
            }
        }
        "spawn" => {
            let mut processes = 1;
            let error = loop {
                match copy("sleep") {
                    Ok(_) => processes += 1,
                    Err(error) => break error,
                }
            };
            println!("{processes} {:?}", error.kind());
        }
        "bomb" => loop {
            if copy("bomb").is_err() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        },
        "fill" => {
            let mut file = std::fs::File::create("/tmp/file").unwrap();
            let error = loop {
                if let Err(error) = std::io::Write::write_all(&mut file, &[1; 1 << 16]) {
                    break error;
                }
            };
            println!("{} {:?}", file.metadata().unwrap().len() >> 20, error.kind());
        }
        // Some MiB in a file that keeps its name, or in one that loses it and stays open; then it waits.
        "write" | "write-nameless" => {
            let mut file = std::fs::File::create("/written").unwrap();
            std::io::Write::write_all(&mut file, &vec![1; rest.parse::<usize>().unwrap() << 20]).unwrap();
            file.sync_all().unwrap();
            if verb == "write-nameless" {
                std::fs::remove_file("/written").unwrap();
            }
            println!("written");
            loop {
                std::thread::park();
                drop(file.metadata());
            }
        }
        "volumes" => rest.split(' ').for_each(look_at),
        "fill-volume" => {
            let mut file = std::fs::File::create(format!("{rest}/file")).unwrap();
            let error = loop {
                if let Err(error) = std::io::Write::write_all(&mut file, &[1; 1 << 16]) {
                    break error;
                }
            };
            println!("{} {:?}", file.metadata().unwrap().len() >> 20, error.kind());
        }
        "ask" => {
            while !std::fs::read_to_string("/etc/resolv.conf").unwrap().lines().any(|line| line == rest) {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        "report" => report(),
        "acts" => acts::all(),
        other => {
            eprintln!("what is {other:?}?");
            std::process::exit(99);
        }
    }
}

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn _exit(status: i32) -> !;
}

/// Ends the process with the number of the signal.
extern "C" fn ended_by(number: i32) {
    // SAFETY: may be called in a signal handler.
    unsafe { _exit(number) }
}

/// Prints what there is at a path: owner, mode, kind of file system, names in it, and whether it can be written to.
fn look_at(path: &str) {
    let Ok(about) = std::fs::metadata(path) else { return println!("{path} missing") };
    let mut names: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = mounts.lines().any(|line| line.split(' ').nth(4) == Some(path) && line.contains(" - tmpfs "));
    let written = std::fs::write(format!("{path}/written"), "x").map_err(|error| error.kind());
    let (uid, gid, mode) = (about.uid(), about.gid(), about.mode() & 0o7777);
    let place = if own { "memory" } else { "disk" };
    println!("{path} {uid}:{gid} {mode:o} {place} [{}] {written:?}", names.join(","));
}

/// Another process like this one, which does something else.
fn copy(todo: &str) -> std::io::Result<std::process::Child> {
    std::process::Command::new("/program").env("DO", todo).spawn()
}

/// Prints what it sees of its surroundings, a line each.
fn report() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| format!("({error})"));
    let one_line = |text: String| text.trim_end().replace('\n', "|");
    println!("hostname={}", one_line(read("/proc/sys/kernel/hostname")));
    println!("fprocess={}", std::env::var("fprocess").unwrap_or_default());
    println!("env={}", std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "));
    println!("path={}", std::env::var("PATH").unwrap_or_default());
    println!("cwd={}", std::env::current_dir().unwrap().display());
    println!("resolv={}", one_line(read("/etc/resolv.conf")));
    println!("hosts={}", one_line(read("/etc/hosts")));
    let status = read("/proc/self/status");
    for field in ["Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default();
        println!("{field}={}", value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    println!("cores-dumped={}", read("/proc/self/limits").lines().find(|line| line.starts_with("Max core file")).unwrap_or_default());
    println!("limits={}", read("/proc/self/limits").lines().find(|line| line.starts_with("Max open files")).unwrap_or_default());
    println!("secret={}", one_line(read("/var/openfaas/secrets/db")));
    let about = std::fs::metadata("/var/openfaas/secrets/db").map(|about| format!("{:o} {} {}", about.mode() & 0o777, about.uid(), about.gid()));
    println!("secret-mode={about:?}");
    let tried = |path: &str| std::fs::write(path, "x").map_err(|error| error.kind());
    println!("write-secret={:?}", tried("/var/openfaas/secrets/new"));
    println!("write-resolv={:?}", tried("/etc/resolv.conf"));
    println!("write-root={:?}", tried("/written"));
    println!("write-tmp={:?}", tried("/tmp/written"));
    println!("write-proc={:?}", tried("/proc/sys/kernel/hostname"));
    println!("masked={:?}", std::fs::read("/proc/timer_list").map(|bytes| bytes.len()));
    println!("pids={}", std::fs::read_dir("/proc").unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
    }).count());
    let quota = ["cpu/cpu.cfs_quota_us", "cpu.max"].map(|file| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")));
    println!("quota={}", one_line(quota.into_iter().flatten().next().unwrap_or_default()));
    println!("cores={}", std::thread::available_parallelism().unwrap());
    println!("fds={}", std::fs::read_dir("/proc/self/fd").unwrap().count());
    let mine = |path| std::fs::write(path, "x").and_then(|()| std::os::unix::fs::chown(path, Some(1), Some(1)));
    println!("chown={:?}", mine("/dev/shm/given-away").map_err(|error| error.kind()));
    println!("low-port={:?}", std::net::TcpListener::bind("0.0.0.0:80").map(|_| ()));
}
