//! What the kernel knows about this process: memory, processor time, open files. Read at a scrape from /proc/self; where
//! there is none (macOS), nothing is returned. Names as every Prometheus client has them. Source: proc(5).

use std::fs;

/// One number about the process.
#[derive(Debug)]
pub(super) struct Sample {
    /// The metric's name.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) help: &'static str,
    /// Whether it is a counter.
    pub(super) grows: bool,
    /// In the base unit that the name ends with.
    pub(super) number: f64,
}

/// Clock ticks in a second as the kernel shows them to programs: `USER_HZ`, which is 100 on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// All that can be read.
pub(super) fn measure() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |name, help, number: Option<f64>| {
        let grows = name == "process_cpu_seconds_total";
        samples.extend(number.map(|number| Sample { name, help, grows, number }));
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    add("process_cpu_seconds_total", "Processor time spent, user and system.", cpu_seconds(&stat));
    add("process_threads", "Threads.", stat_field(&stat, 20));
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
    let start = boot.zip(stat_field(&stat, 22)).map(|(boot, ticks)| boot + ticks / TICKS_PER_SECOND);
    add("process_start_time_seconds", "When the process started, in Unix seconds.", start);

    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    add("process_resident_memory_bytes", "Memory in RAM.", kilobytes(&status, "VmRSS:"));
    add("process_virtual_memory_bytes", "Memory mapped.", kilobytes(&status, "VmSize:"));
    let open = fs::read_dir("/proc/self/fd").ok().and_then(|entries| u32::try_from(entries.count()).ok());
    // the directory being read is one of them
    add("process_open_fds", "Open files and sockets.", open.map(|open| f64::from(open.saturating_sub(1))));
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    add("process_max_fds", "How many files and sockets may be open.", max_fds(&limits));
    samples
}

/// User and system time.
fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

/// A field of /proc/self/stat by its number in proc(5). The second one, the name, may hold spaces and parentheses.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(number.checked_sub(3)?)?.trim().parse().ok()
}

/// `btime` of /proc/stat: when the machine started, in Unix seconds.
fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// A line of /proc/self/status, in bytes.
fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(number * 1024.0)
}

/// The soft limit of open files.
fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 3000 1 2 3\n";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!((stat_field(stat, 20), stat_field(stat, 22)), (Some(9.0), Some(3000.0)));
    }

    #[test]
    fn memory_is_shown_in_bytes_and_limits_by_their_soft_value() {
        assert_eq!(kilobytes("VmSize:\t  10 kB\nVmRSS:\t   4 kB\n", "VmRSS:"), Some(4096.0));
        assert_eq!(
            max_fds("Max open files            1024                 4096                 files\n"),
            Some(1024.0)
        );
        assert_eq!(max_fds("Max open files            unlimited            unlimited            files\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_all_of_them() {
        let samples = measure();
        let names: Vec<_> = samples.iter().map(|sample| sample.name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(samples.iter().all(|sample| sample.number.is_finite()));
    }
}
