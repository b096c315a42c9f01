//! `actord image pack`: files of this machine into an OCI image archive.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use oci_spec::image::Arch;

use crate::archive::{Package, PackedFile, pack};

/// `actord image pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// Image reference with its tag, such as docker.io/me/hello:1
    #[arg(long, value_name = "REFERENCE")]
    reference: String,

    /// File to pack and where it goes in the image. Its mode is kept unless one is given. Repeatable
    #[arg(long = "file", value_name = "SOURCE:PATH[:MODE[:UID:GID]]", required = true, value_parser = parse_file)]
    files: Vec<FileArg>,

    /// Word of the command that always runs. Repeatable
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,

    /// Word of its default arguments. Repeatable
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,

    /// Environment variable. Repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    env: Vec<(String, String)>,

    /// Label of the image. Repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    label: Vec<(String, String)>,

    /// Port that it listens on, such as 8080/tcp. Repeatable
    #[arg(long, value_name = "PORT/PROTOCOL")]
    port: Vec<String>,

    /// User that it runs as: a name, UID or UID:GID
    #[arg(long, value_name = "USER", default_value = "")]
    user: String,

    /// Working directory
    #[arg(long, value_name = "DIR", default_value = "")]
    workdir: String,

    /// Architecture as the OCI names it, such as amd64 or arm64 [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// Archive to write; - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// One `--file`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileArg {
    source: PathBuf,
    path: String,
    mode: Option<u32>,
    uid: u64,
    gid: u64,
}

fn parse_file(text: &str) -> Result<FileArg, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, mode, owner) = match parts.as_slice() {
        [source, path] => (source, path, None, None),
        [source, path, mode] => (source, path, Some(mode), None),
        [source, path, mode, uid, gid] => (source, path, Some(mode), Some((uid, gid))),
        _ => return Err("expected SOURCE:PATH, SOURCE:PATH:MODE or SOURCE:PATH:MODE:UID:GID".to_owned()),
    };
    let octal = |text: &&str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    let mode = mode.map(|text| octal(text).ok_or("expected a mode in octal, such as 755")).transpose()?;
    let number = |text: &str| text.parse().map_err(|_| "expected numbers for UID and GID".to_owned());
    let (uid, gid) = owner.map_or(Ok((0, 0)), |(uid, gid)| Ok::<_, String>((number(uid)?, number(gid)?)))?;
    Ok(FileArg { source: source.into(), path: (*path).to_owned(), mode, uid, gid })
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl PackArgs {
    /// Packs, and writes the archive.
    ///
    /// # Errors
    /// Names the file that can't be read, packed or written.
    pub fn run(self) -> io::Result<()> {
        let output = self.output.clone();
        let archive = pack(&self.package()?)?;
        if output == Path::new("-") {
            return io::stdout().lock().write_all(&archive);
        }
        // A reader sees no half an archive.
        let unfinished = output.with_extension(format!("{}.new", std::process::id()));
        fs::write(&unfinished, archive).and_then(|()| fs::rename(&unfinished, &output)).map_err(named(&output))
    }

    fn package(self) -> io::Result<Package> {
        let files = self.files.into_iter().map(read).collect::<io::Result<_>>()?;
        Ok(Package {
            reference: self.reference,
            files,
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            env: self.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
            user: self.user,
            workdir: self.workdir,
            labels: self.label.into_iter().collect(),
            exposed_ports: self.port,
            architecture: self.arch.map_or_else(Arch::default, |name| Arch::from(name.as_str())),
        })
    }
}

fn read(file: FileArg) -> io::Result<PackedFile> {
    let bytes = fs::read(&file.source).map_err(named(&file.source))?;
    let mode = match file.mode {
        Some(mode) => mode,
        None => fs::metadata(&file.source).map_err(named(&file.source))?.permissions().mode() & 0o7777,
    };
    Ok(PackedFile { path: file.path, mode, uid: file.uid, gid: file.gid, bytes })
}

fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_come_with_its_mode_and_owner() {
        let file = parse_file("target/hello:/usr/bin/hello").unwrap();
        assert_eq!((file.source.to_str(), file.path.as_str()), (Some("target/hello"), "/usr/bin/hello"));
        assert_eq!(parse_file("a:/b:4755").unwrap().mode, Some(0o4755));
        let owned = parse_file("a:/b:600:1000:1001").unwrap();
        assert_eq!((owned.mode, owned.uid, owned.gid), (Some(0o600), 1000, 1001));
        for text in ["a", "a:/b:rwx", "a:/b:77777", "a:/b:600:1000", "a:/b:600:me:me"] {
            assert!(parse_file(text).is_err(), "{text}");
        }
        assert_eq!(parse_pair("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(parse_pair("=b").is_err() && parse_pair("A").is_err());
    }

    #[test]
    fn the_default_architecture_is_one_that_this_machine_can_run() {
        let rust_name = match Arch::default() {
            Arch::Amd64 => "x86_64",
            Arch::ARM64 => "aarch64",
            other => panic!("tell this test how Rust calls {other}"),
        };
        assert_eq!(rust_name, std::env::consts::ARCH);
    }
}
