//! What a file of a cgroup holds, and which of two contents is the tighter.

use std::{collections::BTreeMap, fmt};

use super::CPU_PERIOD;

/// A file of cgroup v2 that limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// `memory.max`
    MemoryMax,
    /// `memory.high`
    MemoryHigh,
    /// `memory.swap.max`
    SwapMax,
    /// `cpu.max`
    CpuMax,
    /// `cpu.weight`
    CpuWeight,
    /// `pids.max`
    PidsMax,
    /// `io.max`
    IoMax,
    /// `hugetlb.SIZE.max`
    Hugetlb(String),
}

impl File {
    /// The file's name.
    pub fn name(&self) -> String {
        match self {
            Self::MemoryMax => "memory.max".to_owned(),
            Self::MemoryHigh => "memory.high".to_owned(),
            Self::SwapMax => "memory.swap.max".to_owned(),
            Self::CpuMax => "cpu.max".to_owned(),
            Self::CpuWeight => "cpu.weight".to_owned(),
            Self::PidsMax => "pids.max".to_owned(),
            Self::IoMax => "io.max".to_owned(),
            Self::Hugetlb(size) => format!("hugetlb.{size}.max"),
        }
    }

    /// The file of this name, if it is one that limits.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "memory.max" => Self::MemoryMax,
            "memory.high" => Self::MemoryHigh,
            "memory.swap.max" => Self::SwapMax,
            "cpu.max" => Self::CpuMax,
            "cpu.weight" => Self::CpuWeight,
            "pids.max" => Self::PidsMax,
            "io.max" => Self::IoMax,
            _ => {
                let size = name.strip_prefix("hugetlb.")?.strip_suffix(".max")?;
                let plain = size.bytes().all(|byte| byte.is_ascii_alphanumeric());
                Self::Hugetlb(plain.then(|| size.to_owned())?)
            }
        })
    }

    /// What it holds where nobody asked for anything.
    pub fn open(&self) -> Setting {
        match self {
            Self::CpuMax => Setting::Cpu(CpuTime { quota: None, period: CPU_PERIOD }),
            // The usual weight: a higher one would be more than was asked for.
            Self::CpuWeight => Setting::Amount(Some(100)),
            Self::IoMax => Setting::Io(BTreeMap::new()),
            _ => Setting::Amount(None),
        }
    }

    /// Reads the file's content.
    pub fn parse(&self, text: &str) -> Option<Setting> {
        let text = text.trim();
        match self {
            Self::CpuMax => {
                let mut words = text.split_whitespace();
                let quota = limit(words.next()?)?;
                let period = words.next().map_or(Some(CPU_PERIOD), |word| word.parse().ok())?;
                (period > 0).then_some(Setting::Cpu(CpuTime { quota, period }))
            }
            Self::IoMax => {
                Some(Setting::Io(text.lines().map(io_line).collect::<Option<BTreeMap<_, _>>>()?))
            }
            _ => limit(text).map(Setting::Amount),
        }
    }
}

fn limit(word: &str) -> Option<Option<u64>> {
    if word == "max" { Some(None) } else { word.parse().ok().map(Some) }
}

fn io_line(line: &str) -> Option<(String, IoRates)> {
    let mut words = line.split_whitespace();
    let device = words.next()?;
    let mut rates = IoRates::default();
    for word in words {
        let (key, value) = word.split_once('=')?;
        let value = limit(value)?;
        match key {
            "rbps" => rates.read_bytes = value,
            "wbps" => rates.write_bytes = value,
            "riops" => rates.read_operations = value,
            "wiops" => rates.write_operations = value,
            _ => {}
        }
    }
    Some((device.to_owned(), rates))
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A number; `None` is `max`.
    Amount(Option<u64>),
    /// Time on the processors.
    Cpu(CpuTime),
    /// Rates by device, `major:minor`.
    Io(BTreeMap<String, IoRates>),
}

/// Time on the processors in each period, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// The time; `None` is `max`.
    pub quota: Option<u64>,
    /// The period.
    pub period: u64,
}

