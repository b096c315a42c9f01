//! Debian packages: what is in one, which one is installed, and the one that leads back to that.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::describe::output;
use super::home::{Home, PATH, named};
use super::kept;
use super::refusal::Refusal;
use crate::durable;

/// The package.
const NAME: &str = "actord";
/// A question to dpkg, and an installation, which may wait for another that is under way.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const INSTALLS_WITHIN: Duration = Duration::from_secs(600);

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
    let new = about(file).await?;
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
    let old = about(&source).await?;
    if old.name != NAME || old.version != version || old.architecture != architecture {
        let source = source.display();
        return Err(Refusal::Not(format!("{source} is {} {}, and {version} is installed", old.name, old.version)));
    }
    let (before, after) = (home.path().join("kept/actord.deb"), home.next("actord.deb"));
    for (from, to) in [(&source, &before), (&file.to_owned(), &after)] {
        put(from, to)?;
    }
    let tree = home.next("tree");
    ask("dpkg-deb", &["--extract".as_ref(), &after, &tree])
        .await
        .map_err(|why| Refusal::Not(format!("{} can't be unpacked: {why}", file.display())))?;
    let inside = program.strip_prefix("/").unwrap_or(program);
    kept::put_program(&tree.join(inside), next)?;
    kept::discard(&tree)?;
    Ok((before, after))
}

/// Installs a package, whatever version is there. Conffiles stay as they are.
pub(super) async fn install(file: &Path) -> Result<(), String> {
    let mut command = Command::new("dpkg");
    command.args(["--install", "--force-confold", "--force-downgrade"]).arg(file);
    command.env_clear().envs([("PATH", PATH), ("DEBIAN_FRONTEND", "noninteractive")]).current_dir("/");
    output(command, INSTALLS_WITHIN).await.map(drop).map_err(|why| format!("dpkg --install {}: {why}", file.display()))
}

struct Described {
    name: String,
    version: String,
    architecture: String,
}

async fn about(file: &Path) -> Result<Described, Refusal> {
    let format = "${Package} ${Version} ${Architecture}";
    let said = ask("dpkg-deb", &["--showformat".as_ref(), format.as_ref(), "--show".as_ref(), file]).await;
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
