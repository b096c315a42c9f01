//! Debian packages: what is in one, which one is installed, and the one that leads back to that.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::describe::output;
use super::home::{Home, PATH, named};
use super::kept;
use super::refusal::Refusal;
use crate::durable;

/// The package.
const NAME: &str = "actord";
/// A question to dpkg, and an installation.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const INSTALLS_WITHIN: Duration = Duration::from_secs(600);
/// Where dpkg's locks are; it does not wait for them. How long somebody else may have them while no actord serves, and how often
/// that is looked at.
const LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];
const FREE_WITHIN: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_secs(1);

/// The package that a file belongs to, if it is one's.
pub(super) async fn owner(file: &Path) -> Option<String> {
    let said = ask("dpkg-query", &["--search".as_ref(), file]).await.ok()?;
    Some(said.split_once(':')?.0.to_owned())
}

/// Takes a package into the home, with its program, and finds the one that is installed now. Returns both: before, after.
pub(super) async fn take(
    home: &Home,
    file: &Path,
    before: Option<&Path>,
    program: &Path,
    next: &Path,
) -> Result<(PathBuf, PathBuf), Refusal> {
    let installed = ask(
        "dpkg-query",
        &["--showformat".as_ref(), "${Version} ${Architecture}".as_ref(), "--show".as_ref(), NAME.as_ref()],
    )
    .await;
    let installed = installed.map_err(|why| {
        Refusal::Not(format!(
            "no package {NAME} is installed ({why}): give the program instead, or install the package"
        ))
    })?;
    let Some((version, architecture)) = installed.trim().split_once(' ') else {
        return Err(Refusal::Not(format!("dpkg says {installed:?} of the package {NAME}")));
    };
    if owner(program).await.as_deref() != Some(NAME) {
        let program = program.display();
        return Err(Refusal::Not(format!(
            "the program that runs ({program}) is not the package's: give a program instead"
        )));
    }
    if let Some(pid) = at_work() {
        return Err(Refusal::Not(format!(
            "somebody else installs packages now (pid {pid} has {}): wait until that has ended",
            LOCKS[0]
        )));
    }
    // What is looked at is what is kept: the file that was given may become another one at any time.
    let (kept_before, after) = (home.path().join("kept/actord.deb"), home.next("actord.deb"));
    put(file, &after)?;
    let new = about(&after, file).await?;
    if new.name != NAME || new.architecture != architecture {
        let (file, Described { name, architecture: other, .. }) = (file.display(), new);
        return Err(Refusal::Not(format!("{file} is {name} for {other}, and {NAME} for {architecture} is what runs")));
    }
    let kept = home.debs().join(format!("{NAME}_{version}_{architecture}.deb"));
    let source = match before {
        Some(given) => given.to_owned(),
        // As its own name has it: a colon of an epoch may be written as it is, or as `%3a`.
        None => [kept.clone(), home.debs().join(format!("{NAME}_{}_{architecture}.deb", version.replace(':', "%3a")))]
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| {
                Refusal::Not(format!(
                    "the package that is installed ({version}) is not kept: a way back needs it. Give it by --before FILE.deb"
                ))
            })?,
    };
    put(&source, &kept_before)?;
    let old = about(&kept_before, &source).await?;
    if old.name != NAME || old.version != version || old.architecture != architecture {
        let source = source.display();
        return Err(Refusal::Not(format!("{source} is {} {}, and {version} is installed", old.name, old.version)));
    }
    let tree = home.next("tree");
    ask("dpkg-deb", &["--extract".as_ref(), &after, &tree])
        .await
        .map_err(|why| Refusal::Not(format!("{} can't be unpacked: {why}", file.display())))?;
    let inside = program.strip_prefix("/").unwrap_or(program);
    kept::put_program(&tree.join(inside), next)?;
    kept::discard(&tree)?;
    Ok((kept_before, after))
}

/// Installs a package, whatever version is there. Conffiles stay as they are. Waits for somebody else who installs, but not for
/// long: nobody serves meanwhile.
pub(super) async fn install(file: &Path) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mut command = Command::new("dpkg");
        command.args(["--install", "--force-confold", "--force-downgrade"]).arg(file);
        let environment = [("PATH", PATH), ("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C")];
        command.env_clear().envs(environment).current_dir("/");
        let done =
            if at_work().is_none() { output(command, INSTALLS_WITHIN).await.map(drop) } else { Err(String::new()) };
        match (done, at_work()) {
            (Ok(()), _) => return Ok(()),
            // It came first, perhaps after it was looked for.
            (Err(_), Some(_)) if begun.elapsed() < FREE_WITHIN => sleep(OFTEN).await,
            (Err(_), Some(pid)) => {
                return Err(format!("dpkg --install {}: pid {pid} installs something else", file.display()));
            }
            (Err(why), None) if why.is_empty() => {}
            (Err(why), None) => return Err(format!("dpkg --install {}: {why}", file.display())),
        }
    }
}

/// What dpkg says of the package during a trial of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Installed {
    /// Half of it, or somebody is at it.
    Changing,
    /// One of these two.
    Ours,
    /// Another, or none.
    Another,
}

