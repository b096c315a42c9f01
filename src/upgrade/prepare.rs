//! All that can be refused is so before anything is changed: who runs, what it is to become, and whether there is a way back.
//!
//! ```text
//! who runs, and answers -> its program is kept, the new one is here -> both say what they are -> room, package -> Prepared
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::ask::ask;
use super::deb;
use super::describe::describe;
use super::health::ANSWERS_WITHIN;
use super::home::{Home, holder, named};
use super::kept;
use super::machine::Machine;
use super::marker::{Addresses, Before, Build, Function, Marker, PROTOCOL, Step, function_of, instance_prefix};
use super::park::locked;
use super::refusal::Refusal;
use super::start::start_watcher;
use crate::durable;

const ELF: &[u8] = b"\x7fELF";
const AR: &[u8] = b"!<arch>\n";

/// The actord that runs, and where its functions are.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its process.
    pub pid: i32,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Below which control group its functions are.
    pub cgroup_parent: String,
    /// Where it listens.
    pub addresses: Addresses,
    /// The unit of systemd's that it runs as, if it does.
    pub unit: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The new program, or the package that it comes in.
    pub file: PathBuf,
    /// The package that is installed, where it was not kept when it was.
    pub before: Option<PathBuf>,
    /// Whether a program may take the place of one that a package brought.
    pub replace_packaged: bool,
    /// How long the new program has to be healthy, but for short breaks.
    pub trial: Duration,
}

/// Checks all there is to check, keeps both programs and marks the upgrade as prepared. Nothing that runs is changed.
///
/// # Errors
/// [`Refusal`], with the next step.
pub async fn prepare(
    home: &Home,
    running: &Running,
    wanted: &Wanted,
    machine: &dyn Machine,
) -> Result<Marker, Refusal> {
    durable::make_dir(home.path(), 0o700).map_err(|error| named(home.path(), &error))?;
    let _alone = locked(&home.path().join("begin.lock")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Refusal::Not("another `actord upgrade` is about to begin: wait for it".to_owned()),
        _ => error.into(),
    })?;
    refuse_second(home)?;
    let (program, settings) = started(running.pid)?;
    for left in [home.databases(), home.path().join("next")] {
        kept::discard(&left)?;
    }
    for made in ["kept", "next"] {
        durable::make_dir(&home.path().join(made), 0o700)?;
    }
    let kept = home.kept();
    kept::put_program(Path::new(&format!("/proc/{}/exe", running.pid)), &kept)?;
    let next = home.next("actord");
    wanted.before.as_deref().map_or(Ok(()), must_be_file)?;
    let package = match kind(&wanted.file)? {
        Kind::Program => {
            kept::put_program(&wanted.file, &next)?;
            if !wanted.replace_packaged
                && let Some(package) = deb::owner(&program).await
            {
                return Err(Refusal::Not(format!(
                    "{} is of the package {package}: give the new package, or --replace-packaged, and the package's next \
                     version replaces what was given here",
                    program.display()
                )));
            }
            None
        }
        Kind::Package => Some(deb::take(home, &wanted.file, wanted.before.as_deref(), &program, &next).await?),
    };
    let mut from = build(&kept).await.map_err(|why| {
        let program = program.display();
        Refusal::Not(format!("the program that runs ({program}) can't go back by itself: {why}"))
    })?;
    let mut to = build(&next)
        .await
        .map_err(|why| Refusal::Not(format!("{} is no actord to upgrade to: {why}", wanted.file.display())))?;
    if let Some((before, after)) = package {
        (from.deb, to.deb) = (Some(before), Some(after));
    }
    let schema_changed = compare(&from, &to)?;
    if schema_changed {
        let size = kept::size(&running.data_dir)?;
        for place in [home.path(), &running.data_dir] {
            kept::must_have_room(place, size)?;
        }
    }
    kept::must_have_room(durable::parent(&program), fs::metadata(&next)?.len())?;
    let marker = Marker {
        protocol: PROTOCOL,
        id: format!("{:016x}", rand::random::<u64>()),
        step: Step::Prepared,
        from,
        to,
        schema_changed,
        data_dir: running.data_dir.clone(),
        cgroup_parent: running.cgroup_parent.clone(),
        program,
        settings,
        addresses: running.addresses,
        unit: running.unit.clone(),
        boot_id: machine.boot_id()?,
        trial: wanted.trial,
        begun: Timestamp::now(),
        before: before(running, machine).await?,
        copies: BTreeMap::new(),
        placed: None,
        reason: None,
    };
    // Of the one before: only one that begins has something to say instead.
    let _ = fs::remove_file(home.log());
    home.mark(&marker)?;
    Ok(marker)
}

