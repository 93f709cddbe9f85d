//! What a run was measured on, as far as the system tells.

use std::path::Path;
use std::process::Command;

use crate::process::output;

/// A list of facts, for people.
pub(super) fn describe(scratch: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = read("/proc/cpuinfo");
    let model = value(&cpu, "model name").unwrap_or("unknown processor");
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or_else(|| "?".to_owned(), |kib| (kib >> 20).to_string());
    let mounts = read("/proc/self/mounts");
    let system = file_system(&mounts, scratch).unwrap_or("an unknown file system");
    let rustc = output(Command::new("rustc").arg("--version")).unwrap_or_default();
    format!(
        "- {cores} cores ({model}), {memory} GiB of memory\n- {} {}\n- stores on {system}\n- {}\n",
        std::env::consts::OS,
        read("/proc/sys/kernel/osrelease").trim(),
        rustc.trim()
    )
}

/// The value behind `key` and a colon.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.trim_start();
        rest.strip_prefix(':').map(str::trim)
    })
}

/// The kind of file system that a path lies on: that of the longest mount point before it.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_what_the_kernel_says() {
        assert_eq!(
            value("processor\t: 0\nmodel name\t: A 1 @ 2\n", "model name"),
            Some("A 1 @ 2")
        );
        let mounts = "dev / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/tmpx/y")), Some("ext4"));
        assert!(describe(Path::new("/")).lines().count() >= 4);
    }
}
