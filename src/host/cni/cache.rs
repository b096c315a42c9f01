//! Results of ADD, kept in libcni's format so that its tools can read them: DEL and CHECK need them, and so does a
//! restarted actord. Written after every plugin of the chain, so that a crash in the middle leaves what is needed to
//! undo the first half.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rscni_types::types::CNIResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conflist::Conflist;
use super::plugin::IFNAME;
use crate::durable;
use crate::function::InstanceId;

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
    pub(super) result: Value,
    /// Ours, in addition: whether every plugin of the chain has answered.
    #[serde(default)]
    pub(super) complete: bool,
}

impl Cached {
    pub(super) fn new(list: &Conflist, id: &InstanceId, result: Value, complete: bool) -> Self {
        Self {
            kind: KIND.to_owned(),
            container_id: id.to_string(),
            config: BASE64_STANDARD.encode(list.raw.to_string()),
            if_name: IFNAME.to_owned(),
            network_name: list.name.clone(),
            result,
            complete,
        }
    }

    /// The network list that it was attached with.
    pub(super) fn list(&self) -> Option<Conflist> {
        let text = BASE64_STANDARD.decode(&self.config).ok()?;
        Conflist::understand(serde_json::from_slice(&text).ok()?).ok()
    }

    /// The instance's own address, IPv4 first.
    pub(super) fn address(&self) -> Option<IpAddr> {
        address(&self.result)
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
    pub(super) fn new(state: &std::path::Path, network: &str) -> Self {
        Self { dir: state.join("results"), network: network.to_owned() }
    }

    fn path(&self, id: &InstanceId) -> PathBuf {
        self.dir.join(format!("{}-{id}-{IFNAME}", self.network))
    }

    /// Replaces the entry as a whole. A reboot empties the network and this directory alike, so nothing is synced.
    pub(super) fn write(&self, id: &InstanceId, entry: &Cached) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        durable::swap(&self.path(id), &serde_json::to_vec(entry)?, 0o644)
    }

    /// Whether there is any trace of an entry.
    pub(super) fn holds(&self, id: &InstanceId) -> bool {
        self.path(id).exists() || durable::draft(&self.path(id)).exists()
    }

    /// None when there is no entry, or none that can be read: either way nothing is known of the attachment.
    pub(super) fn read(&self, id: &InstanceId) -> Option<Cached> {
        let text = fs::read(self.path(id)).ok()?;
        let entry: Cached = serde_json::from_slice(&text).ok()?;
        (entry.kind == KIND && entry.container_id == id.as_str()).then_some(entry)
    }

    pub(super) fn remove(&self, id: &InstanceId) -> io::Result<()> {
        for path in [self.path(id), durable::draft(&self.path(id))] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Every instance with an entry, even one that can't be read: its name is enough to remove it.
    pub(super) fn instances(&self) -> io::Result<Vec<InstanceId>> {
        let mut found = Vec::new();
        for name in names(&self.dir)? {
            let name = durable::drafted(&name).unwrap_or(&name);
            let id = name
                .strip_prefix(&self.network)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(IFNAME)?.strip_suffix('-'));
            found.extend(id.and_then(|id| id.parse::<InstanceId>().ok()));
        }
        Ok(found)
    }
}

/// The names in a directory; none if it is not there.
pub(super) fn names(dir: &std::path::Path) -> io::Result<Vec<String>> {
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
        let id: InstanceId = "echo-0123".parse().unwrap();
        assert!(cache.read(&id).is_none() && cache.instances().unwrap().is_empty());
        cache.write(&id, &Cached::new(&list(), &id, result(), true)).unwrap();
        let entry = cache.read(&id).unwrap();
        assert!(entry.complete);
        assert_eq!(entry.list().unwrap().plugins, list().plugins);
        assert_eq!(cache.instances().unwrap(), std::slice::from_ref(&id));
        cache.remove(&id).unwrap();
        cache.remove(&id).unwrap();
        assert!(cache.read(&id).is_none() && cache.instances().unwrap().is_empty());
    }

    #[test]
    fn the_entry_has_the_fields_that_libcni_reads() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "net");
        let id: InstanceId = "echo-0123".parse().unwrap();
        cache.write(&id, &Cached::new(&list(), &id, result(), true)).unwrap();
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
        let found = cache.instances().unwrap();
        assert_eq!(found, ["echo-0123".parse().unwrap()]);
        assert!(cache.read(&found[0]).is_none());
    }
}
