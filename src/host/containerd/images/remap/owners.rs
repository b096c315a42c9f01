//! Owners that stand elsewhere than in a file's own two numbers: its access control lists.

use crate::host::IdMapping;

/// The two lists that a file may have.
const LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// The kernel's form of a list: a version, then entries of tag, permissions and number.
const HEAD: [u8; 4] = 2_u32.to_le_bytes();
const ENTRY: usize = 8;
/// The tags of entries for one user and for one group. Others have no number.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// The value of an extended attribute as it has to be in the copy; the number that is not mapped, where there is one.
pub(super) fn mapped(name: &[u8], mut value: Vec<u8>, ids: IdMapping) -> Result<Vec<u8>, u32> {
    if !LISTS.contains(&name) || !value.starts_with(&HEAD) {
        return Ok(value);
    }
    for entry in value[HEAD.len()..].as_chunks_mut::<ENTRY>().0 {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        if tag == USER || tag == GROUP {
            let number = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let outside = ids.on_the_machine(number).ok_or(number)?;
            entry[4..].copy_from_slice(&outside.to_le_bytes());
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        for (tag, number) in entries {
            bytes.extend([tag.to_le_bytes(), 7_u16.to_le_bytes()].concat());
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_users_and_groups_of_a_list_are_mapped_and_nothing_else_is_touched() {
        let ids: IdMapping = "100000:65536".parse().unwrap();
        let before = list(&[(0x01, u32::MAX), (USER, 1000), (0x04, u32::MAX), (GROUP, 44), (0x10, u32::MAX)]);
        let after = list(&[(0x01, u32::MAX), (USER, 101_000), (0x04, u32::MAX), (GROUP, 100_044), (0x10, u32::MAX)]);
        assert_eq!(mapped(LISTS[0], before.clone(), ids), Ok(after.clone()));
        assert_eq!(mapped(LISTS[1], before.clone(), ids), Ok(after));
        assert_eq!(mapped(b"user.system.posix_acl_access", before.clone(), ids), Ok(before));
        assert_eq!(mapped(LISTS[0], list(&[(USER, 65_536)]), ids), Err(65_536));
        for odd in [vec![], vec![2, 0, 0], vec![3, 0, 0, 0, 2, 0, 7, 0, 1, 0, 0, 0], list(&[(USER, 1)])[..9].to_vec()] {
            assert_eq!(mapped(LISTS[0], odd.clone(), ids), Ok(odd), "what is no list is left as it is");
        }
    }
}
