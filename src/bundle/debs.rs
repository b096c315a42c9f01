//! The packages of a bundle: actord's own, and what apt would install with it on a machine that has none at all.
//!
//! All of them go, down to the C library: apt takes from them on the other machine what that one lacks, and leaves the rest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::layout::hex;
use super::programs::{command, run};
use super::{BundleError, Package, Staging};

/// Where the package keeps itself when it is installed.
const KEPT: &str = "/var/lib/actord-upgrade/debs";
/// Where apt keeps what it downloaded.
const DOWNLOADED: &str = "/var/cache/apt/archives";
const SOURCES: &str = "packages come from this machine's package sources, which `apt-get update` must reach, or out of \
                       /var/cache/apt/archives";
const PROGRAM_IN_PACKAGE: &str = "usr/bin/actord";
const OTHER_PACKAGE: &str = "`make deb` makes it, --deb names it";

/// What goes into a bundle of a package.
#[derive(Debug)]
pub struct Collected {
    /// Its version, and what it is for.
    pub package: Package,
    /// The program in it.
    pub program: PathBuf,
    /// What it needs.
    pub debs: Vec<PathBuf>,
}

/// The package of the actord that is installed, as it was kept.
///
/// # Errors
/// [`BundleError::Unfit`] where there is none.
pub fn kept_package() -> Result<PathBuf, BundleError> {
    let none = |why: String| {
        BundleError::Unfit(format!(
            "{why}: {OTHER_PACKAGE}, and --functions-only makes a bundle for machines where actord runs already"
        ))
    };
    let format = "--showformat=${Version}_${Architecture} ${db:Status-Status}";
    let known =
        run(command("dpkg-query").args(["--show", format, "actord"]), "look for actord's package", OTHER_PACKAGE);
    let known = known.map_err(|_| none("no package of actord is installed here".to_owned()))?;
    let Some(version) = known.strip_suffix(" installed") else {
        return Err(none("no package of actord is installed here".to_owned()));
    };
    let path = Path::new(KEPT).join(format!("actord_{version}.deb"));
    if path.exists() { Ok(path) } else { Err(none(format!("{} is not there", path.display()))) }
}

/// Brings together what goes into a bundle of this package, from this machine's package sources.
///
/// # Errors
/// [`BundleError`] that names the package that can't be had, or what is wrong with the given one.
pub fn collect(deb: &Path, work: &Staging) -> Result<Collected, BundleError> {
    let deb = deb.canonicalize().map_err(BundleError::io("read", deb))?;
    let format = "--showformat=${Package} ${Version} ${Architecture}";
    let fields = run(command("dpkg-deb").args(["--show", format]).arg(&deb), "read the package", OTHER_PACKAGE)?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let [name, version, architecture] = fields.as_slice() else {
        return Err(BundleError::Unfit(format!("{} does not say what it is: {OTHER_PACKAGE}", deb.display())));
    };
    if *name != "actord" {
        return Err(BundleError::Unfit(format!("{} is the package of {name}: {OTHER_PACKAGE}", deb.display())));
    }
    let own = run(command("dpkg").arg("--print-architecture"), "ask for the architecture", OTHER_PACKAGE)?;
    if *architecture != own.trim() {
        return Err(BundleError::Unfit(format!(
            "{} is for {architecture}, and this machine is {}: make the bundle on a machine of that architecture",
            deb.display(),
            own.trim()
        )));
    }
    let package = Package { version: (*version).to_owned(), system: super::site::system()? };
    let program = program(&deb, &work.directory("program")?)?;
    Ok(Collected { package, program, debs: needed(&deb, work)? })
}

/// Takes the program out of the package, and asks it whether it knows bundles: it is the one that will apply this.
fn program(deb: &Path, into: &Path) -> Result<PathBuf, BundleError> {
    let unreadable = |why: String| BundleError::Program { what: format!("read {}", deb.display()), why };
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| unreadable(error.to_string()))?;
    let found = dpkg.stdout.take().map_or(Ok(None), |files| {
        let mut files = BufReader::new(files);
        let found = find_program(&mut files, into);
        // Read to its end: who is cut off complains.
        found.and_then(|found| io::copy(&mut files, &mut io::sink()).map(|_| found))
    });
    // What it did not read well has no program in it.
    let _ = dpkg.wait();
    let Some(path) = found.map_err(|error| unreadable(error.to_string()))? else {
        return Err(unreadable(format!("it has no {PROGRAM_IN_PACKAGE}: {OTHER_PACKAGE}")));
    };
    let next = "that actord knows no bundles, or does not run here: --deb names the package of a newer one";
    run(command(&path.to_string_lossy()).args(["bundle", "apply", "--help"]), "ask the package's program", next)?;
    Ok(path)
}

