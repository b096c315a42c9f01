//! What is kept: programs and copies of what the data directory keeps, each on the disk before anybody counts on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::home::named;
use crate::durable;

/// The databases, with all that is beside them, and what else is kept in a layout that has a version.
const DATABASES: [&str; 2] = ["actord.db", "calls.db"];
const CREDENTIALS: &str = "auth";
/// What SQLite makes anew, and what is no database: half of one, and damaged ones that a person may look at.
const NOT: [&str; 3] = ["-shm", ".new", ".damaged-"];
/// How much of a file is read at once.
const PIECE: usize = 1 << 20;

/// Puts a copy of a program in a place, whatever is there: whoever executes it meets the old one or the new one.
pub(super) fn put_program(from: &Path, to: &Path) -> io::Result<()> {
    let owner = fs::metadata(to).ok().map(|about| (about.uid(), about.gid(), about.mode() & 0o7777));
    let draft = durable::draft(to);
    let put = || {
        copy(from, &draft)?;
        let mode = owner.map_or(0o755, |(.., mode)| mode | 0o100);
        fs::set_permissions(&draft, fs::Permissions::from_mode(mode))?;
        if let Some((user, group, _)) = owner {
            chown(&draft, Some(user), Some(group))?;
        }
        durable::put(&draft, to)
    };
    put().map_err(|error| {
        // Room is what may be short now.
        let _ = fs::remove_file(&draft);
        named(to, &error)
    })
}

/// A copy that is on the disk when this returns, but for its name. The kernel shares the blocks where it can.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

/// The sum of a file.
pub(super) fn sum(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut read = || {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                length => hash.update(&buffer[..length]),
            }
        }
    };
    read().map_err(|error: io::Error| named(path, &error))?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The files of a data directory whose layout has a version, by their names in it.
