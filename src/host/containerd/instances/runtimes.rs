//! The OCI runtimes of this machine, and how containerd is told which one an instance has.
//!
//! | runtime | shim | program |
//! | --- | --- | --- |
//! | `builtin` | actord itself, under a shim's name | none: the shim makes containers |
//! | `runc` | containerd's own, `io.containerd.runc.v2` | the `runc` in containerd's `PATH`, or the listed one |
//! | any other | the same | the listed one |

use std::collections::BTreeMap;
use std::path::PathBuf;

use containerd_client::services::v1::container::Runtime;
use prost_types::Any;

use crate::function::{Invalid, RuntimeName, RuntimeNames, Spec};
use crate::host::HostError;

/// The shim of containerd that runs a program with the command line of runc.
const RUNC_SHIM: &str = "io.containerd.runc.v2";

/// The name under which actord is a shim.
pub const BUILTIN_SHIM: &str = "containerd-shim-actord-v1";

/// How the kind of both shims' options is called.
const OPTIONS: &str = "containerd.runc.v1.Options";

/// Runtimes that bring no network stack of their own, by what their programs' names begin with.
const ON_THE_KERNEL: [&str; 3] = ["runc", "crun", "youki"];

/// The runtimes that functions may have.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// What they are called, and which one is the default.
    pub names: RuntimeNames,
    /// The programs of those that were listed with a path.
    pub programs: BTreeMap<RuntimeName, PathBuf>,
    /// The shim of the built-in one: an absolute path whose last part is [`BUILTIN_SHIM`], a link to this program.
    pub builtin_shim: PathBuf,
    /// How many shims the functions of the built-in one share.
    pub shards: usize,
}

impl Runtimes {
    /// The runtime of a function, as its container's record names it.
    pub(super) fn of(&self, spec: &Spec, root: &str) -> Result<Runtime, HostError> {
        let name = self.names.of(spec).map_err(|Invalid(reason)| HostError::Spec(reason))?;
        if name.as_str() == RuntimeName::BUILTIN {
            return Ok(record(self.builtin_shim.to_string_lossy().into_owned(), String::new(), root));
        }
        let program = self.programs.get(&name).map(|path| path.to_string_lossy().into_owned());
        match program {
            Some(program) => Ok(record(RUNC_SHIM.to_owned(), program, root)),
            None if name.is_known() => Ok(record(RUNC_SHIM.to_owned(), String::new(), root)),
            None => Err(HostError::Failed(format!("the runtime {name} is listed without the path of its program"))),
        }
    }
}

/// runc's options, of which containerd-client generates nothing.
#[derive(Clone, PartialEq, prost::Message)]
struct RuncOptions {
    /// The program that is run for it; empty for runc.
    #[prost(string, tag = "6")]
    binary_name: String,
    /// Where runc keeps its state. Its default is shared by every containerd of the machine.
    #[prost(string, tag = "7")]
    root: String,
}

fn record(name: String, binary_name: String, root: &str) -> Runtime {
    let options = prost::Message::encode_to_vec(&RuncOptions { binary_name, root: root.to_owned() });
    Runtime { name, options: Some(Any { type_url: OPTIONS.to_owned(), value: options }) }
}

/// Whether it is actord's own.
pub(super) fn is_builtin(runtime: &Runtime) -> bool {
    runtime.name.ends_with(BUILTIN_SHIM)
}

/// Whether its processes use the network of this machine's kernel, in a namespace of their own. Those in a sandbox such as
/// gVisor's bring a network stack with them.
pub(super) fn uses_kernel_network(runtime: &Runtime) -> bool {
    if is_builtin(runtime) {
        return true;
    }
    let options = runtime.options.as_ref().map(|options| options.value.as_slice()).unwrap_or_default();
    let program = <RuncOptions as prost::Message>::decode(options).unwrap_or_default().binary_name;
    let program = program.rsplit('/').next().unwrap_or_default();
    // Followed by a version, perhaps.
    let is = |kind: &str| program.strip_prefix(kind).is_some_and(|rest| !rest.starts_with(char::is_alphabetic));
    runtime.name == RUNC_SHIM && (program.is_empty() || ON_THE_KERNEL.into_iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::SpecDraft;

    fn spec(runtime: Option<&str>) -> Spec {
        let annotations = runtime.map(|name| ("actord.runtime".to_owned(), name.to_owned())).into_iter().collect();
        SpecDraft { image: "i".into(), annotations, ..SpecDraft::default() }.try_into().unwrap()
    }

    fn runtimes() -> Runtimes {
        let name = |text: &str| text.parse::<RuntimeName>().unwrap();
        Runtimes {
            names: RuntimeNames::new(name("runc"), ["gvisor", "builtin"].map(name)),
            programs: [(name("gvisor"), "/usr/bin/runsc".into())].into(),
            builtin_shim: "/run/a/bin/containerd-shim-actord-v1".into(),
            shards: 4,
        }
    }

    fn of(runtime: Option<&str>) -> Result<(String, RuncOptions), HostError> {
        let record = runtimes().of(&spec(runtime), "/r")?;
        let options = record.options.unwrap();
        assert_eq!(options.type_url, OPTIONS);
        Ok((record.name, prost::Message::decode(options.value.as_slice()).unwrap()))
    }

    #[test]
    fn a_container_s_record_names_the_shim_the_program_and_where_it_keeps_its_state() {
        let options = |program: &str| RuncOptions { binary_name: program.to_owned(), root: "/r".to_owned() };
        assert_eq!(of(None), Ok((RUNC_SHIM.to_owned(), options(""))));
        assert_eq!(of(Some("gvisor")), Ok((RUNC_SHIM.to_owned(), options("/usr/bin/runsc"))));
        assert_eq!(of(Some("builtin")), Ok(("/run/a/bin/containerd-shim-actord-v1".to_owned(), options(""))));
    }

    #[test]
    fn a_runtime_that_is_not_listed_any_more_is_refused_with_those_that_are() {
        let HostError::Spec(reason) = of(Some("kata")).unwrap_err() else { panic!("the caller's to mend") };
        assert!(reason.contains("actord.runtime=kata") && reason.contains("builtin, gvisor, runc"), "{reason}");
    }

    #[test]
    fn only_what_is_known_to_do_so_uses_the_kernels_network() {
        for (name, program, expected) in [
            (RUNC_SHIM, "", true),
            (RUNC_SHIM, "runc", true),
            (RUNC_SHIM, "/usr/sbin/runc", true),
            (RUNC_SHIM, "/opt/runc-1.2", true),
            (RUNC_SHIM, "/usr/bin/crun", true),
            (RUNC_SHIM, "/usr/bin/runsc", false),
            (RUNC_SHIM, "/usr/bin/runcvm", false),
            ("/run/a/bin/containerd-shim-actord-v1", "", true),
            ("io.containerd.runsc.v1", "", false),
            ("io.containerd.kata.v2", "", false),
        ] {
            assert_eq!(uses_kernel_network(&record(name.into(), program.into(), "/r")), expected, "{name} {program}");
        }
    }
}
