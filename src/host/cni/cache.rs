//! Results of ADD, kept in libcni's format so that its tools can read them: DEL and CHECK need them, and so does a
//! restarted actord. Written after every plugin of the chain, so that a crash in the middle leaves what is needed to
//! undo the first half.
//!
//! The file is named by the holder, and says by which name the plugins know the attachment: an instance that claims a warm
//! one gets its file, by a rename.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rscni_types::types::CNIResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conflist::Conflist;
use super::holder::Holder;
use super::plugin::IFNAME;
use crate::durable;
use crate::function::{InstanceId, Outbound};
use crate::host::WarmId;

const KIND: &str = "cniCacheV1";

/// One attachment, as far as its ADD came.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cached {
    kind: String,
    container_id: String,
    /// The network list that it was attached with, in base64: DEL has to use the same, whatever was configured since.
    config: String,
    if_name: String,
    network_name: String,
    /// The path of the network namespace; older actords wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    netns: Option<PathBuf>,
    /// Ours, in addition: the plugins that were run.
    #[serde(default)]
    binaries: Vec<PathBuf>,
    pub(super) result: Value,
    /// Ours, in addition: whether every plugin of the chain has answered.
    #[serde(default)]
    pub(super) complete: bool,
    /// Ours, in addition: whether its network namespace is quiet; those that older actords made are not.
    #[serde(default)]
    pub(super) quiet: bool,
    /// Ours, in addition: where it may send to.
    #[serde(default)]
    pub(super) outbound: Outbound,
}

impl Cached {
    /// Of an attachment in the making: nothing has answered yet.
    pub(super) fn begun(list: &Conflist, holder: &Holder, netns: &Path, binaries: &[PathBuf]) -> Self {
        Self {
            kind: KIND.to_owned(),
            container_id: holder.to_string(),
            config: BASE64_STANDARD.encode(list.raw.to_string()),
            if_name: IFNAME.to_owned(),
            network_name: list.name.clone(),
            netns: Some(netns.to_owned()),
            binaries: binaries.to_vec(),
            result: Value::Null,
            complete: false,
            quiet: true,
            outbound: Outbound::All,
        }
    }

    /// With what the chain has answered so far.
    pub(super) fn with(&self, result: &Value, complete: bool) -> Self {
        Self { result: result.clone(), complete, ..self.clone() }
    }

    /// By which name the plugins know it: its holder's, or that of the warm attachment that its holder claimed.
    pub(super) fn container(&self) -> &str {
        &self.container_id
    }

    /// Where its network namespace is, if the entry says.
    pub(super) fn netns(&self) -> Option<&Path> {
        self.netns.as_deref()
    }

    /// The plugins that attached it, as they were found then.
    pub(super) fn binaries(&self) -> &[PathBuf] {
        &self.binaries
    }

    /// Whether it was attached with this list.
    pub(super) fn is_of(&self, list: &Conflist) -> bool {
        self.config == BASE64_STANDARD.encode(list.raw.to_string())
    }

    /// What the chain answered, for those who look at it field by field.
    pub(super) fn parsed(&self) -> Option<CNIResult> {
        serde_json::from_value(self.result.clone()).ok()
    }

    fn claimed(&self) -> Option<WarmId> {
        self.container_id.parse().ok()
    }

    /// The network list that it was attached with.
    pub(super) fn list(&self) -> Option<Conflist> {
        let text = BASE64_STANDARD.decode(&self.config).ok()?;
        Conflist::understand(serde_json::from_slice(&text).ok()?).ok()
    }
}

/// The address in a result that belongs to an interface inside the instance, IPv4 first.
pub(super) fn address(result: &Value) -> Option<IpAddr> {
    let result: CNIResult = serde_json::from_value(result.clone()).ok()?;
    let inside = |index: Option<u32>| match index {
        None => true,
        Some(index) => result
            .interfaces
            .get(index as usize)
            .is_some_and(|interface| interface.sandbox.as_ref().is_some_and(|sandbox| !sandbox.is_empty())),
    };
    let addresses = || result.ips.iter().filter(|ip| inside(ip.interface)).map(|ip| ip.address.addr());
    addresses().find(IpAddr::is_ipv4).or_else(|| addresses().next())
}

/// The directory of cached results.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    dir: PathBuf,
    network: String,
}

impl Cache {
    pub(super) fn new(state: &Path, network: &str) -> Self {
        Self { dir: state.join("results"), network: network.to_owned() }
    }

