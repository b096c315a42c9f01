//! The options of a mount, as a runtime spec lists them. Pure.

use rustix::mount::MountFlags;

/// What they ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) flags: MountFlags,
    /// What the file system itself takes.
    pub(super) data: Vec<String>,
    pub(super) bind: bool,
    /// With what is mounted below.
    pub(super) recursive: bool,
    /// A copy of what the image has there.
    pub(super) copy_up: bool,
}

impl Options {
    pub(super) fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parsed =
            Self { flags: MountFlags::empty(), data: Vec::new(), bind: false, recursive: false, copy_up: false };
        for option in options {
            match option {
                "ro" => parsed.flags |= MountFlags::RDONLY,
                "nosuid" => parsed.flags |= MountFlags::NOSUID,
                "nodev" => parsed.flags |= MountFlags::NODEV,
                "noexec" => parsed.flags |= MountFlags::NOEXEC,
                "noatime" => parsed.flags |= MountFlags::NOATIME,
                "relatime" => parsed.flags |= MountFlags::RELATIME,
                "strictatime" => parsed.flags |= MountFlags::STRICTATIME,
                "bind" => parsed.bind = true,
                "rbind" => (parsed.bind, parsed.recursive) = (true, true),
                "tmpcopyup" => parsed.copy_up = true,
                "defaults" | "rw" | "suid" | "dev" | "exec" | "rprivate" | "private" | "rslave" | "slave" => {}
                data => parsed.data.push(data.to_owned()),
            }
        }
        parsed
    }

    pub(super) fn read_only(&self) -> bool {
        self.flags.contains(MountFlags::RDONLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_flag_is_the_file_systems_own() {
        let options = Options::parse(["nosuid", "strictatime", "mode=755", "size=65536k", "newinstance", "ro"]);
        assert_eq!(options.flags, MountFlags::NOSUID | MountFlags::STRICTATIME | MountFlags::RDONLY);
        assert_eq!(options.data, ["mode=755", "size=65536k", "newinstance"]);
        assert!(options.read_only() && !options.bind && !options.copy_up);
        let bind = Options::parse(["rbind", "rprivate", "rw"]);
        assert!(bind.bind && bind.recursive && bind.flags.is_empty() && bind.data.is_empty());
        assert!(Options::parse(["tmpcopyup"]).copy_up);
    }
}
