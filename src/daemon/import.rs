//! `actord image import`: image archives for a containerd that runs already. `actord bundle create`: its images as archives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};

use super::machine::{connect, daemon_options, images_options};
use super::{last_run, multi_threaded, preload};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::host::Images as _;
use crate::host::containerd::daemon::Daemon;
use crate::host::containerd::images::ContainerdImages;

/// `actord image import`: into the containerd of an actord that runs, by the settings that this has.
///
/// # Errors
/// Which archive could not be read or imported, that no containerd runs, or that it can't be known which one is meant.
pub fn import(config: &Config, path: &Path) -> anyhow::Result<()> {
    let otherwise =
        format!(", or put the archive into {} to be imported at its next start", config.images_dir().display());
    multi_threaded().block_on(async {
        let images = images_of_the_running(config, &otherwise).await?;
        let archives = match path.is_dir() {
            true => preload::archives(path).with_context(|| format!("read {}", path.display()))?,
            false => vec![path.to_owned()],
        };
        if archives.is_empty() {
            bail!(
                "{} holds no archive: no file in it ends with .tar, .tar.gz, .tgz, .tar.zst or .tzst",
                path.display()
            );
        }
        for archive in archives {
            for reference in images.import(&archive).await? {
                println!("{reference}");
            }
        }
        Ok(())
    })
}

/// Writes images of an actord that runs into archives of a directory, one for each digest. Returns the digests of the
/// references.
///
/// # Errors
/// Which image is not there or can't be written, that no containerd runs, or that it can't be known which one is meant.
pub fn export_images(
    config: &Config,
    references: &BTreeSet<String>,
    directory: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    multi_threaded().block_on(async {
        let images = images_of_the_running(config, "").await?;
        Ok(images.export(references, directory).await?)
    })
}

/// The images of the actord that runs. `otherwise`: what can be done beside starting it.
async fn images_of_the_running(config: &Config, otherwise: &str) -> anyhow::Result<ContainerdImages> {
    let host_id = DataDir::host_id_of(&config.data_dir)?;
    let config = &last_run::for_images(config, otherwise)?;
    if config.containerd.is_none() && Daemon::adopt(daemon_options(config)).await?.is_none() {
        bail!("no containerd of ours runs: start `actord up`{otherwise}");
    }
    Ok(ContainerdImages::new(connect(config, &host_id)?, images_options(config)))
}
