//! What a container's process is before its program: its user, what it may do, its environment, and where its command is.

use std::ffi::CString;
use std::io::Read as _;
use std::path::Path;

use oci_spec::runtime::{Capabilities, LinuxCapabilities, PosixRlimit, PosixRlimitType, Process, User};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::fault::{Fault, Stage};

/// The greatest number of a user or group that runc takes.
const NUMBER_MAX: u32 = i32::MAX.unsigned_abs();
/// How much of a container's `/etc/passwd` is read.
const PASSWD_MAX: u64 = 1 << 20;

/// Sets the limits of a spec.
pub(super) fn limit(limits: &[PosixRlimit]) -> Result<(), Fault> {
    for limit in limits {
        let value = Rlimit { current: finite(limit.soft()), maximum: finite(limit.hard()) };
        let doing = format!("error during container init: error setting rlimit {}", limit.typ());
        setrlimit(resource(limit.typ()), value).map_err(Fault::setup(doing))?;
    }
    Ok(())
}

fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}

/// The numbers of a spec's user.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Numbers {
    pub(super) fn of(user: &User) -> Result<Self, Fault> {
        let groups = user.additional_gids().iter().flatten().copied();
        if [user.uid(), user.gid()].into_iter().chain(groups.clone()).any(|number| number > NUMBER_MAX) {
            let text = format!("unable to setup user: uids and gids must be in range 0-{NUMBER_MAX}");
            return Err(Fault { stage: Stage::Process, errno: Some(libc::EINVAL), text });
        }
        Ok(Self {
            uid: Uid::from_raw(user.uid()),
            gid: Gid::from_raw(user.gid()),
            groups: groups.map(Gid::from_raw).collect(),
        })
    }
}

/// Becomes the user. What it may do is what the spec grants, from here on and for every program that is executed.
pub(super) fn become_user(numbers: &Numbers, granted: Option<&LinuxCapabilities>) -> Result<(), Fault> {
    let failed = |errno| Fault::setup("unable to setup user")(errno);
    let of_capabilities = |errno| Fault::setup("unable to apply caps")(errno);
    let set = |of: fn(&LinuxCapabilities) -> &Option<Capabilities>| granted.and_then(|all| of(all).as_ref());
    let bounding = numbered(set(LinuxCapabilities::bounding))?;
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if !bounding.contains(one) {
            match capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one).map_err(of_capabilities)?,
                Ok(false) => {}
                // Beyond the last that this kernel has.
                Err(_) => break,
            }
        }
    }
    set_keep_capabilities(true).map_err(of_capabilities)?;
    set_thread_groups(&numbers.groups).map_err(failed)?;
    set_thread_res_gid(numbers.gid, numbers.gid, numbers.gid).map_err(failed)?;
    set_thread_res_uid(numbers.uid, numbers.uid, numbers.uid).map_err(failed)?;
    set_keep_capabilities(false).map_err(of_capabilities)?;
    let sets = CapabilitySets {
        effective: numbered(set(LinuxCapabilities::effective))?,
        permitted: numbered(set(LinuxCapabilities::permitted))?,
        inheritable: numbered(set(LinuxCapabilities::inheritable))?,
    };
    set_capabilities(None, sets).map_err(of_capabilities)?;
    clear_ambient_capability_set().map_err(of_capabilities)?;
    for one in numbered(set(LinuxCapabilities::ambient))?.iter() {
        configure_capability_in_ambient_set(one, true).map_err(of_capabilities)?;
    }
    Ok(())
}

/// A set as the kernel has it.
fn numbered(names: Option<&Capabilities>) -> Result<CapabilitySet, Fault> {
    let mut set = CapabilitySet::empty();
    for name in names.into_iter().flatten() {
        let name = name.to_string();
        let short = name.trim_start_matches("CAP_");
        let one = CapabilitySet::from_name(short);
        set |= one.ok_or_else(|| Fault::request(format!("the capability {name} is not known to this runtime")))?;
    }
    Ok(set)
}

/// Goes where the process shall begin. As root it may be possible, and as the user, or only as one of them.
pub(super) fn enter_directory(process: &Process, last_try: bool) -> Result<bool, Fault> {
    let at = process.cwd();
    match rustix::process::chdir(at) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS) if !last_try => Ok(false),
        Err(errno) => {
            let doing = format!("chdir to cwd ({:?}) set in config.json failed", at.to_string_lossy());
            Err(Fault::process(doing)(errno))
        }
    }
}

/// The variables of a spec, of several of one name the last; and `HOME`, where they have none, as the image's list of users
/// has it.
pub(super) fn environment(process: &Process) -> Vec<String> {
    let mut variables: Vec<String> = Vec::new();
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    for entry in process.env().iter().flatten() {
        match variables.iter_mut().find(|known| name(known) == name(entry)) {
            Some(known) => known.clone_from(entry),
            None => variables.push(entry.clone()),
        }
    }
    let has_home = |entry: &String| entry.strip_prefix("HOME=").is_some_and(|value| !value.is_empty());
    if !variables.iter().any(has_home) {
        variables.retain(|entry| name(entry) != "HOME");
        let home = home(&passwd(), process.user().uid()).unwrap_or_else(|| "/".to_owned());
        variables.push(format!("HOME={home}"));
    }
    variables
}

