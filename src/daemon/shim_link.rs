//! The name under which containerd starts this program as the shim of the built-in runtime: a link below the state
//! directory. The records of containers name it, so it has to be there as long as one of them runs; it leads to the program
//! of the last start, and a newer one serves what an older one made.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::host::HostError;
use crate::host::containerd::instances::BUILTIN_SHIM;

/// Where it is.
pub(super) fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("bin").join(BUILTIN_SHIM)
}

/// Makes it, or leads it to this program, in one step: whoever looks for it meanwhile finds the old one or the new one.
pub(super) fn make(state_dir: &Path) -> Result<(), HostError> {
    let link = path(state_dir);
    std::env::current_exe()
        .and_then(|program| replace(&link, &program))
        .map_err(|error| HostError::Failed(format!("link {} to this program: {error}", link.display())))
}

fn replace(link: &Path, program: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|leads_to| leads_to == program) {
        return Ok(());
    }
    if let Some(directory) = link.parent() {
        fs::create_dir_all(directory)?;
    }
    let next = link.with_extension("next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(program, &next)?;
    fs::rename(&next, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leads_to_the_program_of_the_last_start_and_nothing_else_is_left() {
        let state = tempfile::tempdir().unwrap();
        let link = path(state.path());
        for program in ["/opt/one/actord", "/opt/two/actord", "/opt/two/actord"] {
            replace(&link, Path::new(program)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(program));
            // As an actord leaves it that is killed between the two steps.
            let _ = symlink("/opt/half", link.with_extension("next"));
        }
        make(state.path()).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), std::env::current_exe().unwrap());
        assert_eq!(fs::read_dir(link.parent().unwrap()).unwrap().count(), 1);
    }
}
