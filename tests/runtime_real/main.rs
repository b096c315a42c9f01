//! The runtime half of the containerd adapter on a real, private containerd. Needs root.

mod daemon;
mod support;
