//! Whether functions can have user namespaces here, and whether the numbers that they get are nobody else's.

use std::ops::Range;

use super::finding::Finding;
use super::kernel::install;
use super::source::Root;
use crate::config::Config;
use crate::function::Capability;
use crate::host::IdMapping;

const CHECK: &str = "user namespaces";
const MOST: &str = "/proc/sys/user/max_user_namespaces";

/// The snapshotters that keep images as plain directories.
const SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];

/// The capabilities that do something in a user namespace; others are about what belongs to the machine.
const WORK: [&str; 13] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_PTRACE",
];

/// What is known of them.
#[derive(Debug)]
pub(super) struct UserNamespaces {
    on: bool,
    ids: IdMapping,
    /// Why this machine has none, and what to do.
    lacking: Option<(String, String)>,
    /// Who has some of the numbers, by their files.
    taken: Vec<String>,
    /// Capabilities that functions may ask for, and that do nothing in a user namespace.
    idle: Vec<Capability>,
}

impl UserNamespaces {
    pub(super) fn read(root: &Root, config: &Config) -> Self {
        let Config { user_namespaces, user_namespace_ids, snapshotter, capabilities, .. } = config;
        Self::of(root, *user_namespaces, *user_namespace_ids, snapshotter, capabilities)
    }

    fn of(root: &Root, on: bool, ids: IdMapping, snapshotter: &str, capabilities: &[Capability]) -> Self {
        let works = |one: &&Capability| WORK.contains(&one.as_str().trim_start_matches("CAP_"));
        let idle = capabilities.iter().filter(|one| !works(one)).copied().collect();
        Self { on, ids, lacking: lacking(root, ids, snapshotter), taken: taken(root, ids), idle }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let Self { ids, .. } = self;
        let first = match &self.lacking {
            Some((why, remedy)) if self.on => Finding::failure(CHECK, why, remedy),
            Some((why, _)) => Finding::ok(CHECK, format!("{why}; not needed, user-namespaces is off")),
            None if !self.on => Finding::ok(CHECK, "can be had, user-namespaces is off"),
            None if self.taken.is_empty() => Finding::ok(CHECK, format!("on, users are mapped to {ids}")),
            None => Finding::warning(
                CHECK,
                format!("users are mapped to {ids}, of which others have some: {}", self.taken.join(", ")),
                "set user-namespace-ids to numbers that nobody has; images are copied anew for them",
            ),
        };
        let idle: Vec<&str> = self.idle.iter().map(|one| one.as_str()).collect();
        let idle = (self.on && !idle.is_empty()).then(|| {
            Finding::warning(
                "capabilities",
                format!(
                    "{} can do nothing in a user namespace: networks, mounts and devices are the machine's",
                    idle.join(", ")
                ),
                "take them off capabilities, or switch user-namespaces off",
            )
        });
        [Some(first), idle].into_iter().flatten().collect()
    }
}

/// Why an actord with these settings can't start on this machine for what they say of user namespaces; none: it can.
#[must_use]
pub fn refuses_user_namespaces(root: &Root, config: &Config) -> Option<String> {
    let lacking = lacking(root, config.user_namespace_ids, &config.snapshotter).filter(|_| config.user_namespaces);
    lacking.map(|(why, remedy)| format!("user-namespaces is on, and {why}: {remedy}, or switch it off"))
}

/// Why functions can't have user namespaces on this machine, and what mends it.
fn lacking(root: &Root, ids: IdMapping, snapshotter: &str) -> Option<(String, String)> {
    let release = root.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !root.exists("/proc/self/ns/user") {
        return Some(("the kernel has no user namespaces".to_owned(), install(release.trim())));
    }
    if root.text(MOST).is_some_and(|most| most.trim() == "0") {
        let why = format!("{MOST} is 0: none may be made");
        return Some((
            why,
            "sysctl -w user.max_user_namespaces=65536, and the same in a file of /etc/sysctl.d".to_owned(),
        ));
    }
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        if root.text(map).is_some_and(|text| !covers(&text, ids)) {
            let why = format!("actord is in a user namespace itself, which has not all of {ids} ({map})");
            return Some((
                why,
                "set user-namespace-ids to numbers that it has, or run actord outside of it".to_owned(),
            ));
        }
    }
    if !SNAPSHOTTERS.contains(&snapshotter) {
        let why = format!("the snapshotter {snapshotter} keeps no plain directories, which images are copied into");
        return Some((why, "set snapshotter to overlayfs".to_owned()));
    }
    None
}

fn range(first: u32, count: u32) -> Range<u64> {
    u64::from(first)..u64::from(first) + u64::from(count)
}

/// Whether a map of the kernel's has all of these numbers.
fn covers(map: &str, ids: IdMapping) -> bool {
    let wanted = range(ids.first(), ids.count());
    map.lines().any(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let has = |inside: u32, count: u32| {
            let has = range(inside, count);
            has.start <= wanted.start && wanted.end <= has.end
        };
        matches!(numbers[..], [inside, _, count] if has(inside, count))
    })
}