/// Rates on one disk. `None`: as fast as it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoRates {
    /// Bytes read in a second.
    pub read_bytes: Option<u64>,
    /// Bytes written in a second.
    pub write_bytes: Option<u64>,
    /// Reads in a second.
    pub read_operations: Option<u64>,
    /// Writes in a second.
    pub write_operations: Option<u64>,
}

fn tighter(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (limit, None) | (None, limit) => limit,
    }
}

impl IoRates {
    /// Of each rate the lower.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        Self {
            read_bytes: tighter(self.read_bytes, other.read_bytes),
            write_bytes: tighter(self.write_bytes, other.write_bytes),
            read_operations: tighter(self.read_operations, other.read_operations),
            write_operations: tighter(self.write_operations, other.write_operations),
        }
    }
}

impl CpuTime {
    /// Thousandths of a processor.
    pub fn of_milli(milli: u64) -> Self {
        Self { quota: Some(milli.saturating_mul(CPU_PERIOD / 1_000)), period: CPU_PERIOD }
    }

    /// In thousandths of a processor, rounded up.
    pub fn milli(self) -> Option<u64> {
        let quota = u128::from(self.quota?) * 1_000;
        u64::try_from(quota.div_ceil(u128::from(self.period.max(1)))).ok()
    }

    fn tighter(self, other: Self) -> Self {
        match (self.quota, other.quota) {
            (_, None) => self,
            (None, _) => other,
            (Some(one), Some(two)) => {
                let one = u128::from(one) * u128::from(other.period);
                let two = u128::from(two) * u128::from(self.period);
                if two < one { other } else { self }
            }
        }
    }
}

impl Setting {
    /// The tighter of the two, part by part; `self` where they are alike. Settings of different
    /// files do not compare: `self`.
    #[must_use]
    pub fn tighter(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Amount(one), Self::Amount(two)) => Self::Amount(tighter(*one, *two)),
            (Self::Cpu(one), Self::Cpu(two)) => Self::Cpu(one.tighter(*two)),
            (Self::Io(one), Self::Io(two)) => {
                let mut both = one.clone();
                for (device, rates) in two {
                    let mine = both.entry(device.clone()).or_default();
                    *mine = mine.tighter(*rates);
                }
                // The kernel has no line for a device without limits.
                both.retain(|_, rates| *rates != IoRates::default());
                Self::Io(both)
            }
            _ => self.clone(),
        }
    }

    /// Whether this allows something that `bound` does not.
    pub fn exceeds(&self, bound: &Self) -> bool {
        self.tighter(bound) != *self
    }

    /// The number that it limits to, where it is one: bytes, processes, thousandths of a processor.
    pub fn amount(&self) -> Option<u64> {
        match self {
            Self::Amount(amount) => *amount,
            Self::Cpu(time) => time.milli(),
            Self::Io(_) => None,
        }
    }

    /// What is written to the file to have it hold this instead of `before`: one write a line.
    pub fn lines_after(&self, before: &Self) -> Vec<String> {
        let mut lines = self.lines();
        if let (Self::Io(devices), Self::Io(before)) = (self, before) {
            let lifted = before.keys().filter(|device| !devices.contains_key(*device));
            lines.extend(lifted.map(|device| format!("{device} {}", IoRates::default())));
        }
        lines
    }

    /// Its lines in the file.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Io(devices) => {
                devices.iter().map(|(device, rates)| format!("{device} {rates}")).collect()
            }
            other => vec![other.to_string()],
        }
    }
}

fn word(limit: Option<u64>) -> String {
    limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string())
}

/// As in the file.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(amount) => f.write_str(&word(*amount)),
            Self::Cpu(time) => write!(f, "{} {}", word(time.quota), time.period),
            Self::Io(_) => f.write_str(&self.lines().join("\n")),
        }
    }
}

impl fmt::Display for IoRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [self.read_bytes, self.write_bytes, self.read_operations, self.write_operations];
        let [rbps, wbps, riops, wiops] = parts.map(word);
        write!(f, "rbps={rbps} wbps={wbps} riops={riops} wiops={wiops}")
    }
}