/// Refuses another upgrade while one is under way, and has that one watched.
///
/// # Errors
/// [`Refusal`], with what to wait for.
pub fn refuse_second(home: &Home) -> Result<(), Refusal> {
    let Some(marker) = home.marker()? else { return Ok(()) };
    let (from, to, data) = (&marker.from.version, &marker.to.version, marker.data_dir.display());
    let watched = match home.watcher() {
        Some(pid) => format!("pid {pid} watches it"),
        None => {
            start_watcher(home)?;
            "its watcher was gone and is started again".to_owned()
        }
    };
    Err(Refusal::Not(format!(
        "an upgrade of {data} from {from} to {to} is under way, and {watched}: wait until it has ended"
    )))
}

/// The program and command line of a process, if somebody starts it again once it ends.
fn started(pid: i32) -> Result<(PathBuf, Vec<String>), Refusal> {
    let read = |file: &str| {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        fs::read(&path).map_err(|error| named(&path, &error))
    };
    let environment = read("environ")?;
    if !environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"NOTIFY_SOCKET=")) {
        return Err(Refusal::Not(format!(
            "the actord that runs (pid {pid}) was not started by a service manager, so nobody would start the next one: run \
             it as actord.service, or end it, replace its program and start that by hand"
        )));
    }
    let program = fs::read_link(format!("/proc/{pid}/exe"))?;
    if program.to_string_lossy().ends_with(" (deleted)") || !program.exists() {
        return Err(Refusal::Not(format!(
            "the program of the actord that runs (pid {pid}) was replaced since it started: restart it first"
        )));
    }
    let words = read("cmdline")?;
    let words = words.strip_suffix(b"\0").unwrap_or(&words).split(|byte| *byte == 0);
    let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    if words.iter().any(|word| word == "--stop-functions") {
        return Err(Refusal::Not(format!(
            "the actord that runs (pid {pid}) removes all functions when it ends (--stop-functions): start it without that first"
        )));
    }
    Ok((program, words))
}

enum Kind {
    Program,
    Package,
}

fn kind(file: &Path) -> Result<Kind, Refusal> {
    let mut head = Vec::new();
    must_be_file(file)?;
    File::open(file).and_then(|file| file.take(8).read_to_end(&mut head)).map_err(|error| named(file, &error))?;
    if head.starts_with(ELF) {
        return Ok(Kind::Program);
    }
    if head.starts_with(AR) {
        return Ok(Kind::Package);
    }
    Err(Refusal::Not(format!("{} is neither a program nor a Debian package", file.display())))
}

/// Whoever opened a pipe would wait for somebody who writes into it.
fn must_be_file(file: &Path) -> Result<(), Refusal> {
    if fs::metadata(file).map_err(|error| named(file, &error))?.is_file() {
        return Ok(());
    }
    Err(Refusal::Not(format!("{} is no regular file: give the file itself", file.display())))
}

async fn build(program: &Path) -> Result<Build, String> {
    let said = describe(program).await?;
    if said.protocol != PROTOCOL {
        return Err(format!("it knows upgrades by protocol {}, this one by {PROTOCOL}", said.protocol));
    }
    Ok(Build { sha256: kept::sum(program).map_err(|error| error.to_string())?, ..said })
}

/// Whether the new program lays out what is kept in another way.
fn compare(from: &Build, to: &Build) -> Result<bool, Refusal> {
    if from.sha256 == to.sha256 {
        return Err(Refusal::Not(format!("it is the program that runs: {} of commit {}", from.version, from.commit)));
    }
    for (what, known) in &from.schemas {
        let new = to.schemas.get(what).copied().unwrap_or_default();
        if new < *known {
            return Err(Refusal::Not(format!(
                "it knows {what} of version {new}, and what is kept has version {known}: `actord export` here and `actord \
                 import` there take the functions along"
            )));
        }
    }
    Ok(from.schemas != to.schemas)
}

