//! The filter of system calls: a spec's profile, compiled once by libseccomp, loaded as often as a container is made.
//!
//! Compiling takes as long as the rest of making a container. Functions have the same profile but for what their capabilities
//! open, so there are few.

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator};
use rustix::io::Errno;

use super::fault::Fault;
use super::kernel::{self, Instruction};

/// The most filters that are kept.
const KEPT: usize = 8;

/// What was compiled, what was asked for last at the end.
#[derive(Debug, Default)]
pub(super) struct Compiled(Vec<(LinuxSeccomp, Filter)>);

/// A filter as the kernel takes it.
#[derive(Debug, Clone)]
pub(super) struct Filter(Vec<Instruction>);

impl Compiled {
    /// The filter of a profile.
    pub(super) fn of(&mut self, profile: &LinuxSeccomp) -> Result<&Filter, Fault> {
        match self.0.iter().position(|(known, _)| known == profile) {
            Some(at) => self.0[at..].rotate_left(1),
            None => {
                let filter = Filter::compile(profile)?;
                // The compiler needs much more than what comes out.
                kernel::trim_memory();
                if self.0.len() == KEPT {
                    self.0.remove(0);
                }
                self.0.push((profile.clone(), filter));
            }
        }
        self.0.last().map(|(_, filter)| filter).ok_or_else(|| Fault::request("no filter was compiled"))
    }
}

impl Filter {
    /// Compiles a profile.
    pub(super) fn compile(profile: &LinuxSeccomp) -> Result<Self, Fault> {
        let failed = |error| Fault::request(format!("compile the seccomp profile: {error}"));
        if profile.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
            return Err(Fault::request("compile the seccomp profile: flags are not known to this runtime"));
        }
        let default = action(profile.default_action(), profile.default_errno_ret())?;
        let mut filter = ScmpFilterContext::new(default).map_err(failed)?;
        for architecture in profile.architectures().iter().flatten() {
            filter.add_arch(arch(*architecture)?).map_err(failed)?;
        }
        for rule in profile.syscalls().iter().flatten() {
            let action = action(rule.action(), rule.errno_ret())?;
            if action == default {
                continue;
            }
            let conditions: Vec<_> = rule.args().iter().flatten().map(condition).collect();
            for name in rule.names() {
                // One that libseccomp does not know is none that the kernel was built with: it gets the default.
                let Ok(call) = ScmpSyscall::from_name(name) else { continue };
                match conditions.as_slice() {
                    [] => filter.add_rule(action, call).map_err(failed)?,
                    all if one_for_each_argument(rule.args()) => {
                        filter.add_rule_conditional(action, call, all).map_err(failed)?
                    }
                    // Of several conditions for one argument each is a rule of its own.
                    all => all.iter().try_fold(&mut filter, |filter, one| {
                        filter.add_rule_conditional(action, call, std::slice::from_ref(one)).map_err(failed)
                    })?,
                };
            }
        }
        let bytes = exported(&filter)
            .map_err(|error| Fault::request(format!("write the compiled seccomp profile: {error}")))?;
        Ok(Self(bytes.as_chunks().0.iter().map(|eight| Instruction(*eight)).collect()))
    }

    /// Has this process filtered.
    pub(super) fn load(&self) -> Result<(), Errno> {
        kernel::filter(&self.0, 0)
    }
}

fn exported(filter: &ScmpFilterContext) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let memory = rustix::fs::memfd_create("filter", rustix::fs::MemfdFlags::CLOEXEC)?;
    filter.export_bpf(&memory).map_err(std::io::Error::other)?;
    let (mut file, mut bytes) = (std::fs::File::from(memory), Vec::new());
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn one_for_each_argument(arguments: &Option<Vec<LinuxSeccompArg>>) -> bool {
    let mut seen = std::collections::HashSet::new();
    arguments.iter().flatten().all(|argument| seen.insert(argument.index()))
}

fn condition(argument: &LinuxSeccompArg) -> ScmpArgCompare {
    let compare = match argument.op() {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        // The first value is the mask, the second what has to come out.
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let mask = ScmpCompareOp::MaskedEqual(argument.value());
            return ScmpArgCompare::new(index(argument), mask, argument.value_two().unwrap_or(0));
        }
    };
    ScmpArgCompare::new(index(argument), compare, argument.value())
}

fn index(argument: &LinuxSeccompArg) -> u32 {
    u32::try_from(argument.index()).unwrap_or(u32::MAX)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction, Fault> {
    let errno = errno.and_then(|number| i32::try_from(number).ok()).unwrap_or(libc::EPERM);
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        other => {
            return Err(Fault::request(format!("compile the seccomp profile: {other} is not known to this runtime")));
        }
    })
}

fn arch(architecture: Arch) -> Result<ScmpArch, Fault> {
    Ok(match architecture {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchArm => ScmpArch::Arm,
        other => {
            return Err(Fault::request(format!("compile the seccomp profile: {other} is not known to this runtime")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_compiled_once() {
        let profile: LinuxSeccomp = serde_json::from_str(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount","no_such_call"],"action":"SCMP_ACT_ERRNO"}]}"#,
        )
        .unwrap();
        let mut compiled = Compiled::default();
        let first = compiled.of(&profile).unwrap().0.as_ptr();
        assert_eq!(compiled.of(&profile).unwrap().0.as_ptr(), first);
        assert!(compiled.of(&profile).unwrap().0.len() > 3);
    }

    #[test]
    fn those_that_were_asked_for_last_are_kept() {
        let profile = |call: usize| -> LinuxSeccomp {
            let text =
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ERRNO"}]}"#;
            let mut profile: LinuxSeccomp = serde_json::from_str(text).unwrap();
            let mut rules = profile.syscalls().clone().unwrap();
            rules[0].set_errno_ret(u32::try_from(call).ok());
            profile.set_syscalls(Some(rules));
            profile
        };
        let mut compiled = Compiled::default();
        let first = compiled.of(&profile(1)).unwrap().0.as_ptr();
        for other in 2..=KEPT {
            compiled.of(&profile(other)).unwrap();
        }
        assert_eq!(compiled.of(&profile(1)).unwrap().0.as_ptr(), first);
        compiled.of(&profile(KEPT + 1)).unwrap();
        assert_eq!(compiled.0.len(), KEPT);
        assert!(!compiled.0.iter().any(|(known, _)| *known == profile(2)), "the one that was asked for longest ago");
        assert_eq!(compiled.of(&profile(1)).unwrap().0.as_ptr(), first);
    }

    #[test]
    fn what_is_not_known_is_refused_and_not_left_out() {
        for text in [
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_MIPS"]}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}"#,
        ] {
            let profile: LinuxSeccomp = serde_json::from_str(text).unwrap();
            assert!(Filter::compile(&profile).is_err(), "{text}");
        }
    }
}
