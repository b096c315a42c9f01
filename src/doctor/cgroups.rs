//! Control groups: which versions are mounted, and whether what holds functions to their limits is in them.

use std::path::PathBuf;

use super::finding::Finding;
use super::source::Root;

/// What limits need, and what runc needs on version 1.
const NEEDED: [&str; 3] = ["memory", "cpu", "pids"];
/// What is missed only by those who use it.
const USEFUL: [&str; 2] = ["cpuset", "freezer"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    mount: String,
    unified: bool,
    writable: bool,
    controllers: Vec<String>,
}

/// What is known of the machine's control groups.
#[derive(Debug)]
pub(super) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
    /// Controllers of the kernel, and whether they are switched on: `/proc/cgroups`.
    kernel: Vec<(String, bool)>,
    parent: String,
}

impl Cgroups {
    /// `parent` is the group that functions' groups are made in.
    pub(super) fn read(root: &Root, parent: &str) -> Self {
        let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
        let kernel = root.text("/proc/cgroups").unwrap_or_default();
        let kernel = kernel.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.nth(2)? == "1"))
        });
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for hierarchy in mounts.lines().filter_map(|line| hierarchy(root, parent, line)) {
            if hierarchies.iter().all(|known| known.mount != hierarchy.mount) {
                hierarchies.push(hierarchy);
            }
        }
        Self { hierarchies, kernel: kernel.collect(), parent: parent.to_owned() }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let mut found = vec![self.version()];
        if self.hierarchies.is_empty() {
            return found;
        }
        let legacy = self.hierarchies.iter().any(|hierarchy| !hierarchy.unified && !hierarchy.controllers.is_empty());
        found.extend(NEEDED.iter().map(|name| self.controller(name, legacy, true)));
        if legacy {
            found.push(self.controller("devices", legacy, true));
        }
        // Version 2 freezes without a controller.
        let useful = USEFUL.iter().filter(|name| legacy || **name != "freezer");
        found.extend(useful.map(|name| self.controller(name, legacy, false)));
        found.extend(self.read_only());
        found
    }

    fn version(&self) -> Finding {
        let check = "cgroups";
        let unified = self.hierarchies.iter().any(|hierarchy| hierarchy.unified);
        let legacy = self.hierarchies.iter().any(|hierarchy| !hierarchy.unified && !hierarchy.controllers.is_empty());
        match (legacy, unified) {
            (false, true) => Finding::ok(check, "version 2"),
            (true, true) => Finding::ok(check, "hybrid: controllers of version 1, version 2 beside them"),
            (true, false) => Finding::ok(check, "version 1"),
            (false, false) => {
                Finding::failure(check, "no hierarchy is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            }
        }
    }

    fn controller(&self, name: &str, legacy: bool, needed: bool) -> Finding {
        let check = format!("cgroup {name}");
        let bad = if needed { Finding::failure } else { Finding::warning };
        if let Some(found) = self.hierarchies.iter().find(|hierarchy| hierarchy.controllers.iter().any(|is| is == name))
        {
            return Finding::ok(check, format!("in {}", found.mount));
        }
        match self.kernel.iter().find(|(known, _)| known == name) {
            Some((_, false)) => bad(
                check,
                "the kernel has it switched off".to_owned(),
                format!("add cgroup_enable={name} to GRUB_CMDLINE_LINUX in /etc/default/grub; update-grub && reboot"),
            ),
            Some((_, true)) if legacy => bad(
                check,
                "it is not mounted".to_owned(),
                format!("mkdir -p /sys/fs/cgroup/{name} && mount -t cgroup -o {name} cgroup /sys/fs/cgroup/{name}"),
            ),
            Some((_, true)) => bad(
                check,
                format!("it is not delegated to {}", self.parent),
                "systemctl edit actord, with the lines [Service] and Delegate=yes; in a container, give it the \
                 host's cgroup namespace"
                    .to_owned(),
            ),
            None => bad(check, "the kernel was built without it".to_owned(), super::kernel::install("")),
        }
    }

    fn read_only(&self) -> Option<Finding> {
        let first = self.hierarchies.iter().find(|hierarchy| !hierarchy.writable)?;
        let found = format!("{} is mounted read-only: no function's group can be made in it", first.mount);
        Some(Finding::failure("cgroup delegation", found, format!("mount -o remount,rw {}", first.mount)))
    }
}

/// The hierarchy that a line of `mountinfo` mounts, if it is one.
fn hierarchy(root: &Root, parent: &str, line: &str) -> Option<Hierarchy> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let (at, how) = (mount.next()?.to_owned(), mount.next()?);
    let mut kind = kind.split(' ');
    let (kind, options) = (kind.next()?, kind.nth(1)?);
    let controllers = match kind {
        "cgroup2" => offered(root, &at, parent),
        // What is no controller is an option or a name: nobody asks for it.
        "cgroup" => options.split(',').filter(|option| !matches!(*option, "rw" | "ro")).map(str::to_owned).collect(),
        _ => return None,
    };
    let named_only = |name: &String| name.starts_with("name=") || name == "xattr";
    let controllers = if controllers.iter().all(named_only) { Vec::new() } else { controllers };
    Some(Hierarchy {
        unified: kind == "cgroup2",
        writable: how.split(',').any(|option| option == "rw"),
        mount: at,
        controllers,
    })
}