    fn path(&self, holder: &Holder) -> PathBuf {
        self.dir.join(format!("{}-{holder}-{IFNAME}", self.network))
    }

    /// The entry's path. What a warm attachment's is called is its own alone, whatever the network was called then.
    fn find(&self, holder: &Holder) -> PathBuf {
        let path = self.path(holder);
        let Holder::Warm(warm) = holder else { return path };
        if path.exists() {
            return path;
        }
        let found = names(&self.dir).unwrap_or_default();
        let own = |name: &String| warm_in(durable::drafted(name).unwrap_or(name)).as_ref() == Some(warm);
        found.iter().find(|name| own(name)).map_or(path, |name| self.dir.join(durable::drafted(name).unwrap_or(name)))
    }

    /// Replaces the entry as a whole. A reboot empties the network and this directory alike, so nothing is synced.
    pub(super) fn write(&self, holder: &Holder, entry: &Cached) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        durable::swap(&self.find(holder), &serde_json::to_vec(entry)?, 0o644)
    }

    /// Whether there is any trace of an entry.
    pub(super) fn holds(&self, holder: &Holder) -> bool {
        let path = self.find(holder);
        path.exists() || durable::draft(&path).exists()
    }

    /// None when there is no entry, or none that can be read: either way nothing is known of the attachment.
    pub(super) fn read(&self, holder: &Holder) -> Option<Cached> {
        let entry = read(&self.find(holder))?;
        let instance = matches!(holder, Holder::Instance(_));
        (entry.container_id == holder.as_str() || instance && entry.claimed().is_some()).then_some(entry)
    }

    /// Makes the entry of a warm attachment an instance's, in one step.
    pub(super) fn claim(&self, warm: &WarmId, id: &InstanceId) -> io::Result<()> {
        let from = self.find(&warm.into());
        fs::rename(&from, self.path(&id.into()))?;
        // What a kill left of writing it would be taken for another.
        let _ = fs::remove_file(durable::draft(&from));
        Ok(())
    }

    pub(super) fn remove(&self, holder: &Holder) -> io::Result<()> {
        let path = self.find(holder);
        for path in [durable::draft(&path), path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Everyone with an entry, even one that can't be read: its name is enough to remove it.
    pub(super) fn holders(&self) -> io::Result<Vec<Holder>> {
        let mut found = Vec::new();
        for name in names(&self.dir)? {
            let name = durable::drafted(&name).unwrap_or(&name);
            let id = name
                .strip_prefix(&self.network)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(IFNAME)?.strip_suffix('-'));
            let instance = id.and_then(|id| id.parse().ok()).map(Holder::Instance);
            found.extend(instance.or_else(|| warm_in(name).map(Holder::Warm)));
        }
        Ok(found)
    }

    /// The warm attachments that instances have claimed, those of another network's name among them.
    pub(super) fn claimed(&self) -> io::Result<BTreeSet<WarmId>> {
        let others = |name: &String| durable::drafted(name).is_none() && warm_in(name).is_none();
        let entries = names(&self.dir)?.into_iter().filter(others);
        Ok(entries.filter_map(|name| read(&self.dir.join(name))?.claimed()).collect())
    }
}

fn read(path: &Path) -> Option<Cached> {
    let entry: Cached = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (entry.kind == KIND).then_some(entry)
}

/// The warm attachment that a file is named by, in any network.
fn warm_in(name: &str) -> Option<WarmId> {
    name.strip_suffix(IFNAME)?.strip_suffix('-')?.rsplit_once('-')?.1.parse().ok()
}

