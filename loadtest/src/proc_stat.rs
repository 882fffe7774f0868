//! What a process has used, from `/proc` (Linux).

use std::io;
use std::time::Duration;

use crate::error::BenchError;

/// The unit of times in `/proc/PID/stat`, whatever the kernel's own tick: `USER_HZ` is 100 on every architecture that Linux has left.
const TICK: Duration = Duration::from_millis(10);

/// Memory of one or several processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: u64,
    /// The most that was ever resident.
    pub peak_bytes: u64,
}

/// The processes of one server: kube-apiserver needs an etcd, which counts too.
#[derive(Debug, Clone)]
pub struct Processes(Vec<u32>);

impl Processes {
    /// The processes with these ids.
    pub fn new(pids: Vec<u32>) -> Self {
        Self(pids)
    }

    /// Processor time used since they started, in user mode and in the kernel.
    pub fn cpu(&self) -> Result<Duration, BenchError> {
        self.0.iter().map(|&pid| read(pid, "stat", parse_cpu)).sum()
    }

    /// Memory in use.
    pub fn memory(&self) -> Result<Memory, BenchError> {
        self.0.iter().try_fold(Memory::default(), |sum, &pid| {
            let memory = read(pid, "status", parse_memory)?;
            Ok(Memory {
                resident_bytes: sum.resident_bytes + memory.resident_bytes,
                peak_bytes: sum.peak_bytes + memory.peak_bytes,
            })
        })
    }
}

fn read<T>(pid: u32, file: &str, parse: fn(&str) -> Option<T>) -> Result<T, BenchError> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let parsed = text.and_then(|text| parse(&text).ok_or_else(|| io::Error::other("unknown format")));
    parsed.map_err(|source| BenchError::Figures { pid, source })
}

/// `utime` and `stime`, the 14th and 15th field. The second is the program's name in parentheses, which may hold anything.
fn parse_cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user + TICK * system)
}

fn parse_memory(status: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory { resident_bytes: kilobytes("VmRSS")? * 1024, peak_bytes: kilobytes("VmHWM")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_behind_an_awkward_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 900 0 3 0 150 7 0 0 20 0 4 0 100 1000 50 18446744073709551615";
        assert_eq!(parse_cpu(stat), Some(Duration::from_millis(1570)));
        assert_eq!(parse_cpu("42 (a) S 1"), None);
    }

    #[test]
    fn memory_of_a_status() {
        let status = "Name:\ta\nVmPeak:\t  900 kB\nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\n";
        assert_eq!(parse_memory(status), Some(Memory { resident_bytes: 10_240, peak_bytes: 20_480 }));
        assert_eq!(parse_memory("Name:\ta\n"), None, "a process that has ended has no memory");
    }

    #[test]
    fn this_process_has_figures() {
        let own = Processes::new(vec![std::process::id()]);
        assert!(own.cpu().is_ok() && own.memory().unwrap().resident_bytes > 0);
        assert!(Processes::new(vec![u32::MAX]).cpu().is_err());
    }
}
