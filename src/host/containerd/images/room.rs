//! Whether an image fits on the disk, as its manifest tells before a layer of it is fetched.

use std::path::Path;

use crate::host::HostError;
use crate::host::disks::Free;

const MIB: u64 = 1 << 20;

/// What is unpacked of a layer takes about so many times what is fetched of it: most compress to between a half and a third.
/// Of one that is not compressed, this is an image's worth too much.
const UNPACKED: u64 = 2;

/// Refuses an image of which so many bytes are not here yet, if they don't fit on the disk of `root`. `copied`: whether what is
/// unpacked of it is copied for user namespaces.
///
/// # Errors
/// [`HostError::Full`] names the image, the directory and both numbers. That the disk can't be asked is no error: the pull
/// finds out.
pub(super) async fn must_fit(image: &str, missing: u64, copied: bool, root: &Path) -> Result<(), HostError> {
    match Free::of_directory(root).await {
        Ok(free) => fits(image, missing, copied, root, free.bytes),
        Err(error) => {
            tracing::warn!(image, %error, "not known whether it fits");
            Ok(())
        }
    }
}

fn fits(image: &str, missing: u64, copied: bool, root: &Path, free: u64) -> Result<(), HostError> {
    let needed = missing.saturating_mul(1 + if copied { 2 * UNPACKED } else { UNPACKED });
    if needed <= free {
        return Ok(());
    }
    Err(HostError::Full(format!(
        "image {image} does not fit on the disk of {}: {} MiB of it are to be fetched, which take about {} MiB with what is \
         unpacked of them, and {} MiB are free: free some there, or make the image smaller",
        root.display(),
        missing.div_ceil(MIB),
        needed.div_ceil(MIB),
        free / MIB
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_fits_if_its_layers_and_what_is_unpacked_of_them_do() {
        let root = Path::new("/var/lib/actord/containerd");
        for (missing, copied, free, fit) in [
            (0, false, 0, true),
            (100 * MIB, false, 300 * MIB, true),
            (100 * MIB, false, 300 * MIB - 1, false),
            (100 * MIB, true, 500 * MIB, true),
            (100 * MIB, true, 500 * MIB - 1, false),
            (u64::MAX, false, u64::MAX - 1, false),
        ] {
            match fits("ghcr.io/me/fn:1", missing, copied, root, free) {
                Ok(()) => assert!(fit, "{missing} {free}"),
                Err(HostError::Full(words)) => {
                    assert!(!fit && words.contains("ghcr.io/me/fn:1") && words.contains("/var/lib/actord/containerd"));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let HostError::Full(words) = fits("i", 100 * MIB, false, root, 5 * MIB).unwrap_err() else {
            panic!("not full")
        };
        assert!(
            words.contains("100 MiB of it") && words.contains("300 MiB") && words.contains("5 MiB are free"),
            "{words}"
        );
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_asked_refuses_nothing() {
        assert_eq!(must_fit("i", u64::MAX, false, Path::new("/nonexistent")).await, Ok(()));
        assert!(matches!(must_fit("i", u64::MAX, false, Path::new("/")).await, Err(HostError::Full(_))));
    }
}
