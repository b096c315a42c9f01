//! The plugins of one network list, run for one instance: forward on ADD and CHECK, backward on DEL.

use std::path::Path;

use rscni_types::types::Cmd;
use serde_json::Value;

use super::conflist::Conflist;
use super::plugin::{Call, Fault, PluginError, Plugins};

/// A chain of plugins and whom it is run for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain<'a> {
    pub(super) plugins: &'a Plugins,
    pub(super) list: &'a Conflist,
    pub(super) container: &'a str,
    /// None where the namespace is gone already.
    pub(super) netns: Option<&'a Path>,
}

impl Chain<'_> {
    /// Runs ADD through the chain; each plugin gets the result of the one before. `done` is told every result and
    /// whether it is the last, before the next plugin starts.
    pub(super) async fn add(
        &self,
        mut done: impl FnMut(&Value, bool) -> Result<(), PluginError>,
    ) -> Result<Value, PluginError> {
        let mut result = None;
        for (at, plugin) in self.list.plugins.iter().enumerate() {
            let name = kind(plugin);
            let answer = self.call(Cmd::Add, plugin, result.as_ref()).await?;
            let fault = Fault::Garbage { verb: Cmd::Add, words: "it wrote nothing".to_owned() };
            let answer = answer.ok_or_else(|| PluginError { plugin: name.to_owned(), fault })?;
            done(&answer, at + 1 == self.list.plugins.len())?;
            result = Some(answer);
        }
        Ok(result.unwrap_or_default())
    }

    /// Runs DEL through the chain from its end, whatever fails on the way.
    pub(super) async fn del(&self, previous: Option<&Value>) -> Vec<PluginError> {
        let mut errors = Vec::new();
        for plugin in self.list.plugins.iter().rev() {
            errors.extend(self.call(Cmd::Del, plugin, previous).await.err());
        }
        errors
    }

    /// Asks every plugin that can tell whether all is as it left it.
    pub(super) async fn check(&self, previous: &Value) -> Result<(), PluginError> {
        if self.list.disable_check {
            return Ok(());
        }
        for plugin in &self.list.plugins {
            if self.plugins.knows(kind(plugin), Cmd::Check, self.list.version).await? {
                self.call(Cmd::Check, plugin, Some(previous)).await?;
            }
        }
        Ok(())
    }

    async fn call(&self, verb: Cmd, plugin: &Value, previous: Option<&Value>) -> Result<Option<Value>, PluginError> {
        let call = Call { verb, container: self.container, netns: self.netns };
        self.plugins.call(kind(plugin), call, &self.list.input(plugin, previous)).await
    }
}

fn kind(plugin: &Value) -> &str {
    plugin["type"].as_str().unwrap_or_default()
}