/// The names in a directory; none if it is not there.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list() -> Conflist {
        let raw = json!({ "cniVersion": "1.0.0", "name": "net", "plugins": [{ "type": "x", "odd": 1 }] });
        Conflist::understand(raw).unwrap()
    }

    fn entry(holder: &Holder) -> Cached {
        Cached::begun(&list(), holder, Path::new("/run/netns/a"), &["/lib/x".into()]).with(&result(), true)
    }

    fn result() -> Value {
        json!({
            "cniVersion": "1.0.0",
            "interfaces": [{ "name": "br" }, { "name": "eth0", "sandbox": "/run/netns/a" }],
            "ips": [
                { "interface": 0, "address": "10.1.0.1/24" },
                { "interface": 1, "address": "fd00::2/64" },
                { "interface": 1, "address": "10.1.0.2/24" },
            ],
        })
    }

    #[test]
    fn the_address_is_the_one_inside_the_instance_and_ipv4_comes_first() {
        assert_eq!(address(&result()), Some("10.1.0.2".parse().unwrap()));
        assert_eq!(address(&json!({ "ips": [{ "address": "10.1.0.9/24" }] })), Some("10.1.0.9".parse().unwrap()));
        assert_eq!(address(&json!({ "ips": [] })), None);
        assert_eq!(address(&json!({ "ips": "nonsense" })), None);
    }

    #[test]
    fn what_was_written_is_read_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        for name in ["echo-0123", "warm_0123456789ab"] {
            let holder: Holder = name.parse().unwrap();
            assert!(cache.read(&holder).is_none() && cache.holders().unwrap().is_empty());
            cache.write(&holder, &entry(&holder)).unwrap();
            let entry = cache.read(&holder).unwrap();
            assert!(entry.complete && entry.is_of(&list()));
            assert_eq!(entry.list().unwrap().plugins, list().plugins);
            assert_eq!((entry.container(), entry.netns()), (name, Some(Path::new("/run/netns/a"))));
            assert_eq!(cache.holders().unwrap(), std::slice::from_ref(&holder));
            cache.remove(&holder).unwrap();
            cache.remove(&holder).unwrap();
            assert!(cache.read(&holder).is_none() && cache.holders().unwrap().is_empty());
        }
    }

    #[test]
    fn a_claimed_entry_is_the_instances_alone_and_says_what_the_plugins_call_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        let (warm, id): (WarmId, InstanceId) = ("warm_0123456789ab".parse().unwrap(), "echo-0123".parse().unwrap());
        cache.write(&(&warm).into(), &entry(&(&warm).into())).unwrap();
        assert!(cache.claimed().unwrap().is_empty());
        cache.claim(&warm, &id).unwrap();
        assert_eq!(cache.holders().unwrap(), [Holder::from(&id)]);
        assert_eq!(cache.claimed().unwrap(), BTreeSet::from([warm.clone()]));
        assert_eq!(cache.read(&(&id).into()).unwrap().container(), warm.as_str());
        assert!(cache.read(&(&warm).into()).is_none() && !cache.holds(&(&warm).into()));
        assert!(cache.claim(&warm, &id).is_err(), "once");
    }

    #[test]
    fn a_warm_attachment_is_found_whatever_its_network_was_called() {
        let dir = tempfile::tempdir().unwrap();
        let (before, cache) = (Cache::new(dir.path(), "old-net"), Cache::new(dir.path(), "net"));
        let warm: Holder = "warm_0123456789ab".parse().unwrap();
        before.write(&warm, &entry(&warm)).unwrap();
        before.write(&"echo-1".parse().unwrap(), &entry(&"echo-1".parse().unwrap())).unwrap();
        assert_eq!(cache.holders().unwrap(), std::slice::from_ref(&warm));
        assert!(cache.read(&warm).is_some());
        cache.remove(&warm).unwrap();
        assert!(!cache.holds(&warm) && cache.holders().unwrap().is_empty());
    }

    #[test]
    fn an_entry_of_an_older_actord_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        let id: Holder = "echo-0123".parse().unwrap();
        cache.write(&id, &entry(&id)).unwrap();
        let path = cache.path(&id);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(value.as_object_mut().unwrap().remove("netns"), Some(json!("/run/netns/a")));
        fs::write(path, value.to_string()).unwrap();
        let entry = cache.read(&id).unwrap();
        assert_eq!((entry.container(), entry.netns(), entry.complete), ("echo-0123", None, true));
    }

    #[test]
    fn the_entry_has_the_fields_that_libcni_reads() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        let id: Holder = "echo-0123".parse().unwrap();
        cache.write(&id, &entry(&id)).unwrap();
        let text = fs::read(dir.path().join("results/net-echo-0123-eth0")).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        for (key, expected) in
            [("kind", KIND), ("containerId", "echo-0123"), ("ifName", "eth0"), ("networkName", "net")]
        {
            assert_eq!(value[key], expected);
        }
        assert_eq!(value["result"], result());
    }

    #[test]
    fn an_entry_that_can_not_be_read_is_still_listed_so_that_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        fs::create_dir_all(&cache.dir).unwrap();
        fs::write(cache.dir.join("net-echo-0123-eth0"), "{").unwrap();
        fs::write(cache.dir.join("other-echo-0123-eth0"), "{").unwrap();
        let found = cache.holders().unwrap();
        assert_eq!(found, ["echo-0123".parse().unwrap()]);
        assert!(cache.read(&found[0]).is_none());
    }
}
