//! What an instance runs: the image's command and user, the environment, and what the process may do.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr as _;

use oci_spec::OciSpecError;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{
    Capabilities, Capability as OciCapability, LinuxCapabilities, LinuxCapabilitiesBuilder, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, UserBuilder,
};

use super::Instance;
use crate::function::{Capability, Spec};
use crate::host::{HostError, effective_environment};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How many open files a function's process may have by default, where the host allows that many.
pub const OPEN_FILES: u64 = 65_536;

/// Entrypoint and command, as the image has them.
pub(super) fn arguments(image: &ImageConfiguration) -> Result<Vec<String>, HostError> {
    let config = image.config().as_ref();
    let mut entrypoint = config.and_then(|config| config.entrypoint().clone()).unwrap_or_default();
    // Builders write one empty text where an image takes the entrypoint of its base away.
    if entrypoint == [""] {
        entrypoint.clear();
    }
    let command = config.and_then(|config| config.cmd().clone()).unwrap_or_default();
    let args: Vec<String> = entrypoint.into_iter().chain(command).collect();
    if args.first().is_none_or(String::is_empty) {
        return Err(HostError::Spec("the image has no entrypoint and no command: set one when it is built".into()));
    }
    Ok(args)
}

pub(super) fn process(instance: &Instance<'_>, arguments: Vec<String>) -> Result<Process, OciSpecError> {
    let Instance { image, spec, identity, machine, .. } = instance;
    let config = image.config().as_ref();
    let directory = config.and_then(|config| config.working_dir().clone()).unwrap_or_default();
    ProcessBuilder::default()
        .terminal(false)
        .args(arguments)
        .env(environment(image, spec))
        .cwd(Path::new("/").join(directory))
        .user(
            UserBuilder::default()
                .uid(identity.uid)
                .gid(identity.gid)
                .additional_gids(identity.groups.clone())
                .build()?,
        )
        .capabilities(capabilities(instance.capabilities)?)
        .rlimits([
            // What a program holds in memory, secrets among them, is not left on a disk, or given to the machine's own handler.
            limit(PosixRlimitType::RlimitCore, 0)?,
            limit(PosixRlimitType::RlimitNofile, machine.open_files)?,
        ])
        .no_new_privileges(true)
        .build()
}

fn limit(kind: PosixRlimitType, value: u64) -> Result<PosixRlimit, OciSpecError> {
    PosixRlimitBuilder::default().typ(kind).soft(value).hard(value).build()
}

/// What it may do of what root may. It is in every set, so that a user other than root has it, too, and what that user
/// executes. Where nothing is granted, root is a user like any other, but for what the files of the image give it.
fn capabilities(granted: &BTreeSet<Capability>) -> Result<LinuxCapabilities, OciSpecError> {
    let named = granted.iter().map(|one| OciCapability::from_str(one.as_str()));
    let all: Capabilities = named.collect::<Result<_, _>>().map_err(|error| OciSpecError::Other(error.to_string()))?;
    LinuxCapabilitiesBuilder::default()
        .bounding(all.clone())
        .effective(all.clone())
        .permitted(all.clone())
        .inheritable(all.clone())
        .ambient(all)
        .build()
}

/// The environment, with a `PATH` where neither image nor function has one. `PATH` comes first, as other engines have it.
fn environment(image: &ImageConfiguration, spec: &Spec) -> Vec<String> {
    let mut environment = effective_environment(image, spec);
    let path = environment.iter().position(|(name, _)| name == "PATH").map(|at| environment.remove(at));
    let path = path.unwrap_or_else(|| ("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    std::iter::once(path).chain(environment).map(|(name, value)| format!("{name}={value}")).collect()
}
