//! Platforms: an operating system, an architecture and its variant, and which of them run here. Pure, but for what the
//! processor says.

use std::fmt;

use oci_spec::image::ImageConfiguration;

/// An operating system, an architecture and its variant: `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: String,
    /// Of amd64: the newest level of its instructions that run here, 1 to 4.
    level: u32,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl Platform {
    /// The platform that this program was built for, and runs on.
    pub(crate) fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            other => (other, ""),
        };
        Self { level: amd64_level(), ..Self::new("linux", architecture, variant) }
    }

    /// A platform as documents name it: in any case, and by the names that other tools have for architectures.
    pub(crate) fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let [os, architecture, variant] = [os, architecture, variant].map(|name| name.trim().to_ascii_lowercase());
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("i386" | "i686", variant) => ("386", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", "") => ("arm", "v7"),
            ("armel", "") => ("arm", "v6"),
            (architecture, variant) => (architecture, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned(), level: 1 }
    }

    /// The platform that an entry of an index says.
    pub(crate) fn of_entry(platform: &oci_spec::image::Platform) -> Self {
        let variant = platform.variant().as_deref().unwrap_or_default();
        Self::new(&platform.os().to_string(), &platform.architecture().to_string(), variant)
    }

    /// The platform that a config says. Some builders leave it out altogether.
    pub(crate) fn of_config(config: &ImageConfiguration) -> Option<Self> {
        let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
        let variant = config.variant().as_deref().unwrap_or_default();
        (!os.is_empty() && !architecture.is_empty()).then(|| Self::new(&os, &architecture, variant))
    }

    /// Whether it says that nobody knows it, as builders do for what is no image.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    /// How well an image for `offered` runs here; less is better, None is not at all.
    ///
    /// An image that leaves the variant out means the common one. 32-bit arm runs its older variants too. Of amd64 the
    /// common one is taken where there is one, as other clients do, else the newest that the processor runs.
    pub(crate) fn rank(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let version = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
        let common = match self.architecture.as_str() {
            "arm" => 7,
            "arm64" => 8,
            _ => 1,
        };
        let own = version(&self.variant).unwrap_or(common);
        let theirs = if offered.variant.is_empty() { common } else { version(&offered.variant)? };
        match self.architecture.as_str() {
            "arm" => own.checked_sub(theirs),
            "amd64" if theirs > 1 => self.level.checked_sub(theirs).map(|below| below + 1),
            _ => (own == theirs).then_some(0),
        }
    }

    /// Refuses a config that is for another platform than this one.
    pub(crate) fn check(&self, config: &ImageConfiguration) -> Result<(), String> {
        match Self::of_config(config) {
            Some(offered) if self.rank(&offered).is_none() => {
                Err(format!("it is for {offered}, this machine is {self}: build it for {self}"))
            }
            _ => Ok(()),
        }
    }
}

/// The newest level of x86-64 that this processor has (v1 to v4 of its psABI).
#[cfg(target_arch = "x86_64")]
fn amd64_level() -> u32 {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b") && has!("popcnt") && has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2");
    let v3 =
        has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma") && has!("lzcnt");
    let v4 = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (v2, v3 && has!("movbe"), v4) {
        (true, true, true) => 4,
        (true, true, false) => 3,
        (true, false, _) => 2,
        (false, ..) => 1,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn amd64_level() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_image_runs_where() {
        let here = |name: &str, level| {
            let mut parts = name.split('/');
            let mut part = || parts.next().unwrap_or_default();
            Platform { level, ..Platform::new(part(), part(), part()) }
        };
        for (host, level, offered, expected) in [
            ("linux/amd64", 1, "linux/amd64", Some(0)),
            ("linux/amd64", 1, "linux/amd64/v1", Some(0)),
            ("linux/amd64", 1, "Linux/x86_64", Some(0)),
            ("linux/amd64", 1, "linux/amd64/v2", None),
            ("linux/amd64", 3, "linux/amd64/v2", Some(2)),
            ("linux/amd64", 3, "linux/amd64/v3", Some(1)),
            ("linux/amd64", 3, "linux/amd64/v4", None),
            ("linux/amd64", 3, "linux/amd64/fast", None),
            ("linux/amd64", 4, "windows/amd64", None),
            ("linux/amd64", 4, "linux/386", None),
            ("linux/arm64/v8", 1, "linux/arm64", Some(0)),
            ("linux/arm64/v8", 1, "linux/aarch64/v8", Some(0)),
            ("linux/arm64/v8", 1, "linux/arm64/v9", None),
            ("linux/arm/v7", 1, "linux/arm", Some(0)),
            ("linux/arm/v7", 1, "linux/armel", Some(1)),
            ("linux/arm/v6", 1, "linux/armhf", None),
            ("linux/riscv64", 1, "linux/riscv64", Some(0)),
        ] {
            assert_eq!(here(host, level).rank(&here(offered, 1)), expected, "{offered} on {host}");
        }
    }
}