/// What is so now, and must be so afterwards.
async fn before(running: &Running, machine: &dyn Machine) -> Result<Before, Refusal> {
    let authorization = machine.authorization(&running.data_dir);
    let lock = running.data_dir.join("lock");
    let is_it = || holder(&lock) == Some(running.pid);
    let answer = ask(running.addresses.provider, authorization.as_deref(), ANSWERS_WITHIN, &is_it).await;
    let answer = answer.map_err(|why| {
        let at = running.addresses.provider;
        Refusal::Not(format!(
            "the actord that runs does not say how it is at {at}: {why}. Whether a new one is as well could not be told: mend \
             it first (actord doctor)"
        ))
    })?;
    // One that crashes again and again will do so whoever runs.
    let is_followed = |function: &Function| function.available > 0 && !function.crashes;
    let ready = answer.functions.into_iter().filter(|(_, function)| is_followed(function)).collect();
    let processes = machine.processes(&running.cgroup_parent);
    let mut processes = processes
        .map_err(|why| Refusal::Not(format!("it can't be told whether functions keep their processes: {why}")))?;
    keep_settled(&ready, &mut processes);
    Ok(Before { ready, faults: answer.faults, processes, is_of_an_earlier_boot: false })
}

/// Leaves out instances of functions that are being changed: some of them will go, whoever runs. Instances are called by their
/// functions' names, which several namespaces may have.
fn keep_settled(ready: &BTreeMap<String, Function>, processes: &mut BTreeMap<String, i32>) {
    let count = |name: &str| processes.keys().filter(|instance| function_of(instance) == Some(name)).count() as u64;
    let mut served = BTreeMap::<String, u64>::new();
    for (id, function) in ready {
        *served.entry(instance_prefix(id)).or_default() += function.available + function.spares;
    }
    let settled: BTreeSet<&str> =
        served.iter().filter(|(name, served)| count(name) == **served).map(|(name, _)| name.as_str()).collect();
    processes.retain(|instance, _| function_of(instance).is_some_and(|name| settled.contains(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_followed_of_functions_that_are_as_they_will_be() {
        let function = |available, spares| Function { replicas: available, available, spares, ..Function::default() };
        let ready = [
            ("env.a", function(1, 1)),
            ("b--b.a", function(1, 0)),
            ("updated.a", function(1, 0)),
            ("both.a", function(1, 0)),
            ("both.b", function(2, 0)),
        ];
        let ready = ready.map(|(name, function)| (name.to_owned(), function)).into();
        let processes =
            ["env-1", "env-2", "b-b-1", "updated-1", "updated-2", "fails-1", "odd", "both-1", "both-2", "both-3"];
        let mut processes = processes.map(|id| (id.to_owned(), 7)).into();
        keep_settled(&ready, &mut processes);
        assert_eq!(
            processes.into_keys().collect::<Vec<_>>(),
            ["b-b-1", "both-1", "both-2", "both-3", "env-1", "env-2"]
        );
    }

    fn build(sha256: &str, store: i64) -> Build {
        let schemas = [("store".to_owned(), store), ("calls".to_owned(), 3)].into();
        Build { sha256: sha256.into(), schemas, ..Build::default() }
    }

    #[test]
    fn another_layout_is_noticed_and_an_older_one_is_refused_with_words() {
        assert!(!compare(&build("a", 9), &build("b", 9)).unwrap());
        assert!(compare(&build("a", 9), &build("b", 10)).unwrap());
        let more = Build {
            schemas: [("other".to_owned(), 1)].into_iter().chain(build("b", 9).schemas).collect(),
            ..build("b", 9)
        };
        assert!(compare(&build("a", 9), &more).unwrap());
        let older = compare(&build("a", 9), &build("b", 8)).unwrap_err().to_string();
        assert!(older.contains("store of version 8") && older.contains("actord export"), "{older}");
        let same = compare(&build("a", 9), &build("a", 9)).unwrap_err().to_string();
        assert!(same.contains("it is the program that runs"), "{same}");
    }

    #[test]
    fn what_is_neither_program_nor_package_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        for (content, expected) in [
            (&b"\x7fELF\x02\x01"[..], Some(true)),
            (b"!<arch>\ndebian-binary", Some(false)),
            (b"#!/bin/sh\n", None),
            (b"", None),
        ] {
            fs::write(&file, content).unwrap();
            let found = kind(&file).ok().map(|kind| matches!(kind, Kind::Program));
            assert_eq!(found, expected);
        }
        assert!(kind(&dir.path().join("none")).is_err_and(|error| error.to_string().contains("none")));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for file in [pipe.as_path(), dir.path(), Path::new("/dev/zero")] {
            let refused = kind(file).err().unwrap().to_string();
            assert!(refused.contains("no regular file") && refused.contains(file.to_str().unwrap()), "{refused}");
        }
    }

    #[test]
    fn a_process_that_nobody_starts_again_is_refused() {
        let refused = started(i32::try_from(std::process::id()).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("service manager") && refused.contains("actord.service"), "{refused}");
    }
}
