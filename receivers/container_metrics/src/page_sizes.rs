//! The sizes of huge pages that the machine has.

use corten_host::Roots;

/// `2MB`, `1GB`, as the files of control groups have them, from `/sys/kernel/mm/hugepages`.
pub(crate) fn read(roots: &Roots) -> Vec<String> {
    let folder = roots.sys("kernel/mm/hugepages");
    let mut kilobytes: Vec<u64> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let size = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
            size.parse().ok()
        })
        .collect();
    kilobytes.sort_unstable();
    kilobytes.into_iter().map(name).collect()
}

fn name(kilobytes: u64) -> String {
    const MEGABYTE: u64 = 1 << 10;
    const GIGABYTE: u64 = 1 << 20;
    if kilobytes >= GIGABYTE {
        format!("{}GB", kilobytes / GIGABYTE)
    } else if kilobytes >= MEGABYTE {
        format!("{}MB", kilobytes / MEGABYTE)
    } else {
        format!("{kilobytes}KB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_kernels_names() {
        assert_eq!(
            [64, 2048, 1_048_576].map(name),
            ["64KB", "2MB", "1GB"].map(str::to_owned)
        );
    }
}