/// The controllers of version 2 that groups in `parent` can have: those of the nearest group above that is there.
fn offered(root: &Root, mount: &str, parent: &str) -> Vec<String> {
    let group = PathBuf::from(mount).join(parent.trim_start_matches('/'));
    let nearest = group.ancestors().skip(1).find_map(|group| root.text(group.join("cgroup.controllers")));
    nearest.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const KERNEL: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\ncpu\t0\t1\t1\nmemory\t0\t1\t0\n\
        pids\t0\t1\t1\ndevices\t0\t1\t1\nfreezer\t0\t1\t1\n";

    fn check(files: &[(&str, &str)]) -> Vec<(String, State, String)> {
        let (_dir, root) = tree(files);
        let all = Cgroups::read(&root, "/actord").check();
        all.into_iter().map(|found| (found.check, found.state, found.remedy.unwrap_or(found.found))).collect()
    }

    fn of<'a>(all: &'a [(String, State, String)], check: &str) -> (State, &'a str) {
        let found = all.iter().find(|(name, ..)| name == check).unwrap();
        (found.1, &found.2)
    }

    #[test]
    fn version_2_with_all_controllers_is_well() {
        let all = check(&[
            ("/proc/self/mountinfo", V2),
            ("/proc/cgroups", KERNEL),
            ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"),
        ]);
        assert!(all.iter().all(|(_, state, _)| *state == State::Ok), "{all:?}");
        assert_eq!(of(&all, "cgroups"), (State::Ok, "version 2"));
    }

    #[test]
    fn a_hybrid_machine_needs_each_controller_mounted() {
        let line = |name: &str| format!("3 1 0:1 / /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}\n");
        let mounts = ["cpu", "memory", "pids", "cpuset", "name=systemd"].map(line).concat()
            + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let all = check(&[("/proc/self/mountinfo", &mounts), ("/proc/cgroups", KERNEL)]);
        assert!(of(&all, "cgroups").1.starts_with("hybrid"), "{all:?}");
        let (state, remedy) = of(&all, "cgroup devices");
        assert_eq!(state, State::Failure);
        assert!(remedy.ends_with("mount -t cgroup -o devices cgroup /sys/fs/cgroup/devices"), "{remedy}");
        assert_eq!(of(&all, "cgroup freezer").0, State::Warning);
        assert_eq!(of(&all, "cgroup memory").0, State::Ok);
    }

    #[test]
    fn a_controller_that_is_off_not_delegated_or_not_built_has_a_remedy_of_its_own() {
        let all = check(&[
            ("/proc/self/mountinfo", V2),
            ("/proc/cgroups", KERNEL),
            ("/sys/fs/cgroup/cgroup.controllers", "cpu"),
        ]);
        assert!(of(&all, "cgroup memory").1.contains("cgroup_enable=memory"), "{all:?}");
        assert!(of(&all, "cgroup pids").1.contains("Delegate=yes"), "{all:?}");
        assert_eq!(of(&all, "cgroup cpuset").0, State::Warning);
        let all = check(&[("/proc/self/mountinfo", V2), ("/sys/fs/cgroup/cgroup.controllers", "cpu memory")]);
        assert!(of(&all, "cgroup pids").1.contains("linux-image"), "{all:?}");
    }

    #[test]
    fn no_hierarchy_and_a_read_only_one_are_failures() {
        let none = check(&[]);
        assert_eq!(none, [("cgroups".into(), State::Failure, "mount -t cgroup2 cgroup2 /sys/fs/cgroup".into())]);
        let all = check(&[
            ("/proc/self/mountinfo", &V2.replace(" rw,nosuid", " ro,nosuid")),
            ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory pids"),
        ]);
        assert_eq!(of(&all, "cgroup delegation"), (State::Failure, "mount -o remount,rw /sys/fs/cgroup"));
    }
}
