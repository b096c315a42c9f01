//! The numbers of users and groups in a container that has a user namespace of its own: 0 and those after it stand for as many
//! of the machine's, which no user of the machine has.
//!
//! ```text
//! groups, mounts, new root ... as the machine's root -> a new namespace of users -> the server writes its map -> its user
//! ```
//! The namespace comes last, so all others belong to the machine's: root in the container is not theirs. What is made in the
//! container's tree before belongs to the container's root all the same ([`Ids::make_as_root`]).

use std::fs;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};
use rustix::io::Errno;
use rustix::process::Pid;

use super::fault::Fault;
use super::kernel;

/// Which numbers of the machine those of a container are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    /// The one that 0 is.
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Ids {
    /// What a spec says; none where it asks for no namespace of users.
    pub(super) fn of(linux: &Linux) -> Result<Option<Self>, Fault> {
        let namespaces = linux.namespaces().iter().flatten();
        let mut own = namespaces.filter(|namespace| namespace.typ() == LinuxNamespaceType::User);
        let maps = [linux.uid_mappings(), linux.gid_mappings()];
        match (own.next(), maps.map(|map| map.as_deref().unwrap_or_default())) {
            (None, [[], []]) => Ok(None),
            (Some(namespace), [[users], [groups]]) if namespace.path().is_none() && users == groups => {
                Self::all_of(users).map(Some)
            }
            _ => Err(Fault::request("this mapping of users: not known to this runtime")),
        }
    }

    fn all_of(map: &LinuxIdMapping) -> Result<Self, Fault> {
        let (first, count) = (map.host_id(), map.size());
        match map.container_id() == 0 && count > 0 && first.checked_add(count).is_some() {
            true => Ok(Self { first, count }),
            false => Err(Fault::request("this mapping of users: not known to this runtime")),
        }
    }

    /// A number of the container's, as the machine has it.
    pub(super) fn on_the_machine(self, number: u32) -> Result<u32, Errno> {
        if number < self.count { Ok(self.first + number) } else { Err(Errno::INVAL) }
    }

    /// An option of a mount, whose numbers are the container's, as the machine's root has to say it.
    pub(super) fn option(self, option: &str) -> Result<String, Errno> {
        match option.split_once('=') {
            Some((key @ ("uid" | "gid"), number)) => {
                let number = number.parse().map_err(|_| Errno::INVAL)?;
                Ok(format!("{key}={}", self.on_the_machine(number)?))
            }
            _ => Ok(option.to_owned()),
        }
    }

    /// From here on, what this process makes in file systems belongs to the container's root. It may do what it may do.
    pub(super) fn make_as_root(self) -> Result<(), Errno> {
        kernel::make_files_as(self.first)
    }

    /// Writes the map of a process that went into a new namespace of users. Only one outside of it may.
    pub(super) fn write_for(self, pid: Pid) -> Result<(), Fault> {
        let line = format!("0 {} {}", self.first, self.count);
        for name in ["uid_map", "gid_map"] {
            let path = format!("/proc/{pid}/{name}");
            fs::write(&path, &line).map_err(|error| {
                let doing = format!("error during container init: write \"{line}\": write {path}");
                Fault::setup(doing)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(linux: &str) -> Result<Option<Ids>, Fault> {
        Ids::of(&serde_json::from_str(linux).unwrap())
    }

    #[test]
    fn a_namespace_of_users_has_one_map_for_users_and_groups_that_begins_with_root() {
        let map = r#"[{"containerID":0,"hostID":100000,"size":65536}]"#;
        let user = r#""namespaces":[{"type":"pid"},{"type":"user"}]"#;
        let own = of(&format!(r#"{{{user},"uidMappings":{map},"gidMappings":{map}}}"#)).unwrap();
        assert_eq!(own, Some(Ids { first: 100_000, count: 65_536 }));
        assert_eq!(of(r#"{"namespaces":[{"type":"pid"}]}"#).unwrap(), None);
        let other = map.replace("100000", "200000");
        let shifted = map.replace("\"containerID\":0", "\"containerID\":1");
        let beyond = map.replace("100000", "4294967295");
        let two = r#"[{"containerID":0,"hostID":1,"size":1},{"containerID":1,"hostID":5,"size":1}]"#;
        let joined = user.replace(r#""type":"user""#, r#""type":"user","path":"/proc/1/ns/user""#);
        for linux in [
            format!("{{{user}}}"),
            format!(r#"{{"uidMappings":{map},"gidMappings":{map}}}"#),
            format!(r#"{{{user},"uidMappings":{map}}}"#),
            format!(r#"{{{user},"uidMappings":{map},"gidMappings":{other}}}"#),
            format!(r#"{{{user},"uidMappings":{shifted},"gidMappings":{shifted}}}"#),
            format!(r#"{{{user},"uidMappings":{beyond},"gidMappings":{beyond}}}"#),
            format!(r#"{{{user},"uidMappings":{two},"gidMappings":{two}}}"#),
            format!(r#"{{{joined},"uidMappings":{map},"gidMappings":{map}}}"#),
        ] {
            assert!(of(&linux).unwrap_err().text.contains("this runtime"), "{linux}");
        }
    }

    #[test]
    fn the_options_of_a_mount_say_the_machines_numbers_and_none_that_is_not_mapped() {
        let ids = Ids { first: 100_000, count: 10 };
        for (option, expected) in
            [("gid=5", Ok("gid=100005")), ("uid=0", Ok("uid=100000")), ("mode=755", Ok("mode=755")), ("ro", Ok("ro"))]
        {
            assert_eq!(ids.option(option), expected.map(str::to_owned), "{option}");
        }
        assert_eq!(ids.option("uid=10"), Err(Errno::INVAL));
        assert_eq!(ids.option("gid=x"), Err(Errno::INVAL));
    }
}
