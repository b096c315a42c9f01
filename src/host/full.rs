//! A full disk, told by its words: containerd, its shims, runc and the network plugins have no other way to say it.

/// How Go, Rust and C end the message of ENOSPC and EDQUOT.
const WORDS: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// The same message with the next step, where it is one of a full disk. A control group that has no room for another says
/// it in the same words, and is no disk.
pub(super) fn advice(message: &str) -> Option<String> {
    let said = message.to_ascii_lowercase();
    let is_full = WORDS.iter().any(|words| said.contains(words)) && !said.contains("/sys/fs/cgroup");
    is_full.then(|| format!("{message}: the disk is full, free some room on it and try again"))
}

#[cfg(test)]
mod tests {
    use crate::function::StartError;
    use crate::host::HostError;

    #[test]
    fn a_full_disk_is_known_by_its_words_whoever_says_them() {
        for message in [
            "prepare snapshot f-1: write /var/lib/actord/containerd/meta.db: no space left on device: unknown",
            "write the files of f-1: /run/actord/instances/f-1: No space left on device (os error 28)",
            "attach f-1: host-local: open /run/actord/cni/10.62.0.2: disk quota exceeded",
        ] {
            let error = StartError::from(HostError::Failed(message.to_owned()));
            let StartError::NoRoom(words) = &error else { panic!("{error:?}") };
            assert!(words.starts_with(message) && words.contains("free some room"), "{words}");
            assert!(!error.is_permanent(), "room may come back");
        }
    }

    #[test]
    fn a_control_group_or_another_failure_is_no_full_disk() {
        for message in
            ["mkdir /sys/fs/cgroup/cpu/actord/f-1: no space left on device", "create f-1: connection refused"]
        {
            assert_eq!(StartError::from(HostError::Failed(message.to_owned())), StartError::Host(message.to_owned()));
        }
        let spec = StartError::from(HostError::Spec("/x: no space left on device".to_owned()));
        assert!(matches!(spec, StartError::Spec(_)), "what the caller has to mend stays so");
    }
}