/// The image's list of users, or nothing: it may be anything.
fn passwd() -> String {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut text = Vec::new();
    if let Ok(file) = rustix::fs::open("/etc/passwd", flags, Mode::empty())
        && rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    {
        let _ = std::fs::File::from(file).take(PASSWD_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn home(passwd: &str, uid: u32) -> Option<String> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let of_user = |fields: &Vec<&str>| fields.get(2).and_then(|number| number.trim().parse().ok()) == Some(uid);
    fields.into_iter().find(of_user)?.get(5).map(|home| (*home).to_owned())
}

/// Where the command is: as a path, or in one of the directories of `PATH`.
pub(super) fn command(arguments: &[String], environment: &[String]) -> Result<CString, Fault> {
    let name = arguments.first().ok_or_else(|| Fault::request("the runtime spec has no command"))?;
    let doing = format!("exec: {name:?}");
    let found = if name.contains('/') {
        let of_stat = |errno| Fault::process(format!("{doing}: stat {name}"))(errno);
        match executable(name) {
            Ok(()) => Some(name.clone()),
            Err(Errno::ACCESS) => return Err(Fault::process(doing)(Errno::ACCESS)),
            Err(errno) => return Err(of_stat(errno)),
        }
    } else {
        let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
        let places = path.split(':').filter(|place| place.starts_with('/')).map(|place| Path::new(place).join(name));
        places.map(|place| place.to_string_lossy().into_owned()).find(|place| executable(place).is_ok())
    };
    let missing = || Fault {
        stage: Stage::Process,
        errno: Some(libc::ENOENT),
        text: format!("{doing}: executable file not found in $PATH"),
    };
    CString::new(found.ok_or_else(missing)?).map_err(|_| Fault::process(format!("{doing}: stat {name}"))(Errno::INVAL))
}

fn executable(path: &str) -> Result<(), Errno> {
    let mode = rustix::fs::stat(path)?.st_mode;
    match FileType::from_raw_mode(mode) == FileType::Directory || mode & 0o111 == 0 {
        true => Err(Errno::ACCESS),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{ProcessBuilder, UserBuilder};

    use super::*;

    fn process(environment: &[&str]) -> Process {
        let environment: Vec<String> = environment.iter().map(ToString::to_string).collect();
        ProcessBuilder::default().env(environment).build().unwrap()
    }

    #[test]
    fn of_two_variables_of_a_name_the_last_counts_and_home_is_added() {
        let found = environment(&process(&["PATH=/a", "X=1", "X=2=3"]));
        assert_eq!(found[..2], ["PATH=/a", "X=2=3"]);
        assert!(found[2].starts_with("HOME=/"), "{found:?}");
        assert_eq!(environment(&process(&["HOME=/h", "X=1"])), ["HOME=/h", "X=1"]);
        assert_eq!(environment(&process(&["HOME=", "X="]))[0], "X=");
    }

    #[test]
    fn a_home_is_that_of_the_users_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad line\napp:x:100:101::/home/app:/bin/sh\n";
        assert_eq!(home(passwd, 100).as_deref(), Some("/home/app"));
        assert_eq!(home(passwd, 7), None);
    }

    #[test]
    fn a_command_is_a_path_or_is_looked_for() {
        let path = ["PATH=/no/such:relative:/usr/bin:/bin".to_owned()];
        let find = |name: &str| command(&[name.to_owned()], &path);
        assert!(find("sh").unwrap().to_str().unwrap().ends_with("bin/sh"));
        assert_eq!(find("/bin/sh").unwrap().to_str(), Ok("/bin/sh"));
        for (name, text) in [
            ("nope", "exec: \"nope\": executable file not found in $PATH"),
            ("/nope", "exec: \"/nope\": stat /nope: no such file or directory"),
            ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
            ("/etc", "exec: \"/etc\": permission denied"),
            ("/etc/passwd/x", "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory"),
            ("/x\0y", "exec: \"/x\\0y\": stat /x\0y: invalid argument"),
        ] {
            assert_eq!(find(name).unwrap_err().text, text);
        }
    }

    #[test]
    fn a_user_has_a_number_that_can_be_used() {
        let user = |uid, gid| UserBuilder::default().uid(uid).gid(gid).build().unwrap();
        assert!(Numbers::of(&user(NUMBER_MAX, 0)).is_ok());
        for user in [user(u32::MAX, 0), user(0, NUMBER_MAX + 1)] {
            assert!(Numbers::of(&user).unwrap_err().text.contains("must be in range"));
        }
    }
}
