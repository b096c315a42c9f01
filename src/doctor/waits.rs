//! Two switches of the kernel that decide how long a start waits for it: moving a process into a control group waits until
//! every processor has passed a quiet moment (RCU). actord reads them and changes neither: they are for the whole machine.

use super::finding::Finding;
use super::source::Root;

const EXPEDITED: &str = "/sys/kernel/rcu_expedited";
const MORE: &str = "docs/operations.md says what it gains and costs";

/// How they are set.
#[derive(Debug)]
pub(super) struct Waits {
    /// Whether control groups are mounted with `favordynmods`; none where none are mounted.
    favours_moves: Option<bool>,
    /// What `rcu_expedited` says; none where it can't be read.
    expedited: Option<bool>,
}

impl Waits {
    pub(super) fn read(root: &Root) -> Self {
        let mounts = root.text("/proc/self/mountinfo").unwrap_or_default();
        let mut options = mounts.lines().filter_map(|line| line.split_once(" - cgroup")).map(|(_, options)| options);
        let any = mounts.contains(" - cgroup");
        let favours = options.any(|options| options.split([' ', ',']).any(|option| option == "favordynmods"));
        let expedited = root.text(EXPEDITED).map(|text| text.trim() != "0");
        Self { favours_moves: any.then_some(favours), expedited }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let favours = self.favours_moves.map(|on| match on {
            true => {
                Finding::ok("favordynmods", "on: moves into control groups are quick, forks and exits a little slower")
            }
            false => {
                Finding::ok("favordynmods", format!("off: moves into control groups wait for all processors; {MORE}"))
            }
        });
        let expedited = match self.expedited {
            Some(true) => Finding::ok("rcu_expedited", "on: such waits are short, and interrupt every processor"),
            Some(false) => Finding::ok("rcu_expedited", format!("off: such waits take milliseconds; {MORE}")),
            None => Finding::ok("rcu_expedited", "this kernel has no such switch"),
        };
        favours.into_iter().chain([expedited]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let (_dir, root) = tree(files);
        let all = Waits::read(&root).check();
        assert!(all.iter().all(|finding| finding.state == State::Ok && finding.remedy.is_none()), "{all:?}");
        all.into_iter().map(|finding| format!("{} {}", finding.check, finding.found)).collect()
    }

    #[test]
    fn either_is_told_as_it_is_and_never_a_fault() {
        let mounts = |options: &str| format!("41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw{options}\n");
        let all = found(&[("/proc/self/mountinfo", &mounts(",nsdelegate,favordynmods")), (EXPEDITED, "1\n")]);
        assert!(all[0].starts_with("favordynmods on") && all[1].starts_with("rcu_expedited on"), "{all:?}");
        let all = found(&[("/proc/self/mountinfo", &mounts(",nsdelegate")), (EXPEDITED, "0\n")]);
        assert!(all[0].starts_with("favordynmods off") && all[1].starts_with("rcu_expedited off"), "{all:?}");
        assert_eq!(found(&[]), ["rcu_expedited this kernel has no such switch"]);
    }
}
