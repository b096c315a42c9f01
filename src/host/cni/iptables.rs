//! The iptables of this host, executed. Both variants, nft and legacy, are looked at when something is removed: the default
//! may have been switched since the rules were made.

use std::path::PathBuf;
use std::time::Duration;

use super::cleanup::Cleanup;
use super::exec::{self, PATH};

/// One variant of iptables.
#[derive(Debug, Clone)]
struct Variant {
    save: PathBuf,
    restore: PathBuf,
}

/// The iptables of this host.
#[derive(Debug, Clone)]
pub(super) struct Iptables {
    variants: Vec<Variant>,
    deadline: Duration,
}

impl Iptables {
    /// Finds the variants that are installed; the same program under two names counts once.
    pub(super) fn find(deadline: Duration) -> Self {
        let mut variants: Vec<Variant> = Vec::new();
        let mut seen = Vec::new();
        for name in ["iptables", "iptables-nft", "iptables-legacy"] {
            let (Some(save), Some(restore)) = (which(&format!("{name}-save")), which(&format!("{name}-restore")))
            else {
                continue;
            };
            let program = save.canonicalize().unwrap_or_else(|_| save.clone());
            if !seen.contains(&program) {
                seen.push(program);
                variants.push(Variant { save, restore });
            }
        }
        Self { variants, deadline }
    }

    /// Whether there is any iptables, as the plugins need it.
    pub(super) fn installed() -> bool {
        which("iptables").is_some()
    }

    /// All rules of the default variant, as `iptables-save` prints them.
    pub(super) async fn saved(&self) -> Result<String, String> {
        self.run(&self.default_variant()?.save, &[], b"").await
    }

    /// Runs a script, each table's part in one step.
    pub(super) async fn restore(&self, script: &str) -> Result<(), String> {
        self.run(&self.default_variant()?.restore, &["--noflush", "--wait"], script.as_bytes()).await.map(drop)
    }

    /// The variant that this host's other software uses, too.
    fn default_variant(&self) -> Result<&Variant, String> {
        self.variants.first().ok_or_else(|| "iptables is not installed (Debian: apt-get install iptables)".to_owned())
    }

    /// Removes what `cleanup` describes; nothing found is success.
    pub(super) async fn remove(&self, cleanup: Cleanup<'_>) -> Result<(), String> {
        for variant in &self.variants {
            let saved = self.run(&variant.save, &[], b"").await?;
            let script = cleanup.plan(&saved);
            if !script.is_empty() {
                self.run(&variant.restore, &["--noflush", "--wait"], script.as_bytes()).await?;
            }
        }
        Ok(())
    }

    async fn run(&self, program: &std::path::Path, args: &[&str], input: &[u8]) -> Result<String, String> {
        let failed = |reason: String| format!("{}: {reason}", program.display());
        let output = exec::run(program, args, &[], input, self.deadline).await.map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        if output.cut {
            return Err(failed("there are more rules than can be looked through".to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn which(program: &str) -> Option<PathBuf> {
    PATH.split(':').map(|dir| PathBuf::from(dir).join(program)).find(|path| path.is_file())
}
