//! The kernel: its version, and whether it has what containers and their network are made of.
//!
//! A feature is there if its module is loaded or built in, or lies in `/lib/modules` to be loaded. The kernel's own
//! configuration decides where it can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use flate2::read::GzDecoder;

use super::finding::{Finding, State};
use super::firewall::Variant;
use super::source::{Root, version_in};

/// The first kernel with `pidfd_open`, by which actord holds its containerd.
const OLDEST: (u32, u32) = (5, 3);

/// The kinds of namespaces that each function gets one of.
const NAMESPACES: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

/// Something that a kernel is built with or without.
struct Feature {
    name: &'static str,
    /// Its option, less `CONFIG_`.
    option: &'static str,
    module: &'static str,
}

const fn feature(name: &'static str, option: &'static str, module: &'static str) -> Feature {
    Feature { name, option, module }
}

const OVERLAY: Feature = feature("overlayfs", "OVERLAY_FS", "overlay");
const LINKS: [Feature; 2] = [feature("bridge", "BRIDGE", "bridge"), feature("veth", "VETH", "veth")];
/// What holds a function to its own addresses.
const FILTERS: [Feature; 2] =
    [feature("cls_bpf", "NET_CLS_BPF", "cls_bpf"), feature("sch_ingress", "NET_SCH_INGRESS", "sch_ingress")];
/// What the plugins' rules are made of, whichever iptables writes them.
const RULES: [Feature; 5] = [
    feature("connection tracking", "NF_CONNTRACK", "nf_conntrack"),
    feature("address translation", "NF_NAT", "nf_nat"),
    feature("iptables target MASQUERADE", "NETFILTER_XT_TARGET_MASQUERADE", "xt_MASQUERADE"),
    feature("iptables match comment", "NETFILTER_XT_MATCH_COMMENT", "xt_comment"),
    feature("iptables match conntrack", "NETFILTER_XT_MATCH_CONNTRACK", "xt_conntrack"),
];
const NFT: [Feature; 2] =
    [feature("nf_tables", "NF_TABLES", "nf_tables"), feature("nft_compat", "NFT_COMPAT", "nft_compat")];
const LEGACY: [Feature; 2] =
    [feature("iptable_filter", "IP_NF_FILTER", "iptable_filter"), feature("iptable_nat", "IP_NF_NAT", "iptable_nat")];

/// Whether the kernel has a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Yes,
    No,
    /// Neither its configuration nor its modules can be seen.
    Unseen,
}

/// What is known of the kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    release: String,
    /// `y` or `m` by option; none where the configuration can't be read.
    options: Option<BTreeMap<String, String>>,
    loaded: BTreeSet<String>,
    /// What `/lib/modules` has for this release; none where it has nothing.
    on_disk: Option<BTreeSet<String>>,
    /// Whether `/lib/modules` has another release.
    another_on_disk: bool,
    filesystems: String,
    namespaces: BTreeSet<String>,
    seccomp: bool,
}

