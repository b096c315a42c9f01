//! How much of the machine's disk what an instance wrote takes.
//!
//! ```text
//! snapshot -> its upper directory -> tree: what has a name    } + -> bytes, at a pace that leaves the disk to others
//! control group -> processes      -> held: what has none more }
//! ```
//! Only overlayfs keeps by itself what an instance wrote; with another snapshotter nothing is counted.

mod held;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use containerd_client::types::Mount;
use tokio::time::sleep;

use self::held::Held;
use self::tree::Tree;
use super::{Inner, InstanceId};
use super::{blocking, containers};
use crate::host::HostError;

/// Between two steps there is a pause. So no more than a hundred thousand files are looked at in a second.
const PAUSE: Duration = Duration::from_millis(20);

impl Inner {
    /// Counts until it is done, or has counted more than `most`.
    pub(super) async fn written(&self, id: &InstanceId, most: u64) -> Result<u64, HostError> {
        let mounts = containers::snapshot_mounts(&self.containerd, &self.options.snapshotter, id).await?;
        let Some(upper) = upper(&mounts, &self.options.snapshotter) else { return Ok(0) };
        let what = format!("count the files of {id}");
        let mut tree = blocking(what.clone(), move || Tree::open(&upper)).await?;
        loop {
            tree = blocking(what.clone(), move || tree.step()).await?;
            if tree.is_done() || tree.bytes() > most {
                break;
            }
            sleep(PAUSE).await;
        }
        let (mut bytes, mut held) = (tree.bytes(), Held::default());
        for (before, process) in self.cgroups.processes(id).into_iter().enumerate() {
            if bytes > most {
                break;
            }
            if before > 0 {
                sleep(PAUSE).await;
            }
            held = blocking(what.clone(), move || Ok(held.with(process))).await?;
            bytes = tree.bytes().saturating_add(held.bytes());
        }
        Ok(bytes)
    }
}

/// The directory on the machine that holds what was written in this snapshot, and nothing of the image.
fn upper(mounts: &[Mount], snapshotter: &str) -> Option<PathBuf> {
    let mount = mounts.first()?;
    let written = mount.options.iter().find_map(|option| option.strip_prefix("upperdir="));
    // An image without layers has nothing below.
    let whole = || (snapshotter == "overlayfs" && mount.r#type == "bind").then_some(mount.source.as_str());
    written.or_else(whole).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> Vec<Mount> {
        let options = options.iter().map(ToString::to_string).collect();
        vec![Mount { r#type: kind.into(), source: "/s/7/fs".into(), options, ..Mount::default() }]
    }

    #[test]
    fn what_was_written_is_found_where_it_is_apart_from_the_image() {
        let overlay = mount("overlay", &["workdir=/s/7/work", "upperdir=/s/7/fs", "lowerdir=/s/1/fs"]);
        assert_eq!(upper(&overlay, "overlayfs"), Some("/s/7/fs".into()));
        assert_eq!(upper(&mount("bind", &["rw", "rbind"]), "overlayfs"), Some("/s/7/fs".into()));
        assert_eq!(upper(&mount("bind", &["rw", "rbind"]), "native"), None);
        assert_eq!(upper(&[], "overlayfs"), None);
    }
}
