//! `actord bundle create`: package and what it needs, stack files, images -> one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use oci_spec::image::Arch;

use crate::bundle::{self, BundleError, Content, Draft, IMAGES, STACKS, Staging};
use crate::cli::client::{ClientError, eprint_line, variable};
use crate::config::Config;
use crate::stack::{self, Gathered};

/// `actord bundle create`.
#[derive(Debug, Args)]
pub struct BundleCreateArgs {
    /// File to write
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// Stack file, or directory with stack files, of the functions
    #[arg(long, value_name = "FILE|DIR")]
    pub stack: PathBuf,

    /// Take the functions' images along, from the actord that runs here. Without it the other machine pulls them
    #[arg(long)]
    pub images: bool,

    /// Debian package of actord [default: the installed one, which keeps itself]
    #[arg(long, value_name = "FILE", conflicts_with = "functions_only")]
    pub deb: Option<PathBuf>,

    /// Leave out actord and all packages: for a machine where actord runs already
    #[arg(long)]
    pub functions_only: bool,

    /// Directory for what is needed meanwhile: as much as the bundle takes
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub work_dir: PathBuf,

    /// The settings.
    #[command(flatten)]
    pub config: Config,
}

impl BundleCreateArgs {
    /// Writes the bundle, and returns its sum as `sha256sum` writes it. `export` writes images of these references into
    /// archives of a directory, and returns their digests.
    ///
    /// # Errors
    /// [`ClientError`]; there is no bundle then.
    pub fn run<E: std::fmt::Display>(
        &self,
        export: impl FnOnce(&BTreeSet<String>, &Path) -> Result<BTreeMap<String, String>, E>,
    ) -> Result<String, ClientError> {
        let Gathered { files: stacks, functions } = stack::gather(&self.stack, &variable)?;
        let mut draft = Draft { architecture: Arch::default().to_string(), ..Draft::default() };
        for (name, text) in stacks {
            draft.files.insert(format!("{STACKS}/{}", name.display()), Content::Bytes(text.into_bytes()));
        }
        let staging = Staging::make(&self.work_dir)?;
        if !self.functions_only {
            self.add_packages(&staging, &mut draft)?;
        }
        if self.images {
            let references = functions.values().map(|spec| spec.image.to_string()).collect();
            let directory = staging.directory(IMAGES)?;
            draft.images = export(&references, &directory).map_err(|error| ClientError::Local(format!("{error:#}")))?;
            for (reference, digest) in &draft.images {
                eprint_line(&format!("image {reference}, {digest}"));
                let file = directory.join(format!("{}.tar", digest.replace(':', "-")));
                draft.files.insert(bundle::archive(digest), Content::File(file));
            }
        }
        let (manifest, sum) = bundle::write(&self.bundle, draft)?;
        let bytes = fs::metadata(&self.bundle).map_or(0, |written| written.len());
        eprint_line(&format!(
            "{}: {} functions, {} files, {bytes} bytes",
            self.bundle.display(),
            functions.len(),
            manifest.members.len()
        ));
        Ok(format!("{sum}  {}", self.bundle.display()))
    }

    fn add_packages(&self, staging: &Staging, draft: &mut Draft) -> Result<(), BundleError> {
        let deb = match &self.deb {
            Some(deb) => deb.clone(),
            None => bundle::kept_package()?,
        };
        let collected = bundle::collect(&deb, staging)?;
        eprint_line(&format!(
            "actord {} of {}, and {} packages that it needs",
            collected.package.version,
            collected.package.system,
            collected.debs.len()
        ));
        draft.add_packages(deb, collected);
        Ok(())
    }
}
