//! What the system knows of this process, under the names that Prometheus' clients give it.

use std::fs;

use super::text::{Kind, Text, float};

/// Clock ticks a second in `/proc`; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// Where in `/proc/self/stat` things stand, counted after the name in parentheses.
mod field {
    pub const USER_TICKS: usize = 11;
    pub const SYSTEM_TICKS: usize = 12;
    pub const START_TICKS: usize = 19;
    pub const VIRTUAL_BYTES: usize = 20;
    pub const RESIDENT_PAGES: usize = 21;
}

/// Files that the process may open and has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The limit.
    pub limit: u64,
    /// How many there are.
    pub open: u64,
}

impl Files {
    /// Asks the system; zeros where it does not tell.
    pub fn read() -> Self {
        let limit = limit("Max open files");
        let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        Self { limit, open }
    }
}

/// Bytes of memory that the process takes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    stat(&own_stat(), field::RESIDENT_PAGES).saturating_mul(PAGE_BYTES)
}

/// Tells what the system says.
pub fn write(text: &mut Text) {
    let own = own_stat();
    let of = |field| float(stat(&own, field));
    let cpu = (of(field::USER_TICKS) + of(field::SYSTEM_TICKS)) / TICKS_PER_SECOND;
    text.sample("process_cpu_seconds_total", "Seconds of CPU time.", Kind::Counter, &[], cpu);
    let start = float(boot_seconds()) + of(field::START_TICKS) / TICKS_PER_SECOND;
    text.gauge("process_start_time_seconds", "When the process began, in Unix seconds.", start);
    text.gauge("process_virtual_memory_bytes", "Bytes of virtual memory.", of(field::VIRTUAL_BYTES));
    let most = "Bytes of virtual memory that the process may take.";
    text.gauge("process_virtual_memory_max_bytes", most, float(limit("Max address space")));
    let resident = float(stat(&own, field::RESIDENT_PAGES).saturating_mul(PAGE_BYTES));
    text.gauge("process_resident_memory_bytes", "Bytes of memory.", resident);
    let files = Files::read();
    for name in ["process_max_fds", "os_fd_limit"] {
        text.gauge(name, "Files that the process may open.", float(files.limit));
    }
    for name in ["process_open_fds", "os_fd_used"] {
        text.gauge(name, "Files that the process has open.", float(files.open));
    }
    let (received, sent) = network_bytes();
    text.counter("process_network_receive_bytes_total", "Bytes received over the network.", received);
    text.counter("process_network_transmit_bytes_total", "Bytes sent over the network.", sent);
}

/// The soft limit of this name: the largest number if there is none, 0 where the system does not tell.
fn limit(name: &str) -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let value = limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value.map_or(0, |value| if value == "unlimited" { u64::MAX } else { value.parse().unwrap_or_default() })
}

fn own_stat() -> String {
    fs::read_to_string("/proc/self/stat").unwrap_or_default()
}

/// A field after the process's name, which may itself have spaces and parentheses.
fn stat(own: &str, field: usize) -> u64 {
    let fields = own.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(field).and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn boot_seconds() -> u64 {
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = system.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default()
}

/// Bytes received and sent, of all interfaces that this process sees.
fn network_bytes() -> (u64, u64) {
    network_totals(&fs::read_to_string("/proc/self/net/dev").unwrap_or_default())
}

fn network_totals(devices: &str) -> (u64, u64) {
    let devices = devices.lines().filter_map(|line| line.split_once(':'));
    devices.fold((0, 0), |(received, sent), (_, counts)| {
        let count = |field| counts.split_whitespace().nth(field).and_then(|count| count.parse::<u64>().ok());
        (received + count(0).unwrap_or_default(), sent + count(8).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let own = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
        assert_eq!(stat(own, field::USER_TICKS), 11);
        assert_eq!(stat(own, field::START_TICKS), 19);
        assert_eq!(stat("", field::USER_TICKS), 0);
    }

    #[test]
    fn the_process_is_there() {
        let mut text = Text::default();
        write(&mut text);
        let text = text.finish();
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        }
    }

    #[test]
    fn interfaces_are_added_up() {
        let devices =
            "Inter-| Receive\n face |bytes\n lo: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\neth0: 7 1 0 0 0 0 0 0 8 1 0\n";
        assert_eq!(network_totals(devices), (12, 14));
    }
}
