//! `actord bundle`: everything for a machine without a network in one file, made here and applied there.

mod apply;
mod create;

use clap::Subcommand;

pub use apply::BundleApplyArgs;
pub use create::BundleCreateArgs;

/// What can be done with bundles.
#[derive(Debug, Subcommand)]
pub enum BundleVerb {
    /// Write actord's package, the packages that it needs, stack files and images into one file
    #[command(after_help = "\
Example:
  actord bundle create shop.tar --stack functions/ --images > shop.tar.sha256

On the other machine, bare and without a network, as root:

  tar --force-local -xOf shop.tar install | sh -s shop.tar

Variables in the stack files are filled in here. Secrets are not taken along: they are made on the other machine. What is
printed is the sum of the bundle, for `sha256sum -c`.")]
    Create(Box<BundleCreateArgs>),
    /// Make this machine what a bundle says: packages, images and functions. What is there already stays as it is
    #[command(after_help = "\
Example:
  actord bundle apply shop.tar

Every byte of the bundle is looked at before anything on this machine is changed. The exit code is 0 when all functions are
ready. After a failure the same command goes on where it stopped.")]
    Apply(Box<BundleApplyArgs>),
}
