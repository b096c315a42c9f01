//! How many more instances this machine takes: limits of the kernel that hundreds of them come near to.

use super::finding::Finding;
use super::source::Root;

/// How many ports the kernel's bridge takes.
const PORTS: usize = 1023;
/// Neighbour entries of an instance that is called, which the kernel counts for all network namespaces together: this machine's
/// address as the instance sees it. Its own as this machine sees it is there, too, but does not age and has no limit.
const NEIGHBOURS_EACH: usize = 1;
const NEIGHBOURS_MOST: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
const NEIGHBOURS_NOW: &str = "/proc/net/stat/arp_cache";

/// What is known of those limits.
#[derive(Debug)]
pub(super) struct Capacity {
    bridge: String,
    /// The instances that hang on the bridge; none where there is no bridge.
    ports: Option<usize>,
    /// Entries of the neighbour table: those that there are, and the most.
    neighbours: Option<(usize, usize)>,
}

impl Capacity {
    pub(super) fn read(root: &Root, bridge: &str) -> Self {
        let ports = format!("/sys/class/net/{bridge}/brif");
        let now = root.text(NEIGHBOURS_NOW).and_then(|text| entries(&text));
        let most = root.text(NEIGHBOURS_MOST).and_then(|text| text.trim().parse().ok());
        Self {
            bridge: bridge.to_owned(),
            ports: root.exists(&ports).then(|| root.names(&ports).len()),
            neighbours: now.zip(most),
        }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let ports = self.ports.unwrap_or(0);
        vec![self.ports(ports), self.neighbours(ports)]
    }

    fn ports(&self, ports: usize) -> Finding {
        let found = format!("{ports} of at most {PORTS} instances are on bridge {}", self.bridge);
        let remedy = "put functions on another machine, or on a second actord with a bridge of its own";
        if ports >= PORTS {
            Finding::failure("instances", format!("{found}: no other can be attached"), remedy)
        } else if nearly(ports, PORTS) {
            Finding::warning("instances", found, remedy)
        } else {
            Finding::ok("instances", found)
        }
    }

    fn neighbours(&self, ports: usize) -> Finding {
        let check = "neighbour table";
        let Some((now, most)) = self.neighbours else {
            return Finding::unknown(check, format!("{NEIGHBOURS_NOW} or {NEIGHBOURS_MOST} can't be read"));
        };
        let now = now.saturating_sub(ports);
        let found = format!("{now} of at most {most} entries; an instance takes {NEIGHBOURS_EACH}");
        if !nearly(now.max(ports * NEIGHBOURS_EACH), most) {
            return Finding::ok(check, found);
        }
        let (first, second, third) = (most, 4 * most, 8 * most);
        Finding::warning(
            check,
            format!("{found}: when it is full, calls to functions fail"),
            format!(
                "sysctl -w net.ipv4.neigh.default.gc_thresh3={third} net.ipv4.neigh.default.gc_thresh2={second} \
                 net.ipv4.neigh.default.gc_thresh1={first}, and the same in a file of /etc/sysctl.d"
            ),
        )
    }
}

/// Whether less than a fifth is left.
fn nearly(now: usize, most: usize) -> bool {
    now * 5 > most * 4
}

/// The entries of a kernel's table: the first column, in hexadecimal, the same in the line of every processor.
fn entries(statistics: &str) -> Option<usize> {
    usize::from_str_radix(statistics.lines().nth(1)?.split_whitespace().next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::super::source::tree;
    use super::*;

    fn capacity(ports: usize, now: usize, most: usize) -> Capacity {
        Capacity { bridge: "br7".into(), ports: Some(ports), neighbours: Some((now, most)) }
    }

    fn states(capacity: &Capacity) -> [State; 2] {
        let found = capacity.check();
        [found[0].state, found[1].state]
    }

    #[test]
    fn the_table_is_read_in_hexadecimal_and_ports_are_counted() {
        let statistics = "entries  allocs\n000003e9 00004e05\n000003e9 000046b6\n";
        let (_dir, root) = tree(&[
            (NEIGHBOURS_NOW, statistics),
            (NEIGHBOURS_MOST, "1024\n"),
            ("/sys/class/net/br7/brif/veth1", ""),
            ("/sys/class/net/br7/brif/veth2", ""),
        ]);
        let read = Capacity::read(&root, "br7");
        assert_eq!((read.ports, read.neighbours), (Some(2), Some((1001, 1024))));
        assert_eq!(states(&read), [State::Ok, State::Warning]);
        let remedy = read.check().remove(1).remedy.unwrap();
        assert!(remedy.contains("gc_thresh3=8192") && remedy.contains("/etc/sysctl.d"), "{remedy}");
        let (_dir, root) = tree(&[]);
        assert_eq!(states(&Capacity::read(&root, "br7")), [State::Ok, State::Unknown]);
    }

    #[test]
    fn entries_that_are_yet_to_come_count_as_those_that_are_there() {
        assert_eq!(states(&capacity(100, 30, 1024)), [State::Ok, State::Ok]);
        assert_eq!(states(&capacity(420, 440, 512)), [State::Ok, State::Warning]);
        assert_eq!(states(&capacity(420, 440, 8192)), [State::Ok, State::Ok]);
        assert_eq!(states(&capacity(420, 420 + 400, 1024)), [State::Ok, State::Ok], "what does not age is not counted");
    }

    #[test]
    fn a_bridge_that_is_full_is_a_failure_and_one_that_nearly_is_a_warning() {
        for (ports, state) in [(800, State::Ok), (900, State::Warning), (1023, State::Failure)] {
            assert_eq!(states(&capacity(ports, 0, 100_000))[0], state, "{ports}");
        }
    }
}
