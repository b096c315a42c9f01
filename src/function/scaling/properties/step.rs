//! What can happen, decoded from a number.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many replicas are needed from now on; more than the most is too much.
    Load(u32),
    /// Seconds go by.
    Wait(u64),
    /// The next look sees so many requests in flight that are none.
    Phantom(usize),
    /// An operator sets the number.
    Scale(u32),
    /// A new version, with the number that ran or with the one that was asked for.
    Update { keeps: bool },
    /// The machine carries no more than so many.
    Carries(u32),
    /// It is idle, or kept down.
    Zero,
    /// It is woken.
    Wake,
    /// actord starts anew.
    Restart,
}

impl Step {
    pub(super) fn decode(word: u32) -> Self {
        let (kind, value) = (word % 32, word >> 5);
        match kind {
            0..=8 => Self::Load(value % 15),
            9..=17 => Self::Wait(u64::from(value % 40) + 1),
            18 | 19 => Self::Wait(u64::from(value % 300) + 1),
            20..=22 => Self::Phantom(value as usize % 200),
            23 => Self::Scale(value % 12 + 1),
            24 | 25 => Self::Update { keeps: value % 2 == 0 },
            26 => Self::Carries(value % 5 + 1),
            27 => Self::Carries(u32::MAX),
            28 => Self::Zero,
            29 | 30 => Self::Wake,
            _ => Self::Restart,
        }
    }
}
