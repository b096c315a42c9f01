//! What has to be known of a container to remove it, written before anything of it is made: the path of its control groups.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::cgroup::Hierarchies;
use super::fault::Fault;

fn file(id: &str, state_root: &Path) -> PathBuf {
    state_root.join(format!("{id}.cgroups"))
}

/// Begins a container.
pub(super) fn begin(id: &str, state_root: &Path, cgroups: &str) -> Result<(), Fault> {
    let file = file(id, state_root);
    let written = fs::create_dir_all(state_root).and_then(|()| write_new(&file, cgroups));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Fault::request(format!("container with given ID already exists: {id}")),
        _ => Fault::request(format!("write {}: {error}", file.display())),
    })
}

/// The path of a container's control groups; none where there is no container.
pub(super) fn cgroups(id: &str, state_root: &Path) -> Result<Option<String>, Fault> {
    let file = file(id, state_root);
    match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::request(format!("read {}: {error}", file.display()))),
        // A server that was killed as it wrote this made nothing yet.
        Ok(path) => Ok(Some(path).filter(|path| path.len() > 1)),
    }
}

/// Removes all there is of a container, with what still runs in it. None is fine.
pub(super) fn remove(id: &str, state_root: &Path, hierarchies: &Hierarchies) -> Result<(), Fault> {
    if let Some(path) = cgroups(id, state_root)? {
        hierarchies.remove(&path).map_err(|error| Fault::request(format!("remove container {id}: {error}")))?;
    }
    let file = file(id, state_root);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Fault::request(format!("remove {}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
