//! Who a function's process runs as: an image's `USER` looked up in the image's own `/etc/passwd` and `/etc/group`.

use crate::host::{HostError, IdMapping};

/// The highest number of a user or group that runc takes.
const ID_MAX: u32 = i32::MAX as u32;

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
}

impl Identity {
    /// As this machine has it, whose files are to be this user's.
    ///
    /// # Errors
    /// [`HostError::Spec`] when one of the numbers is not mapped.
    pub(super) fn on_the_machine(&self, ids: Option<IdMapping>) -> Result<Self, HostError> {
        let Some(ids) = ids else { return Ok(self.clone()) };
        let mapped = |kind: &str, number: u32| {
            ids.on_the_machine(number).ok_or_else(|| {
                HostError::Spec(format!(
                    "the image runs as {kind} {number}, and user-namespace-ids ({ids}) has {}: mend the image's USER, or have the operator give more there",
                    ids.count()
                ))
            })
        };
        let groups = self.groups.iter().map(|group| mapped("group", *group)).collect::<Result<_, _>>()?;
        Ok(Self { uid: mapped("user", self.uid)?, gid: mapped("group", self.gid)?, groups })
    }
}

/// What an image's config says under `User`: `""`, `user`, `user:group`, each a name or a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct UserText<'a> {
    user: &'a str,
    group: Option<&'a str>,
}

/// An image's account files; empty where it has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) passwd: String,
    pub(super) group: String,
}

impl<'a> UserText<'a> {
    pub(super) fn new(text: Option<&'a str>) -> Self {
        let text = text.unwrap_or_default();
        match text.split_once(':') {
            Some((user, group)) => Self { user, group: Some(group).filter(|group| !group.is_empty()) },
            None => Self { user: text, group: None },
        }
    }

    /// The identity, where it can be told without the image's account files: root, or two numbers.
    pub(super) fn by_number(self) -> Option<Identity> {
        match (self.user, self.group) {
            ("" | "0" | "root", None | Some("0" | "root")) => Some(Identity::default()),
            (user, Some(group)) => Some(Identity { uid: id(user)?, gid: id(group)?, groups: Vec::new() }),
            _ => None,
        }
    }

    /// The identity. A group that is given stands alone, else the user's own groups count; a number that no user has is
    /// taken as it is, with group 0. So do other engines.
    pub(super) fn resolve(self, accounts: &Accounts) -> Result<Identity, HostError> {
        if let Some(identity) = self.by_number() {
            return Ok(identity);
        }
        let wanted = if self.user.is_empty() { "root" } else { self.user };
        let known = accounts.passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let (name, uid, gid) = (*fields.first()?, id(fields.get(2)?)?, id(fields.get(3)?)?);
            (name == wanted || id(wanted) == Some(uid)).then(|| (name.to_owned(), uid, gid))
        });
        let uid = match (&known, id(wanted), wanted) {
            (Some((_, uid, _)), ..) => *uid,
            (None, Some(uid), _) => uid,
            (None, None, "root") => 0,
            (None, None, name) => return Err(missing("user", name, "/etc/passwd")),
        };
        if let Some(group) = self.group {
            let listed = groups(accounts).find(|(name, ..)| *name == group).map(|(_, gid, _)| gid);
            let gid = listed.or_else(|| id(group)).ok_or_else(|| missing("group", group, "/etc/group"))?;
            return Ok(Identity { uid, gid, groups: Vec::new() });
        }
        let Some((name, _, gid)) = known else { return Ok(Identity { uid, gid: 0, groups: Vec::new() }) };
        let member = |members: &str| members.split(',').any(|member| member == name);
        let groups = groups(accounts).filter(|(.., members)| member(members)).map(|(_, gid, _)| gid).collect();
        Ok(Identity { uid, gid, groups })
    }
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= ID_MAX)
}

/// Name, number and members of each group.
fn groups(accounts: &Accounts) -> impl Iterator<Item = (&str, u32, &str)> {
    accounts.group.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        Some((*fields.first()?, id(fields.get(2)?)?, fields.get(3).copied().unwrap_or_default()))
    })
}

fn missing(kind: &str, name: &str, file: &str) -> HostError {
    HostError::Spec(format!(
        "the image runs as {kind} {name:?}, which its {file} does not have: mend the image's USER, or give a number"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Identity, HostError> {
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001::/home/app:/bin/sh\n".into(),
            group: "root:x:0:\napp:x:1001:\nvideo:x:44:app,root\nlogs:x:50:other,app\ndaemon:x:2:apple\n".into(),
        };
        UserText::new(Some(text)).resolve(&accounts)
    }

    fn identity(uid: u32, gid: u32, groups: &[u32]) -> Identity {
        Identity { uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn no_user_is_root_without_further_groups() {
        for text in ["", "root", "0", "0:0", ":"] {
            assert_eq!(resolve(text).unwrap(), identity(0, 0, &[]), "{text:?}");
        }
        assert_eq!(UserText::new(None).by_number(), Some(Identity::default()));
    }

    #[test]
    fn a_name_brings_its_own_group_and_the_groups_that_list_it() {
        assert_eq!(resolve("app").unwrap(), identity(1000, 1001, &[44, 50]));
        assert_eq!(resolve("1000").unwrap(), identity(1000, 1001, &[44, 50]), "a number that has a name is that user");
    }

    #[test]
    fn a_number_that_nobody_has_is_taken_as_it_is() {
        assert_eq!(resolve("4242").unwrap(), identity(4242, 0, &[]));
        assert_eq!(resolve("4242:4343").unwrap(), identity(4242, 4343, &[]));
    }

    #[test]
    fn a_group_that_is_given_stands_alone() {
        assert_eq!(resolve("app:video").unwrap(), identity(1000, 44, &[]));
        assert_eq!(resolve("app:7").unwrap(), identity(1000, 7, &[]));
        assert_eq!(resolve(":video").unwrap(), identity(0, 44, &[]));
    }

    #[test]
    fn names_that_the_image_does_not_have_are_the_callers_to_mend() {
        for (text, named) in [
            ("nobody", "nobody"),
            ("app:nogroup", "nogroup"),
            ("-1", "-1"),
            ("4294967295", "4294967295"),
            ("2147483648:0", "2147483648"),
        ] {
            let error = resolve(text).unwrap_err();
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains(named)), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_user_is_another_number_on_the_machine_and_one_that_is_not_mapped_is_the_callers_to_mend() {
        let ids = "100000:1002".parse().ok();
        let user = identity(1000, 1001, &[44, 50]);
        assert_eq!(user.on_the_machine(ids), Ok(identity(101_000, 101_001, &[100_044, 100_050])));
        assert_eq!(user.on_the_machine(None), Ok(user));
        for (user, named) in [
            (identity(1002, 0, &[]), "user 1002"),
            (identity(0, 4343, &[]), "group 4343"),
            (identity(0, 0, &[7, 65_534]), "group 65534"),
        ] {
            let error = user.on_the_machine(ids).unwrap_err();
            assert!(matches!(&error, HostError::Spec(reason) if reason.contains(named)), "{error:?}");
        }
    }

    #[test]
    fn an_image_without_account_files_can_still_run_as_a_number() {
        let resolved = UserText::new(Some("65532")).resolve(&Accounts::default()).unwrap();
        assert_eq!(resolved, identity(65_532, 0, &[]));
    }
}