/// Whether what is installed is one of these two packages.
pub(super) async fn installed(before: &Path, after: &Path) -> Installed {
    let format = "${db:Status-Status} ${Version}";
    let said = ask("dpkg-query", &["--showformat".as_ref(), format.as_ref(), "--show".as_ref(), NAME.as_ref()]).await;
    let mut ours = Vec::new();
    for package in [before, after] {
        let Ok(known) = about(package, package).await else { return Installed::Ours };
        ours.push(known.version);
    }
    // One that was purged is not known at all.
    told(said.as_deref().unwrap_or("not-installed "), &ours, at_work().is_some())
}

fn told(said: &str, ours: &[String], is_at_work: bool) -> Installed {
    let (status, version) = said.trim_end().split_once(' ').unwrap_or((said.trim(), ""));
    match status {
        _ if is_at_work => Installed::Changing,
        "not-installed" | "config-files" => Installed::Another,
        _ if ours.iter().any(|known| known == version) => Installed::Ours,
        _ => Installed::Another,
    }
}

/// Who installs packages, if anybody does.
pub(super) fn at_work() -> Option<i32> {
    LOCKS.iter().find_map(|path| owner_of_lock(Path::new(path)))
}

fn owner_of_lock(path: &Path) -> Option<i32> {
    let about = fs::metadata(path).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holders(&locks, about.ino()).into_iter().find(|pid| has_open(*pid, &about))
}

/// Who has a lock by `fcntl` on the file with this inode, on whatever disk, by the text of `/proc/locks`.
fn holders(locks: &str, inode: u64) -> Vec<i32> {
    let held = locks.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", pid, file, ..] = words[..] else { return None };
        (file.rsplit(':').next()? == inode.to_string()).then(|| pid.parse().ok())?
    });
    held.collect()
}

/// Numbers of files are those of a disk: another disk's file may have this one's.
fn has_open(pid: i32, file: &fs::Metadata) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut files = open.filter_map(|open| fs::metadata(open.path()).ok());
    files.any(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
}

struct Described {
    name: String,
    version: String,
    architecture: String,
}

/// What a package says of itself; it is called by the name that was given.
async fn about(copy: &Path, file: &Path) -> Result<Described, Refusal> {
    let format = "${Package} ${Version} ${Architecture}";
    let said = ask("dpkg-deb", &["--showformat".as_ref(), format.as_ref(), "--show".as_ref(), copy]).await;
    let said = said.map_err(|why| Refusal::Not(format!("{} can't be read: {why}", file.display())))?;
    match said.split_whitespace().collect::<Vec<_>>()[..] {
        [name, version, architecture] => {
            Ok(Described { name: name.to_owned(), version: version.to_owned(), architecture: architecture.to_owned() })
        }
        _ => Err(Refusal::Not(format!("{} says {said:?} of itself", file.display()))),
    }
}

fn put(from: &Path, to: &Path) -> std::io::Result<()> {
    let draft = durable::draft(to);
    kept::copy(from, &draft).and_then(|()| durable::put(&draft, to)).map_err(|error| {
        let _ = fs::remove_file(&draft);
        named(to, &error)
    })
}

async fn ask(program: &str, arguments: &[&Path]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs([("PATH", PATH), ("LC_ALL", "C")]).current_dir("/");
    output(command, ANSWERS_WITHIN).await.map(|said| String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_than_both_is_the_operator_s_and_half_of_one_is_waited_for() {
        let ours = ["1:0.1.0-1".to_owned(), "0.2.0-1".to_owned()];
        for (said, is_at_work, expected) in [
            ("installed 0.2.0-1", false, Installed::Ours),
            ("installed 1:0.1.0-1", false, Installed::Ours),
            ("half-installed 0.3.0-1", true, Installed::Changing),
            ("installed 0.3.0-1", true, Installed::Changing),
            ("unpacked 0.3.0-1", false, Installed::Another),
            ("installed 0.3.0-1", false, Installed::Another),
            ("config-files 0.2.0-1", false, Installed::Another),
            ("not-installed ", false, Installed::Another),
        ] {
            assert_eq!(told(said, &ours, is_at_work), expected, "{said}");
        }
    }

    #[test]
    fn who_installs_is_read_from_the_kernels_table_and_has_the_file_open() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:42 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fe:00:42 0 EOF\n\
            3: POSIX  ADVISORY  READ 13 fe:00:42 0 EOF\n4: POSIX  ADVISORY  WRITE 14 fd:00:42 0 EOF\n";
        assert_eq!(holders(locks, 42), [11, 14]);
        assert_eq!(holders(locks, 43), [0; 0]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(owner_of_lock(&path), None, "there is none");
        let lock = fs::File::create(&path).unwrap();
        assert_eq!(owner_of_lock(&path), None, "it is open and not locked");
        rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(owner_of_lock(&path), i32::try_from(std::process::id()).ok());
        drop(lock);
        assert_eq!(owner_of_lock(&path), None);
    }
}
