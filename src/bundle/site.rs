//! A bundle's packages on the machine that it is for: apt, with the bundle as its only source, brings in what is missing.
//!
//! What is installed in the bundle's version, or a newer one, stays as it is, and nothing is removed.

use std::fs;
use std::path::Path;

use oci_spec::image::Arch;

use super::programs::{command, run};
use super::{BundleError, DEBS, Manifest, PACKAGE};

/// Where a service manager that starts units says that it runs.
const SYSTEMD: &str = "/run/systemd/system";
const NEXT: &str = "mend that, and apply the bundle again: it goes on where it stopped";

/// What became of actord's package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// It was brought in.
    Now,
    /// This version of it was there, which is the bundle's or a newer one.
    Already(String),
}

/// Refuses a bundle that is for another machine than this one.
///
/// # Errors
/// [`BundleError::Unfit`] says what it is for.
pub fn fits(manifest: &Manifest) -> Result<(), BundleError> {
    let own = Arch::default().to_string();
    if manifest.architecture != own {
        return Err(BundleError::Unfit(format!(
            "the bundle is for {}, and this machine is {own}: make one on a machine of this architecture",
            manifest.architecture
        )));
    }
    let Some(package) = &manifest.package else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        return Err(BundleError::Unfit("packages need root: run this as root (sudo)".to_owned()));
    }
    let system = system()?;
    if package.system != system {
        return Err(BundleError::Unfit(format!(
            "the bundle's packages are of {}, and this machine is {system}: make it on a machine of the same release",
            package.system
        )));
    }
    Ok(())
}

/// The release of this system, such as `debian 12`.
pub(super) fn system() -> Result<String, BundleError> {
    let path = Path::new("/etc/os-release");
    let text = fs::read_to_string(path).map_err(BundleError::io("read", path))?;
    release(&text).ok_or_else(|| BundleError::Unfit(format!("{} does not say which system this is", path.display())))
}

fn release(text: &str) -> Option<String> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    // What is not released yet has a name alone.
    Some(format!("{} {}", value("ID")?, value("VERSION_ID").or_else(|| value("VERSION_CODENAME"))?))
}

/// Installs actord and what of its needs is missing, from a bundle that was unpacked into a directory.
///
/// # Errors
/// [`BundleError::Program`] with what apt says.
pub fn bring_in(manifest: &Manifest, directory: &Path) -> Result<Installed, BundleError> {
    let Some(package) = &manifest.package else { return Ok(Installed::Already(String::new())) };
    if let Some(version) = installed() {
        let order = ["--compare-versions", &version, "ge", &package.version];
        if run(command("dpkg").args(order), "compare versions", NEXT).is_ok() {
            return Ok(Installed::Already(version));
        }
    }
    write_source(manifest, directory)?;
    let apt = || {
        let mut apt = command("apt-get");
        for (option, value) in [
            ("Dir::Etc::sourcelist", directory.join("sources.list").display().to_string()),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
            ("Dir::State::lists", directory.join("lists").display().to_string()),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("DPkg::Lock::Timeout", "120".to_owned()),
            ("Dpkg::Options::", "--force-confdef".to_owned()),
            ("Dpkg::Options::", "--force-confold".to_owned()),
        ] {
            apt.arg("-o").arg(format!("{option}={value}"));
        }
        apt.arg("--quiet=2");
        apt
    };
    run(apt().arg("update"), "read the bundle's packages", NEXT)?;
    let mut install = apt();
    install
        .args(["install", "--yes", "--no-remove", "--no-install-recommends"])
        .arg(format!("actord={}", package.version));
    run(&mut install, "install actord", NEXT)?;
    Ok(Installed::Now)
}

/// The version of actord's package that is installed, if one is.
fn installed() -> Option<String> {
    let format = "--showformat=${Version} ${db:Status-Status}";
    let known =
        run(command("dpkg-query").args(["--show", format, "actord"]), "look for actord's package", NEXT).ok()?;
    known.strip_suffix(" installed").map(str::to_owned)
}

/// Makes a source of packages of the directory: what apt reads of each, by the package itself and the bundle's sums.
fn write_source(manifest: &Manifest, directory: &Path) -> Result<(), BundleError> {
    let mut index = String::new();
    for member in &manifest.members {
        if member.name != PACKAGE && !member.name.starts_with(&format!("{DEBS}/")) {
            continue;
        }
        let path = directory.join(&member.name);
        let what = format!("read {}", member.name);
        index += run(command("dpkg-deb").arg("--field").arg(&path), &what, NEXT)?.trim_end();
        index += &format!("\nFilename: ./{}\nSize: {}\nSHA256: {}\n\n", member.name, member.size, member.sha256);
    }
    let place = directory.display().to_string().replace(' ', "%20");
    // Its sums were looked at: no key of ours is needed on that machine.
    let source = format!("deb [trusted=yes] file:{place} ./\n");
    for (name, text) in [("Packages", index), ("sources.list", source)] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(BundleError::io("write", path))?;
    }
    let lists = directory.join("lists/partial");
    fs::create_dir_all(&lists).map_err(BundleError::io("make", lists))
}

/// Has the service manager start actord, if there is one. The package does so as well, unless it was told not to.
///
/// # Errors
/// [`BundleError::Program`] with what it says.
pub fn start() -> Result<bool, BundleError> {
    if !Path::new(SYSTEMD).is_dir() {
        return Ok(false);
    }
    let next = "`actord doctor` says what is wrong with this machine, `journalctl -u actord` what actord said";
    let mut systemctl = command("systemctl");
    run(systemctl.args(["start", "actord.socket", "actord.service"]), "start actord", next)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_known_by_its_number_or_its_name() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(release(debian).as_deref(), Some("debian 12"));
        assert_eq!(release("ID=debian\nVERSION_CODENAME='forky'\n").as_deref(), Some("debian forky"));
        assert_eq!(release("NAME=x\n"), None);
    }
}