fn files(data_dir: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for (dir, below) in [(data_dir.to_owned(), ""), (data_dir.join(CREDENTIALS), "auth/")] {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !below.is_empty() => continue,
            entries => entries.map_err(|error| named(&dir, &error))?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_database = DATABASES.iter().any(|database| name.starts_with(database));
            let counts = !below.is_empty() || is_database;
            if counts && entry.file_type()?.is_file() && !NOT.iter().any(|not| name.contains(not)) {
                found.push(format!("{below}{name}"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// How many bytes the copies of a data directory take.
pub(super) fn size(data_dir: &Path) -> io::Result<u64> {
    files(data_dir)?.iter().map(|name| Ok(fs::metadata(data_dir.join(name))?.len())).sum()
}

/// Copies what is kept, while no actord uses it. Returns the sums of the copies.
pub(super) fn copy_data(data_dir: &Path, to: &Path) -> io::Result<BTreeMap<String, String>> {
    discard(to)?;
    durable::make_dir(&to.join(CREDENTIALS), 0o700)?;
    let mut sums = BTreeMap::new();
    for name in files(data_dir)? {
        let (original, copied) = (data_dir.join(&name), to.join(&name));
        copy(&original, &copied).map_err(|error| named(&copied, &error))?;
        let (wanted, found) = (sum(&original)?, sum(&copied)?);
        if wanted != found {
            return Err(io::Error::other(format!("{} is not what it is a copy of", copied.display())));
        }
        sums.insert(name, found);
    }
    durable::sync_dir(&to.join(CREDENTIALS))?;
    durable::sync_dir(to)?;
    Ok(sums)
}

/// Fails where a copy is not whole any more, or gone. One that has taken its place is as good.
pub(super) fn must_be_whole(copies: &Path, sums: &BTreeMap<String, String>, data_dir: &Path) -> io::Result<()> {
    for (name, wanted) in sums {
        let (copied, place) = (copies.join(name), data_dir.join(name));
        match sum(&copied) {
            Ok(found) if found == *wanted => {}
            Ok(_) => return Err(io::Error::other(format!("{} was damaged since it was made", copied.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if sum(&place).ok().as_ref() != Some(wanted) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Puts the copies in their places, while no actord uses what is there. Can be done again whenever it was cut off.
pub(super) fn restore_data(copies: &Path, sums: &BTreeMap<String, String>, data_dir: &Path) -> io::Result<()> {
    // Before the first of them takes its place: copies that are no longer whole are no way back.
    must_be_whole(copies, sums, data_dir)?;
    let is_side_of = |name: &str| DATABASES.iter().any(|database| name == format!("{database}-shm"));
    for name in files(data_dir)?.into_iter().filter(|name| !sums.contains_key(name)) {
        remove(&data_dir.join(name))?;
    }
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_side_of) {
            remove(&entry.path())?;
        }
    }
    for name in sums.keys() {
        let (place, copied) = (data_dir.join(name), copies.join(name));
        if copied.exists() {
            put_data(&copied, &place).map_err(|error| named(&place, &error))?;
        }
    }
    durable::sync_dir(data_dir)
}

/// By its name where it is on the same disk: that needs no room. Else the copy stays, and where there is no room for both what is
/// there goes first: it is void, and the copy is the truth.
fn put_data(copied: &Path, place: &Path) -> io::Result<()> {
    match durable::put(copied, place) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        put => return put,
    }
    let draft = durable::draft(place);
    let from_afar = || copy(copied, &draft).and_then(|()| durable::put(&draft, place));
    match from_afar() {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            remove(&draft)?;
            remove(place)?;
            from_afar()
        }
        put => put,
    }
    .inspect_err(|_| drop(remove(&draft)))
}

/// Removes a directory of ours with all that is in it.
pub(super) fn discard(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(dir, &error)),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(path, &error)),
        _ => Ok(()),
    }
}

/// Fails where a directory's disk has less room than this.
pub(super) fn must_have_room(dir: &Path, wanted: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < wanted {
        let dir: PathBuf = dir.to_owned();
        return Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{} bytes are needed in {}, and {free} are free", wanted, dir.display()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("auth")).unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    fn content(dir: &Path) -> BTreeMap<String, String> {
        let all = files(dir).unwrap();
        all.into_iter().map(|name| (name.clone(), fs::read_to_string(dir.join(name)).unwrap())).collect()
    }

    #[test]
    fn what_is_kept_is_again_what_it_was_however_often_that_is_done() {
        let data = data(&[
            ("actord.db", "store"),
            ("actord.db.good", "good"),
            ("calls.db", "calls"),
            ("calls.db-wal", "log"),
            ("auth/tokens.json", "tokens"),
            ("host-id", "of no version"),
        ]);
        let home = tempfile::tempdir().unwrap();
        let (copies, before) = (home.path().join("databases"), content(data.path()));
        assert_eq!(before.len(), 5);
        let sums = copy_data(data.path(), &copies).unwrap();
        let again = copy_data(data.path(), &copies).unwrap();
        assert_eq!(sums, again, "what a cut left of an earlier one is in nobody's way");
        for (name, text) in
            [("actord.db", "newer"), ("actord.db-wal", "x"), ("actord.db-shm", "x"), ("auth/sessions.json", "x")]
        {
            fs::write(data.path().join(name), text).unwrap();
        }
        fs::remove_file(data.path().join("calls.db-wal")).unwrap();
        for _ in 0..2 {
            restore_data(&copies, &sums, data.path()).unwrap();
            assert_eq!(content(data.path()), before);
            assert!(!data.path().join("actord.db-shm").exists());
        }
        assert_eq!(fs::read_to_string(data.path().join("host-id")).unwrap(), "of no version");
    }

    #[test]
    fn copies_need_no_room_to_take_their_places_and_may_be_cut_off_between_two() {
        let data = data(&[("actord.db", "store"), ("calls.db", "calls")]);
        let before = content(data.path());
        let copies = data.path().join("home/databases");
        let sums = copy_data(data.path(), &copies).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let copied = inode(&copies.join("actord.db"));
        for name in ["actord.db", "calls.db"] {
            fs::write(data.path().join(name), "newer").unwrap();
        }
        // The first one has its place already.
        fs::rename(copies.join("actord.db"), data.path().join("actord.db")).unwrap();
        restore_data(&copies, &sums, data.path()).unwrap();
        assert_eq!(content(data.path()), before);
        assert_eq!(inode(&data.path().join("actord.db")), copied, "it is the copy itself");
        must_be_whole(&copies, &sums, data.path()).unwrap();

        fs::write(data.path().join("actord.db"), "newer").unwrap();
        let lost = must_be_whole(&copies, &sums, data.path()).unwrap_err();
        assert!(lost.kind() == io::ErrorKind::NotFound && lost.to_string().contains("databases/actord.db"), "{lost}");
    }

    #[test]
    fn copies_on_another_disk_are_put_in_their_places_and_stay() {
        let data = data(&[("actord.db", "store")]);
        let before = content(data.path());
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { panic!("no second file system") };
        let dev = |path: &Path| fs::metadata(path).unwrap().dev();
        assert_ne!(dev(other.path()), dev(data.path()), "they are two disks");
        let copies = other.path().join("databases");
        let sums = copy_data(data.path(), &copies).unwrap();
        for _ in 0..2 {
            fs::write(data.path().join("actord.db"), "newer").unwrap();
            restore_data(&copies, &sums, data.path()).unwrap();
            assert_eq!(content(data.path()), before);
        }
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn copies_that_were_damaged_take_no_place() {
        let data = data(&[("actord.db", "store"), ("calls.db", "calls")]);
        let home = tempfile::tempdir().unwrap();
        let copies = home.path().join("databases");
        let sums = copy_data(data.path(), &copies).unwrap();
        fs::write(copies.join("calls.db"), "callz").unwrap();
        fs::write(data.path().join("actord.db"), "newer").unwrap();
        let refused = restore_data(&copies, &sums, data.path()).unwrap_err().to_string();
        assert!(refused.contains("calls.db"), "{refused}");
        assert_eq!(fs::read_to_string(data.path().join("actord.db")).unwrap(), "newer");
    }

    #[test]
    fn a_program_takes_the_place_of_another_with_its_owner_and_mode_while_that_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (place, next) = (dir.path().join("actord"), dir.path().join("next"));
        fs::write(&place, "old").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(&next, "new").unwrap();
        let running = File::open(&place).unwrap();
        put_program(&next, &place).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o750);
        assert_eq!(io::read_to_string(running).unwrap(), "old");
        assert_eq!(sum(&place).unwrap(), sum(&next).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
