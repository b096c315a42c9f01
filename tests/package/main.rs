//! The Debian package: what runs at installs and removals, what it depends on, the manual that is in it, and builds for other machines.
//!
//! ```text
//! config/debian/{preinst,…}, in a root of their own, with stand-ins for systemctl and its helpers -> what they ask for and leave
//! Cargo.toml depends <- files of src/ that start programs          actord man -> pages -> mandoc
//! ```
//! `make deb` has lintian judge the package itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod cross;
mod depends;
mod manual;
mod root;
mod scripts;