/// Users, groups and their subordinate numbers that are among these, one for each file.
fn taken(root: &Root, ids: IdMapping) -> Vec<String> {
    let wanted = range(ids.first(), ids.count());
    // Where a number stands in a line, and where how many follow.
    [("passwd", 2, None), ("group", 2, None), ("subuid", 1, Some(2)), ("subgid", 1, Some(2))]
        .into_iter()
        .filter_map(|(file, first, count)| {
            let text = root.text(format!("/etc/{file}"))?;
            let line = text.lines().find(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let number = |at: usize| fields.get(at).and_then(|field| field.trim().parse::<u32>().ok());
                let has = number(first).map(|first| range(first, count.map_or(1, |at| number(at).unwrap_or(0))));
                has.is_some_and(|has| has.start < wanted.end && wanted.start < has.end)
            })?;
            Some(format!("{} (/etc/{file})", line.split(':').next().unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    const WHOLE: &str = "         0          0 4294967295\n";
    const ABLE: [(&str, &str); 4] =
        [("/proc/self/ns/user", ""), ("/proc/self/uid_map", WHOLE), ("/proc/self/gid_map", WHOLE), (MOST, "96365\n")];

    fn check(files: &[(&str, &str)], on: bool, snapshotter: &str) -> Finding {
        let (_dir, root) = tree(files);
        let found = UserNamespaces::of(&root, on, "100000:65536".parse().unwrap(), snapshotter, &[]);
        found.check().remove(0)
    }

    fn able_but(path: &'static str, text: &'static str) -> Vec<(&'static str, &'static str)> {
        ABLE.into_iter().filter(|(name, _)| *name != path).chain([(path, text)]).collect()
    }

    #[test]
    fn a_machine_that_can_not_is_told_with_why_and_what_mends_it_if_it_is_to() {
        assert_eq!(check(&ABLE, true, "overlayfs").state, State::Ok);
        assert!(check(&ABLE, false, "overlayfs").found.contains("can be had"));
        for (files, snapshotter, why, remedy) in [
            (ABLE[1..].to_vec(), "overlayfs", "kernel has no user namespaces", "linux-image"),
            (able_but(MOST, "0\n"), "overlayfs", "max_user_namespaces is 0", "sysctl -w"),
            (
                able_but("/proc/self/gid_map", "0 1000 100000\n"),
                "overlayfs",
                "/proc/self/gid_map",
                "user-namespace-ids",
            ),
            (ABLE.to_vec(), "devmapper", "devmapper", "overlayfs"),
        ] {
            let found = check(&files, true, snapshotter);
            assert!(found.state == State::Failure && found.found.contains(why), "{found:?}");
            assert!(found.remedy.as_ref().unwrap().contains(remedy), "{found:?}");
            let off = check(&files, false, snapshotter);
            assert!(off.state == State::Ok && off.found.contains("not needed"), "{off:?}");
        }
        let inner = able_but("/proc/self/uid_map", "0 1000 1\n100000 200000 65536\n");
        assert_eq!(check(&inner, true, "overlayfs").state, State::Ok, "one range is enough");
    }

    #[test]
    fn numbers_that_others_have_are_told_with_whose_they_are() {
        for (file, text, whose) in [
            ("/etc/passwd", "root:x:0:0::/:\nfar:x:165535:1::/:\n", Some("far (/etc/passwd)")),
            ("/etc/passwd", "root:x:0:0::/:\nnear:x:99999:1::/:\nbeyond:x:165536:1::/:\nbroken\n", None),
            ("/etc/group", "far:x:100000:\n", Some("far (/etc/group)")),
            ("/etc/subuid", "me:65536:65536\n", Some("me (/etc/subuid)")),
            ("/etc/subgid", "me:34464:65536\nyou:165536:65536\n", None),
        ] {
            let found = check(&[&ABLE[..], &[(file, text)]].concat(), true, "overlayfs");
            match whose {
                Some(whose) => assert!(found.state == State::Warning && found.found.contains(whose), "{found:?}"),
                None => assert_eq!(found.state, State::Ok, "{file} {text}"),
            }
        }
    }

    #[test]
    fn capabilities_that_do_nothing_in_a_user_namespace_are_told_where_there_are_some() {
        let (_dir, root) = tree(&ABLE);
        let listed = ["CHOWN", "NET_RAW", "SYS_CHROOT", "NET_ADMIN"].map(|name| name.parse().unwrap());
        let ids = "100000:65536".parse().unwrap();
        let found = |on, listed: &[Capability]| UserNamespaces::of(&root, on, ids, "overlayfs", listed).check();
        let warned = found(true, &listed).remove(1);
        assert!(warned.state == State::Warning && warned.found.starts_with("NET_RAW, NET_ADMIN can"), "{warned:?}");
        assert_eq!((found(false, &listed).len(), found(true, &listed[..1]).len()), (1, 1));
    }
}