impl Kernel {
    pub(super) fn read(root: &Root) -> Self {
        let release = root.text("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let lists = ["modules.dep", "modules.builtin"].map(|name| root.text(format!("/lib/modules/{release}/{name}")));
        let on_disk = lists.iter().flatten().flat_map(|list| list.lines()).map(module_name).collect();
        Self {
            options: configuration(root, &release).map(|text| options(&text)),
            loaded: root.names("/sys/module"),
            on_disk: Some(on_disk).filter(|_| lists.iter().any(Option::is_some)),
            another_on_disk: root.names("/lib/modules").iter().any(|other| *other != release),
            filesystems: root.text("/proc/filesystems").unwrap_or_default(),
            namespaces: root.names("/proc/self/ns"),
            seccomp: root.exists("/proc/sys/kernel/seccomp/actions_avail"),
            release,
        }
    }

    /// `overlay`: whether functions' root file systems are overlays. `iptables`: which variant the plugins run.
    pub(super) fn check(&self, overlay: bool, iptables: Option<Variant>) -> Vec<Finding> {
        let mut found = vec![self.version(), self.namespaces(), self.seccomp()];
        if overlay {
            let mounted = self.filesystems.split_whitespace().any(|word| word == "overlay");
            found.push(if mounted {
                Finding::ok(OVERLAY.name, "there")
            } else {
                self.features(OVERLAY.name, &[OVERLAY])
            });
        }
        found.extend(LINKS.iter().map(|link| self.features(link.name, std::slice::from_ref(link))));
        found.push(match self.features("filters of links", &FILTERS) {
            missing if missing.state == State::Failure => {
                let found = format!("{}: a function with CAP_NET_RAW may send by another's address", missing.found);
                Finding { state: State::Warning, found, ..missing }
            }
            other => other,
        });
        found.push(self.features("netfilter", &RULES));
        for (variant, name, features) in
            [(Variant::Nft, "iptables over nftables", &NFT), (Variant::Legacy, "iptables, legacy kind", &LEGACY)]
        {
            // The kernel need not have the kind that nobody uses.
            found.push(match self.features(name, features) {
                finding if iptables == Some(variant) || finding.remedy.is_none() => finding,
                finding => Finding::ok(name, format!("{}; not needed, the plugins use the other kind", finding.found)),
            });
        }
        found
    }

    fn version(&self) -> Finding {
        let (release, check) = (&self.release, "kernel");
        match version_in(release) {
            None => Finding::unknown(check, "its version can't be read from /proc/sys/kernel/osrelease"),
            Some(version) if version < OLDEST => {
                let (major, minor) = OLDEST;
                Finding::failure(check, format!("{release} is older than {major}.{minor}"), install(release))
            }
            Some(_) => Finding::ok(check, release.clone()),
        }
    }

    fn namespaces(&self) -> Finding {
        let check = "namespaces";
        let missing: Vec<&str> = NAMESPACES.into_iter().filter(|kind| !self.namespaces.contains(*kind)).collect();
        if self.namespaces.is_empty() {
            Finding::unknown(check, "/proc/self/ns can't be read")
        } else if missing.is_empty() {
            Finding::ok(check, NAMESPACES.join(" "))
        } else {
            Finding::failure(check, format!("the kernel has none for {}", missing.join(", ")), install(&self.release))
        }
    }

    fn seccomp(&self) -> Finding {
        if self.seccomp {
            return Finding::ok("seccomp", "there");
        }
        let remedy = install(&self.release);
        Finding::failure("seccomp", "the kernel can't filter system calls, and runc starts nothing without", remedy)
    }

    /// All of them under one name.
    fn features(&self, check: &str, features: &[Feature]) -> Finding {
        let which = |wanted| {
            let names = features.iter().filter(|feature| self.has(feature) == wanted).map(|feature| feature.name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (missing, unseen) = (which(Has::No), which(Has::Unseen));
        if !missing.is_empty() {
            let gone = self.on_disk.is_none() && self.another_on_disk;
            let (why, remedy) = match gone {
                true => (" (an upgrade replaced the running kernel's modules)", "reboot".to_owned()),
                false => ("", install(&self.release)),
            };
            Finding::failure(check, format!("kernel {} has no {missing}{why}", self.release), remedy)
        } else if !unseen.is_empty() {
            let why = "neither the kernel's configuration nor its modules can be seen";
            Finding::unknown(check, format!("{unseen}: {why}"))
        } else {
            Finding::ok(check, "there")
        }
    }

    fn has(&self, feature: &Feature) -> Has {
        let listed = |modules: &BTreeSet<String>| modules.contains(feature.module);
        if listed(&self.loaded) || self.on_disk.as_ref().is_some_and(listed) {
            return Has::Yes;
        }
        match &self.options {
            Some(options) => match options.get(feature.option).map(String::as_str) {
                Some("y") => Has::Yes,
                _ => Has::No,
            },
            None if self.on_disk.is_some() || self.another_on_disk => Has::No,
            None => Has::Unseen,
        }
    }
}

/// A kernel with everything, by Debian's name for the machine.
pub(super) fn install(release: &str) -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // A cloud image's kernel is replaced by its own kind.
    let kind = if release.contains("cloud") { "cloud-" } else { "" };
    format!("apt-get install linux-image-{kind}{machine} && reboot")
}

fn configuration(root: &Root, release: &str) -> Option<String> {
    let mut text = String::new();
    let packed = File::open(root.at("/proc/config.gz")).ok();
    match packed.map(|file| GzDecoder::new(file).read_to_string(&mut text)) {
        Some(Ok(_)) => Some(text),
        _ => root.text(format!("/boot/config-{release}")),
    }
}

fn options(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='));
    lines.map(|(option, value)| (option.to_owned(), value.to_owned())).collect()
}

/// `kernel/net/bridge/bridge.ko.xz: …` is `bridge`. Files write `-` where the kernel writes `_`.
fn module_name(line: &str) -> String {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split(".ko").next().unwrap_or_default().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::super::source::tree;
    use super::*;

    const RELEASE: (&str, &str) = ("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    const ALL: &str = "CONFIG_OVERLAY_FS=m\nCONFIG_BRIDGE=y\nCONFIG_VETH=y\nCONFIG_NF_CONNTRACK=y\nCONFIG_NF_NAT=y\n\
        CONFIG_NETFILTER_XT_TARGET_MASQUERADE=y\nCONFIG_NETFILTER_XT_MATCH_COMMENT=y\n\
        CONFIG_NETFILTER_XT_MATCH_CONNTRACK=y\nCONFIG_NF_TABLES=y\nCONFIG_NFT_COMPAT=y\nCONFIG_NET_CLS_BPF=y\n\
        CONFIG_NET_SCH_INGRESS=y\n# CONFIG_IP_NF_NAT is not set\n";
    const CONFIG: &str = "/boot/config-6.1.0-18-amd64";

    fn check(files: &[(&str, &str)], iptables: Option<Variant>) -> BTreeMap<String, Finding> {
        let (_dir, root) = tree(files);
        let all = Kernel::read(&root).check(true, iptables);
        all.into_iter().map(|finding| (finding.check.clone(), finding)).collect()
    }

    #[test]
    fn a_kernel_with_everything_is_ok_and_the_unused_kind_of_iptables_may_be_missing() {
        let found = check(
            &[
                RELEASE,
                (CONFIG, ALL),
                ("/lib/modules/6.1.0-18-amd64/modules.dep", "kernel/fs/overlayfs/overlay.ko.xz:\n"),
                ("/proc/self/ns/ipc", ""),
                ("/proc/self/ns/mnt", ""),
                ("/proc/self/ns/net", ""),
                ("/proc/self/ns/pid", ""),
                ("/proc/self/ns/uts", ""),
                ("/proc/sys/kernel/seccomp/actions_avail", "kill"),
            ],
            Some(Variant::Nft),
        );
        assert!(found.values().all(|finding| finding.state == State::Ok), "{found:#?}");
        assert!(found["iptables, legacy kind"].found.contains("not needed"), "{found:#?}");
        assert_eq!(found["kernel"].found, "6.1.0-18-amd64");
    }

    #[test]
    fn what_the_kernel_lacks_is_named_with_the_package_that_brings_it() {
        let found = check(
            &[RELEASE, (CONFIG, &ALL.replace("CONFIG_VETH=y\n", "")), ("/proc/self/ns/net", "")],
            Some(Variant::Legacy),
        );
        let veth = &found["veth"];
        assert_eq!(veth.state, State::Failure);
        assert!(veth.remedy.as_ref().unwrap().contains("apt-get install linux-image-"), "{veth:?}");
        let without = check(&[RELEASE, (CONFIG, &ALL.replace("CONFIG_NET_CLS_BPF=y\n", ""))], None);
        let filters = &without["filters of links"];
        assert_eq!(filters.state, State::Warning, "functions run without");
        assert!(filters.found.contains("cls_bpf") && filters.remedy.is_some(), "{filters:?}");
        // A module that nothing can be loaded from.
        assert_eq!(found["overlayfs"].state, State::Failure);
        assert!(found["iptables, legacy kind"].found.contains("iptable_nat"), "{found:#?}");
        assert_eq!(found["iptables, legacy kind"].state, State::Failure);
        assert_eq!(found["namespaces"].state, State::Failure);
        assert!(found["namespaces"].found.contains("ipc, mnt, pid, uts"));
        assert_eq!(found["seccomp"].state, State::Failure);
    }

    #[test]
    fn modules_that_an_upgrade_took_away_ask_for_a_reboot() {
        let found = check(&[RELEASE, ("/lib/modules/6.1.0-22-amd64/modules.dep", "")], None);
        assert_eq!(found["bridge"].remedy.as_deref(), Some("reboot"));
        assert!(found["bridge"].found.contains("upgrade"));
    }

    #[test]
    fn loaded_modules_and_mounted_file_systems_are_proof_enough() {
        let found = check(
            &[RELEASE, ("/sys/module/bridge/refcnt", "1"), ("/proc/filesystems", "nodev\ttmpfs\nnodev\toverlay\n")],
            None,
        );
        assert_eq!(found["bridge"].state, State::Ok);
        assert_eq!(found["overlayfs"].state, State::Ok);
        assert_eq!(found["veth"].state, State::Unknown);
    }

    #[test]
    fn an_old_kernel_fails_and_an_unreadable_version_is_unknown() {
        assert_eq!(check(&[("/proc/sys/kernel/osrelease", "4.19.0-26-amd64")], None)["kernel"].state, State::Failure);
        assert_eq!(check(&[], None)["kernel"].state, State::Unknown);
    }

    #[test]
    fn a_module_is_known_by_its_file() {
        assert_eq!(module_name("kernel/net/netfilter/nf_nat.ko: kernel/x.ko"), "nf_nat");
        assert_eq!(module_name("kernel/net/bridge/br-netfilter.ko.xz"), "br_netfilter");
    }
}
