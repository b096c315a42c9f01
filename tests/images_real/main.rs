//! Images for real: a private containerd, Debian's docker-registry on loopback, and a proxy that misbehaves between
//! them. Needs root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod credentials;
mod export;
mod faults;
mod given_up;
mod import;
mod index;
mod layouts;
mod login;
mod mapped;
mod parts;
mod policy;
mod proxy;
mod prune;
mod pull;
mod reads;
mod shelf;
mod signatures;
mod sources;
mod waits;

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/leaks.rs"]
mod leaks;
#[path = "../support/private_containerd.rs"]
mod private_containerd;
#[path = "../support/registry.rs"]
mod registry;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use actord::host::containerd::Containerd;
use actord::host::containerd::images::content::read_image;
use actord::host::containerd::images::{ContainerdImages, ImagesOptions};
use actord::host::{HostError, Image, Images as _, PullPolicy};
use containerd_client::services::v1::DeleteRequest;
use containerd_client::services::v1::leases_client::LeasesClient;
use leaks::Traces;
use private_containerd::PrivateContainerd;

const NAMESPACE: &str = "actord-images";

/// A machine with nothing on it.
struct Machine {
    daemon: PrivateContainerd,
    containerd: Containerd,
    options: ImagesOptions,
    images: ContainerdImages,
}

impl Machine {
    fn start() -> Self {
        Self::on(PrivateContainerd::start())
    }

    fn on(daemon: PrivateContainerd) -> Self {
        let containerd = Containerd::new(&daemon.socket(), NAMESPACE, "test-host").unwrap();
        let options = ImagesOptions {
            stall: Duration::from_secs(10),
            attempts: 3,
            ..ImagesOptions::new(daemon.directory().join("docker/config.json"))
        };
        let images = ContainerdImages::new(containerd.clone(), options.clone());
        Self { daemon, containerd, options, images }
    }

    /// The same machine, pulling in another way.
    fn with(mut self, change: impl FnOnce(&mut ImagesOptions)) -> Self {
        change(&mut self.options);
        self.images = ContainerdImages::new(self.containerd.clone(), self.options.clone());
        self
    }

    async fn ensure(&self, reference: &str, policy: PullPolicy) -> Result<Image, HostError> {
        tokio::time::timeout(Duration::from_secs(120), self.images.ensure(reference, policy)).await.unwrap()
    }

    async fn pull(&self, reference: &str) -> Image {
        self.ensure(reference, PullPolicy::Always).await.unwrap()
    }

    /// Why an image can't be had.
    async fn refused(&self, reference: &str) -> String {
        match self.ensure(reference, PullPolicy::Always).await {
            Err(HostError::Image(why) | HostError::Spec(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn write_docker_config(&self, json: &str) {
        let path = &self.options.docker_config;
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, json).unwrap();
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        self.daemon.ctr(NAMESPACE, arguments).unwrap()
    }

    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        self.ctr(arguments).lines().map(str::to_owned).collect()
    }

    fn snapshots(&self) -> Vec<String> {
        let list = self.ctr(&["snapshots", "list"]);
        list.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    }

    /// Collects garbage now.
    async fn collect(&self) {
        let id = "garbage".to_owned();
        self.ctr(&["leases", "create", "--id", &id]);
        let request = self.containerd.request(DeleteRequest { id, sync: true });
        LeasesClient::new(self.containerd.channel.clone()).delete(request).await.unwrap();
    }

    /// The files of this name in any unpacked layer, with what is in them.
    fn unpacked(&self, name: &str) -> Vec<Vec<u8>> {
        let snapshots = self.daemon.directory().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots");
        let layers = std::fs::read_dir(snapshots).unwrap().map(|layer| layer.unwrap().path().join("fs").join(name));
        layers.filter(|file| file.exists()).map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// Checks that an image can be run: its config is there, and the snapshot that an instance starts from.
    async fn check_runnable(&self, image: &Image) {
        let resolved = read_image(&self.containerd, &image.digest).await.unwrap();
        assert!(self.snapshots().contains(&resolved.chain_id), "{} is not unpacked", image.reference);
        assert!(self.lines(&["images", "list", "-q"]).contains(&image.reference));
    }

    /// What is left that belongs to no image: leases, unfinished downloads and snapshots.
    fn leftovers(&self) -> Vec<String> {
        let none = || String::from("none");
        Traces {
            directory: PathBuf::from(self.daemon.directory()),
            socket: self.daemon.socket(),
            namespace: NAMESPACE.to_owned(),
            snapshotter: "overlayfs".to_owned(),
            bridge: none(),
            subnet: none(),
            cgroup_parent: none(),
            instances: BTreeSet::new(),
        }
        .in_containerd()
    }

    /// Checks that nothing at all is left: what a failed pull or import must end with.
    fn check_empty(&self) {
        assert_eq!(self.leftovers(), [""; 0]);
        assert_eq!(self.lines(&["images", "list", "-q"]), [""; 0]);
        assert_eq!(self.lines(&["content", "list", "-q"]), [""; 0]);
        assert_eq!(self.snapshots(), [""; 0]);
    }
}
