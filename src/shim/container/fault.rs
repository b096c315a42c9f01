//! Why a container can't be made or started, in the words that runc has for it: actord reads them to tell what the caller has
//! to mend from what may heal by itself.

use std::fmt;

use rustix::io::Errno;

/// What was being done when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Asking for the container, or reading what it shall be. Nothing of the image was touched.
    Request,
    /// Namespaces, control groups, limits and mounts: what lies around the process.
    Setup,
    /// What the image says of its process: directory, user, command.
    Process,
}

/// A container that can't be made or started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was being done.
    pub stage: Stage,
    /// What the kernel said, if it said anything.
    pub errno: Option<i32>,
    /// The whole story, for a person.
    pub text: String,
}

impl Fault {
    pub(super) fn request(text: impl Into<String>) -> Self {
        Self { stage: Stage::Request, errno: None, text: text.into() }
    }

    /// A step around the process that failed: `doing` and what the kernel said.
    pub(super) fn setup(doing: impl fmt::Display) -> impl Fn(Errno) -> Self {
        move |errno| Self::of(Stage::Setup, &doing, errno)
    }

    /// A step for the process that failed.
    pub(super) fn process(doing: impl fmt::Display) -> impl Fn(Errno) -> Self {
        move |errno| Self::of(Stage::Process, &doing, errno)
    }

    fn of(stage: Stage, doing: &impl fmt::Display, errno: Errno) -> Self {
        Self { stage, errno: Some(errno.raw_os_error()), text: format!("{doing}: {}", in_words(errno)) }
    }

    /// For one message: the stage, the kernel's number, the text.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let stage = match self.stage {
            Stage::Request => b'r',
            Stage::Setup => b's',
            Stage::Process => b'p',
        };
        [&[stage], self.errno.unwrap_or_default().to_le_bytes().as_slice(), self.text.as_bytes()].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (stage, rest) = bytes.split_first()?;
        let (errno, text) = rest.split_first_chunk()?;
        let stage = match stage {
            b'r' => Stage::Request,
            b's' => Stage::Setup,
            b'p' => Stage::Process,
            _ => return None,
        };
        let errno = Some(i32::from_le_bytes(*errno)).filter(|number| *number != 0);
        Some(Self { stage, errno, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Stage::Request => write!(f, "OCI runtime create failed: {}", self.text),
            Stage::Setup | Stage::Process => {
                write!(f, "OCI runtime create failed: unable to start container process: {}", self.text)
            }
        }
    }
}

impl std::error::Error for Fault {}

/// What the kernel's number means, as Go programs write it.
pub(super) fn in_words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_its_way_through_a_socket() {
        let faults = [
            Fault::request("no bundle"),
            Fault::setup("mount")(Errno::NOSPC),
            Fault::process("exec: \"x\"")(Errno::ACCESS),
        ];
        for fault in faults {
            assert_eq!(Fault::from_bytes(&fault.to_bytes()), Some(fault));
        }
        assert_eq!(Fault::from_bytes(b"p1"), None);
        assert_eq!(Fault::from_bytes(b"x0000text"), None);
    }

    #[test]
    fn it_says_what_the_kernel_said_as_runc_would() {
        for (errno, words) in [
            (Errno::NOENT, "no such file or directory"),
            (Errno::ACCESS, "permission denied"),
            (Errno::NOTDIR, "not a directory"),
            (Errno::LOOP, "too many levels of symbolic links"),
            (Errno::NAMETOOLONG, "file name too long"),
            (Errno::NOEXEC, "exec format error"),
            (Errno::TOOBIG, "argument list too long"),
            (Errno::INVAL, "invalid argument"),
            (Errno::PERM, "operation not permitted"),
            (Errno::EXIST, "file exists"),
            (Errno::ISDIR, "is a directory"),
            (Errno::NOSPC, "no space left on device"),
        ] {
            assert_eq!(in_words(errno), words);
        }
        let fault = Fault::process("exec: \"/x\": stat /x")(Errno::NOENT);
        let told = "OCI runtime create failed: unable to start container process: exec: \"/x\": stat /x: no such file or directory";
        assert_eq!(fault.to_string(), told);
    }
}