fn find_program(files: impl io::Read, into: &Path) -> io::Result<Option<PathBuf>> {
    for entry in tar::Archive::new(files).entries()? {
        let mut entry = entry?;
        let name = entry.path()?;
        if name.strip_prefix(".").unwrap_or(&name) == Path::new(PROGRAM_IN_PACKAGE) {
            let path = into.join("actord");
            io::copy(&mut entry, &mut File::create(&path)?)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Brings together what the package needs: from apt's own store of what it downloaded, else by downloading it.
fn needed(deb: &Path, work: &Staging) -> Result<Vec<PathBuf>, BundleError> {
    let (status, into) = (work.path().join("nothing-is-installed"), work.directory("debs")?);
    fs::write(&status, "").map_err(BundleError::io("write", &status))?;
    // A solver's answer for a machine that has nothing, which leaves no trace in what apt knows of this one.
    let apt = |program: &str| {
        let mut apt = command(program);
        apt.arg("--quiet=2").arg("-o").arg(format!("Dir::State::status={}", status.display()));
        apt.arg("-o").arg(format!("Dir::Cache::archives={}/", into.display()));
        for option in
            ["Debug::NoLocking=1", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "APT::Sandbox::User=root"]
        {
            apt.args(["-o", option]);
        }
        apt
    };
    let install = |more: &str| {
        let mut install = apt("apt-get");
        install.args(["--no-install-recommends", "--yes", more, "install"]).arg(deb);
        install
    };
    let wanted = installs(&run(&mut install("--simulate"), "find out what actord's package needs", SOURCES)?);
    if !wanted.is_empty() {
        let known = run(apt("apt-cache").arg("show").args(&wanted), "look up what actord's package needs", SOURCES)?;
        take_downloaded(&wanted, &sums(&known), &into)?;
        run(&mut install("--download-only"), "download what actord's package needs", SOURCES)?;
    }
    let mut debs = files(&into)?;
    debs.retain(|path| path.extension().is_some_and(|end| end == "deb"));
    debs.sort();
    if debs.len() != wanted.len() {
        return Err(BundleError::Program {
            what: "download what actord's package needs".to_owned(),
            why: format!("{} packages came, and {} were asked for; {SOURCES}", debs.len(), wanted.len()),
        });
    }
    Ok(debs)
}

/// Copies those packages that apt has downloaded before. It takes what lies there without a look at it: so here is one.
fn take_downloaded(wanted: &[String], sums: &BTreeSet<String>, into: &Path) -> Result<(), BundleError> {
    let wanted: Vec<String> =
        wanted.iter().map(|one| format!("{}_", one.replacen('=', "_", 1).replace(':', "%3a"))).collect();
    // Where it keeps none, all are downloaded.
    for path in files(Path::new(DOWNLOADED)).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if wanted.iter().any(|one| name.starts_with(one)) {
            let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
            if sums.contains(&hex(Sha256::digest(&bytes).as_slice())) {
                let copy = into.join(name);
                fs::write(&copy, bytes).map_err(BundleError::io("write", copy))?;
            }
        }
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let files = fs::read_dir(directory).and_then(|files| files.map(|file| Ok(file?.path())).collect());
    files.map_err(BundleError::io("read", directory))
}

/// The sums that apt knows of packages.
fn sums(shown: &str) -> BTreeSet<String> {
    shown.lines().filter_map(|line| Some(line.strip_prefix("SHA256:")?.trim().to_owned())).collect()
}

/// What a simulation would install beside actord's package itself: `NAME=VERSION`.
fn installs(simulation: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in simulation.lines() {
        let mut words = line.split_whitespace();
        if let (Some("Inst"), Some(name), Some(version)) = (words.next(), words.next(), words.next())
            && name != "actord"
        {
            found.push(format!("{name}={}", version.trim_start_matches('(')));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_read_with_its_versions() {
        let simulation = "NOTE: This is only a simulation!\n\
                          Inst libc6 (2.36-9+deb12u14 Debian:12.14/oldstable [amd64]) []\n\
                          Inst runc (1.1.5+ds1-1+deb12u1 Debian:12.14/oldstable, Debian-Security:12 [amd64])\n\
                          Inst actord (0.1.0-1 local-deb [amd64])\n\
                          Conf runc (1.1.5+ds1-1+deb12u1 Debian:12.14/oldstable [amd64])\n";
        assert_eq!(installs(simulation), ["libc6=2.36-9+deb12u14", "runc=1.1.5+ds1-1+deb12u1"]);
        assert!(installs("").is_empty());
    }

    #[test]
    fn what_apt_knows_of_packages_has_their_sums() {
        let shown =
            "Package: runc\nVersion: 1.1.5\nSHA256: a00351\nDescription: x\n\nPackage: netbase\nSHA256: 29b23c\n";
        assert_eq!(sums(shown), BTreeSet::from(["a00351".to_owned(), "29b23c".to_owned()]));
    }

    #[test]
    fn the_program_of_a_package_is_found_in_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = tar::Builder::new(Vec::new());
        for (name, text) in [("./usr/bin/actord-not", "no"), ("./usr/bin/actord", "yes"), ("./usr/bin/later", "no")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            files.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let found = find_program(files.into_inner().unwrap().as_slice(), dir.path()).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&found).unwrap(), "yes");
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let nothing = tar::Builder::new(Vec::new()).into_inner().unwrap();
        assert!(find_program(nothing.as_slice(), dir.path()).unwrap().is_none());
    }
}
