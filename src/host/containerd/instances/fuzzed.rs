//! An image's `USER` and account files as a fuzz target: whatever they say, a process runs by numbers that the kernel takes.

use super::user::{Accounts, UserText};

/// The first line is `USER`, then come `/etc/passwd` and, after an empty line, `/etc/group`.
pub(crate) fn users(bytes: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(bytes);
    let (user, files) = text.split_once('\n').unwrap_or((text, ""));
    let (passwd, group) = files.split_once("\n\n").unwrap_or((files, ""));
    let accounts = Accounts { passwd: passwd.to_owned(), group: group.to_owned() };
    let user = UserText::new(Some(user));
    let Ok(identity) = user.resolve(&accounts) else { return false };
    let highest = 0x7fff_ffff;
    assert!(identity.uid <= highest && identity.gid <= highest && identity.groups.iter().all(|gid| *gid <= highest));
    assert!(identity.groups.len() <= group.lines().count(), "more groups than there are");
    // What can be told without the files is the same with them.
    assert!(user.by_number().is_none_or(|told| told == identity), "a number is another user's");
    // Without any file nobody becomes root who did not ask for it.
    if let Ok(alone) = user.resolve(&Accounts::default()) {
        let (name, _) = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_once(':')
            .unwrap_or((text.lines().next().unwrap_or_default(), ""));
        let asked = name.is_empty() || name == "root" || name.parse() == Ok(0_u32);
        assert!(alone.uid != 0 || asked, "{name:?} became root");
    }
    true
}
