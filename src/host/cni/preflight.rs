//! What a machine has of what a network list asks for. Looks, and changes nothing.

use std::path::PathBuf;

use rscni_types::types::Cmd;

use super::bridge::Flaw;
use super::cache::{Cache, names};
use super::conflist::Conflist;
use super::holder::Holder;
use super::plugin::Plugins;
use super::{CniOptions, bridge, refusal, routes};
use crate::host::HostError;

/// A plugin that the list asks for.
#[derive(Debug, Clone)]
pub struct FoundPlugin {
    /// Its type in the list.
    pub name: String,
    /// Its binary, or why there is none.
    pub path: Result<PathBuf, String>,
    /// Whether it speaks the list's version of CNI, as it says itself.
    pub speaks: Result<bool, String>,
}

/// What a list asks for, and what is there.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// The list's version of CNI.
    pub version: String,
    /// The plugins, each once, in the order of the list.
    pub plugins: Vec<FoundPlugin>,
    /// Whether a plugin, or actord itself, runs iptables.
    pub needs_iptables: bool,
    /// Whether a plugin's rules, or our own, let functions' packets through whatever the policy for forwarding is.
    pub lets_through: bool,
}

impl Preflight {
    /// Reads the list that `options` ask for, and asks every plugin which versions it speaks.
    ///
    /// # Errors
    /// [`HostError::Failed`] when the options or the list make no sense.
    pub async fn of(options: &CniOptions) -> Result<Self, HostError> {
        options.check()?;
        let list = Conflist::load(options)?;
        let installed = Plugins::new(options.plugin_dirs.clone(), options.deadline);
        let mut plugins: Vec<FoundPlugin> = Vec::new();
        for name in list.binaries() {
            if plugins.iter().any(|known| known.name == name) {
                continue;
            }
            plugins.push(FoundPlugin {
                name: name.to_owned(),
                path: installed.find(name).map_err(|error| error.to_string()),
                speaks: installed.knows(name, Cmd::Add, list.version).await.map_err(|error| error.to_string()),
            });
        }
        // The built-in list comes with our own rules; a list of the user's own brings its own.
        let ours = options.conflist.is_none();
        let lets_through = ours || list.binaries().any(|name| name == "firewall");
        let (version, needs_iptables) = (list.version.to_string(), ours || list.needs_iptables());
        Ok(Self { version, plugins, needs_iptables, lets_through })
    }
}

impl CniOptions {
    /// Whether the functions' bridge is as it was made; a list of the user's own has its own.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn bridge_fault(&self) -> Result<(), String> {
        if self.conflist.is_some() {
            return Ok(());
        }
        match bridge::look(self) {
            Ok(None) => Ok(()),
            // It is made with the first instance.
            Ok(Some(Flaw::Gone)) if names(&self.state_dir.join("results")).is_ok_and(|names| names.is_empty()) => {
                Ok(())
            }
            Ok(Some(flaw)) => Err(format!("bridge {} {flaw}", self.bridge)),
            Err(error) => Err(format!("bridge {}: {error}", self.bridge)),
        }
    }

    /// How many attachments are there that were made ahead of time and no instance has claimed.
    ///
    /// # Errors
    /// Says what can't be read.
    pub fn warm(&self) -> Result<usize, String> {
        let cache = Cache::new(&self.state_dir, &self.name);
        let holders = cache.holders().map_err(|error| format!("{}: {error}", self.state_dir.display()))?;
        let warm = holders.iter().filter(|holder| matches!(holder, Holder::Warm(_)));
        Ok(warm.filter(|holder| cache.read(holder).is_some_and(|entry| entry.complete)).count())
    }

    /// Whether the subnet is free, by the text of `/proc/net/route`. A list of the user's own has its own subnets.
    ///
    /// # Errors
    /// Names the route that overlaps.
    pub fn overlap(&self, table: &str) -> Result<(), String> {
        match &self.conflist {
            Some(_) => Ok(()),
            None => routes::check_against(table, &self.bridge, self.subnet, refusal::earlier(self)),
        }
    }
}
